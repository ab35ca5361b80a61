"""Access control: which account an API key belongs to, and how many requests it may make.

Accounts are in the database, where another process may change them while the service runs, so
they are read again every second. Without a key in the settings and in the database the service is
open: every key is accepted, and all callers share the service's own account. It stops being open
when an account is added, and does not become open again when that account's key is revoked.

A key is looked up by the first half of its digest, and the whole digest is then compared in
constant time. The duration of the look-up depends on digests only, from which no key follows.
"""

import asyncio
import hmac
import logging
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

from photoanimer_async.service.error_codes import API_KEY, RATE_LIMITED, RequestRefusedError
from photoanimer_async.service.fair_shares import AccountWeights
from photoanimer_async.service.request_rate import RateLimit
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

REFRESH_SECONDS: Final = 1.0
"""Longest time until a change to the accounts takes effect."""

_OWN: Final = Account(number=OWN_ACCOUNT, name="", digest=None, balance=None, rate=None)


class AccessControl:
    """Finds the account of a request by its key, and applies the account's rate limit.

        account = access.authorize(request.headers.get("APIKEY"), loop.time())

    Args:
        keys: the keys of the settings; they belong to the service's own account.
        weights: gets the accounts that have a key.
    """

    def __init__(self, keys: frozenset[str] | None, weights: AccountWeights) -> None:
        self._weights = weights
        self._own = {} if keys is None else {key_digest(key): _OWN for key in keys}
        self._is_open = keys is None
        self._accounts: dict[bytes, tuple[bytes, Account]] = {}
        self._limits: dict[int, RateLimit] = {}
        self.update(())

    @property
    def is_open(self) -> bool:
        """Whether every key is accepted."""
        return self._is_open

    def update(self, accounts: Iterable[Account]) -> None:
        """Replace the named accounts; rate limits that have not changed keep their state."""
        by_digest = dict(self._own)
        limits: dict[int, RateLimit] = {}
        for account in accounts:
            self._is_open = False
            if account.digest is not None:
                by_digest[account.digest] = account
            if account.rate is not None:
                limit = self._limits.get(account.number)
                if limit is None or limit.rate != account.rate:
                    limit = RateLimit(account.rate)
                limits[account.number] = limit
        self._accounts = {found[:_HALF]: (found, account) for found, account in by_digest.items()}
        self._limits = limits
        has_key = {account.number: account.name for account in by_digest.values()}
        self._weights.update({OWN_ACCOUNT: ""} if self._is_open else has_key)

    def authorize(self, key: str | None, now: float) -> Account:
        """Return the account of a request, and count the request.

        Args:
            key: the header APIKEY.
            now: seconds on a monotonic clock.

        Raises:
            RequestRefusedError: the key is not accepted, or its account's rate is exceeded.
        """
        account = self._account(key)
        limit = self._limits.get(account.number)
        wait = 0.0 if limit is None else limit.try_acquire(now)
        if limit is not None and wait > 0:
            raise RequestRefusedError(
                RATE_LIMITED,
                f"the limit of this API key is {limit.rate:g} requests a second",
                retry_after=wait,
            )
        return account

    def _account(self, key: str | None) -> Account:
        given = (key or "").strip()
        if not given:
            found = "missing" if key is None else "empty"
            raise RequestRefusedError(
                API_KEY, f"the header APIKEY is {found}; it must hold the API key"
            )
        if self._is_open:
            return _OWN
        given_digest = key_digest(given)
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
    access = AccessControl(keys, weights)
    access.update(await database.read(named_accounts))
    refreshing = asyncio.create_task(_refresh(access, database))
    try:
        yield access
    finally:
        refreshing.cancel()
        await asyncio.wait([refreshing])


async def _refresh(access: AccessControl, database: Database) -> None:
    while True:
        await asyncio.sleep(REFRESH_SECONDS)
        try:
            access.update(await database.read(named_accounts))
        except sqlite3.Error:
            _logger.exception("event=accounts_not_read")
