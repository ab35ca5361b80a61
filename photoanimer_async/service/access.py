"""Access control: which account an API key belongs to, and how many requests it may make.

Accounts are in the database, where another process may change them while the service runs, so
they are read again twice a second. A request that finds them older than a second waits until they
are read; if they cannot be read, keys of accounts are refused with HTTP status 503. So a revoked
key is refused within a second, whatever happens.

Without a key in the settings and in the database the service is open: every key is accepted, and
all callers share the service's own account. It stops being open when an account is added, and does
not become open again when that account's key is revoked.

A key is looked up by the first half of its digest, and the whole digest is then compared in
constant time. The duration of the look-up depends on digests only, from which no key follows.
"""

import asyncio
import hmac
import logging
import math
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final

from photoanimer_async.service.error_codes import (
    ACCOUNTS_UNREADABLE,
    API_KEY,
    RATE_LIMITED,
    RequestRefusedError,
)
from photoanimer_async.service.fair_shares import AccountWeights
from photoanimer_async.service.request_rate import LARGEST_RATE, SMALLEST_RATE, RateLimit
from photoanimer_async.service.storing.accounts import (
    OWN_ACCOUNT,
    Account,
    key_digest,
    named_accounts,
)
from photoanimer_async.service.storing.database import Database

_logger = logging.getLogger(__name__)
_HALF: Final = 16
_NO_DIGEST: Final = bytes(32)
_READ_SECONDS: Final = 5.0

REFRESH_SECONDS: Final = 1.0
"""Longest time until a change to the accounts takes effect, in seconds."""

_OWN: Final = Account(number=OWN_ACCOUNT, name="", digest=None, balance=None, rate=None)


class AccessControl:
    """Finds the account of a request by its key, and applies the account's rate limit.

        account = await access.authorize(request.headers.get("APIKEY"))

    Args:
        keys: the keys of the settings; they belong to the service's own account.
        database: has the accounts.
        weights: gets the accounts that have a key.
    """

    def __init__(
        self, keys: frozenset[str] | None, database: Database, weights: AccountWeights
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._database = database
        self._weights = weights
        self._read_at = -math.inf
        self._is_wanted = asyncio.Event()
        self._next_reading: asyncio.Future[bool] = self._loop.create_future()
        self._own = {} if keys is None else {key_digest(key): _OWN for key in keys}
        self._is_open = keys is None
        self._accounts: dict[bytes, tuple[bytes, Account]] = {}
        self._limits: dict[int, RateLimit] = {}

    @property
    def is_open(self) -> bool:
        """Whether every key is accepted."""
        return self._is_open

    async def read_accounts(self) -> None:
        """Read the accounts from the database.

        Raises:
            sqlite3.Error: they cannot be read.
            TimeoutError: that takes too long.
        """
        began = time.monotonic()
        async with asyncio.timeout(_READ_SECONDS):
            accounts = await self._database.read(named_accounts)
        self._update(accounts)
        self._read_at = began

    async def follow_accounts(self) -> None:
        """Read the accounts again and again, and at once when a request needs them."""
        is_failing = False
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_SECONDS / 2):
                    await self._is_wanted.wait()
            self._is_wanted.clear()
            reading, self._next_reading = self._next_reading, self._loop.create_future()
            try:
                await self.read_accounts()
            except Exception:
                if not is_failing:
                    _logger.exception("event=accounts_not_read")
                is_failing = True
            else:
                is_failing = False
            reading.set_result(not is_failing)

    def _update(self, accounts: Iterable[Account]) -> None:
        """Replace the named accounts; rate limits that have not changed keep their state."""
        by_digest = dict(self._own)
        limits: dict[int, RateLimit] = {}
        for account in accounts:
            self._is_open = False
            if account.digest is not None:
                by_digest[account.digest] = account
            if account.rate is not None:
                # Rates that earlier versions accepted may be out of the range of today.
                rate = min(max(account.rate, SMALLEST_RATE), LARGEST_RATE)
                limit = self._limits.get(account.number)
                limits[account.number] = limit if limit and limit.rate == rate else RateLimit(rate)
        self._accounts = {found[:_HALF]: (found, account) for found, account in by_digest.items()}
        self._limits = limits
        has_key = {account.number: account.name for account in by_digest.values()}
        self._weights.update({OWN_ACCOUNT: ""} if self._is_open else has_key)

    async def authorize(self, key: str | None) -> Account:
        """Return the account of a request, and count the request.

        Args:
            key: the header APIKEY, without spaces around it.

        Raises:
            RequestRefusedError: the key is not accepted, its account's rate is exceeded, or the
                accounts cannot be read.
        """
        if time.monotonic() - self._read_at > REFRESH_SECONDS:
            self._is_wanted.set()
            is_read = await asyncio.shield(self._next_reading)
            if not is_read and key_digest(key or "") not in self._own:
                raise RequestRefusedError(
                    ACCOUNTS_UNREADABLE,
                    "the accounts cannot be read at the moment; try again later",
                    retry_after=_READ_SECONDS,
                )
        account = self._account(key)
        limit = self._limits.get(account.number)
        wait = 0.0 if limit is None else limit.try_acquire(self._loop.time())
        if limit is not None and wait > 0:
            raise RequestRefusedError(
                RATE_LIMITED,
                f"the limit of this API key is {limit.rate:g} requests a second",
                retry_after=wait,
            )
        return account

    def count_failed_work(self, account: int, processor_seconds: float) -> None:
        """Let processor time that failed tasks have taken count against their account's rate."""
        limit = self._limits.get(account)
        if limit is not None and processor_seconds > 0:
            limit.use_up(processor_seconds, self._loop.time())

    def _account(self, key: str | None) -> Account:
        if not key:
            found = "missing" if key is None else "empty"
            raise RequestRefusedError(
                API_KEY, f"the header APIKEY is {found}; it must hold the API key"
            )
        if self._is_open:
            return _OWN
        given_digest = key_digest(key)
        known_digest, account = self._accounts.get(given_digest[:_HALF], (_NO_DIGEST, _OWN))
        if not hmac.compare_digest(given_digest, known_digest):
            raise RequestRefusedError(API_KEY, "the API key in the header APIKEY is not accepted")
        return account


@asynccontextmanager
async def open_access_control(
    keys: frozenset[str] | None, database: Database, weights: AccountWeights
) -> AsyncIterator[AccessControl]:
    """Return access control by the keys of the settings and the accounts of the database.

    It follows the accounts until the context ends.
    """
    access = AccessControl(keys, database, weights)
    await access.read_accounts()
    following = asyncio.create_task(access.follow_accounts())
    try:
        yield access
    finally:
        following.cancel()
        await asyncio.wait([following])
