"""Who may use the service, and how often.

Accounts are in the database, where another process may change them while the service runs, so
they are read anew every second. Where neither the settings nor the database name a key, the
service is open: every key will do, and everybody shares its own account. It closes as soon as
an account is added, and does not open again when its key is revoked.

A key is looked up by the first half of its digest, and the digest then compared in constant
time. How long the look-up takes tells at most of digests, and nobody can make a key for one.
"""

import asyncio
import hmac
import logging
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

from photoanimer_async.service.error_codes import API_KEY, RATE_LIMITED, RequestRefusedError
from photoanimer_async.service.request_rate import RateLimit
from photoanimer_async.service.storing.accounts import OWN_ACCOUNT, Account, digest, named_accounts
from photoanimer_async.service.storing.database import Database

_logger = logging.getLogger(__name__)
_HALF: Final = 16
_NO_DIGEST: Final = bytes(32)

REFRESH_SECONDS: Final = 1.0
"""How long it takes at most until a change to the accounts counts."""

_OWN: Final = Account(number=OWN_ACCOUNT, name="", digest=None, balance=None, rate=None)


class AccessControl:
    """Lets requests in by their keys.

    Args:
        keys: what the settings name: keys to the service's own account.
    """

    def __init__(self, keys: frozenset[str] | None) -> None:
        self._own = {} if keys is None else {digest(key): _OWN for key in keys}
        self._is_open = keys is None
        self._known: dict[bytes, tuple[bytes, Account]] = {}
        self._limits: dict[int, RateLimit] = {}
        self.update(())

    @property
    def is_open(self) -> bool:
        """Whether any key will do."""
        return self._is_open

    def update(self, accounts: Iterable[Account]) -> None:
        """These are the named accounts from now on."""
        known = dict(self._own)
        limits: dict[int, RateLimit] = {}
        for account in accounts:
            self._is_open = False
            if account.digest is not None:
                known[account.digest] = account
            if account.rate is not None:
                limit = self._limits.get(account.number)
                if limit is None or limit.rate != account.rate:
                    limit = RateLimit(account.rate)
                limits[account.number] = limit
        self._known = {kept[:_HALF]: (kept, account) for kept, account in known.items()}
        self._limits = limits

    def admit(self, key: str | None, now: float) -> Account:
        """The account of a request that may go on.

        Args:
            key: the header APIKEY.
            now: seconds on a monotonic clock.

        Raises:
            RequestRefusedError: the key is not accepted, or its account is too quick.
        """
        account = self._account(key)
        limit = self._limits.get(account.number)
        wait = 0.0 if limit is None else limit.wait(now)
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
                API_KEY, f"the header APIKEY is {found}; it holds the API key"
            )
        if self._is_open:
            return _OWN
        of_given = digest(given)
        kept, account = self._known.get(of_given[:_HALF], (_NO_DIGEST, _OWN))
        if not hmac.compare_digest(of_given, kept):
            raise RequestRefusedError(API_KEY, "the API key in the header APIKEY is not accepted")
        return account


@asynccontextmanager
async def open_access_control(
    keys: frozenset[str] | None, database: Database
) -> AsyncIterator[AccessControl]:
    """AccessControl by the settings' keys and the database's accounts, as they change."""
    admission = AccessControl(keys)
    admission.update(await database.read(named_accounts))
    refreshing = asyncio.create_task(_keep_fresh(admission, database))
    try:
        yield admission
    finally:
        refreshing.cancel()
        await asyncio.wait([refreshing])


async def _keep_fresh(admission: AccessControl, database: Database) -> None:
    while True:
        await asyncio.sleep(REFRESH_SECONDS)
        try:
            admission.update(await database.read(named_accounts))
        except sqlite3.Error:
            _logger.exception("event=accounts_not_read")
