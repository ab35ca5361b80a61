"""Administration of the accounts in a data folder, also while its service runs."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from photoanimer_async.service.error_codes import SetupError
from photoanimer_async.service.fetching.fetcher import UnsuitableUrlError, parse_url
from photoanimer_async.service.notifying.signing import new_secret
from photoanimer_async.service.request_rate import LARGEST_RATE, SMALLEST_RATE
from photoanimer_async.service.storing import ledger, outbox
from photoanimer_async.service.storing.accounts import (
    Account,
    account_number,
    key_digest,
    named_accounts,
    new_key,
)
from photoanimer_async.service.storing.data_folder import DataFolder
from photoanimer_async.service.storing.database import connect, unusable
from photoanimer_async.service.storing.ledger import LARGEST_AMOUNT, SMALLEST_AMOUNT

_LONGEST_NAME: Final = 64


class AccountError(Exception):
    """An operation on accounts is not possible; the message says why."""


class AccountBook:
    """The accounts of a data folder, for the operator. All methods block.

    Numbers and names are checked here, so that programs and the command line get the same errors,
    and before anything is created.

        book = AccountBook(Path("data"))
        key = book.add("anna", seconds=600)
        book.credit("anna", 60)  # 660.0

    Args:
        data_dir: the service's data folder.

    Raises, from every method:
        SetupError: the folder or its database cannot be used.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._folder = DataFolder(data_dir)

    def add(self, name: str, *, seconds: float | None = None, rate: float | None = None) -> str:
        """Give an account a key, creating account and folder if they do not exist.

        An account whose key was revoked gets a new key, and keeps its tasks and its balance.

        Args:
            name: 1 to 64 printable characters.
            seconds: video seconds to credit, 0.001 to a billion, or 0 for none. With `None`, a
                new account has no limit.
            rate: requests per second that it may make, 0.001 to a million; `None` without limit.

        Returns:
            The key. It is not stored, so it cannot be shown again.

        Raises:
            AccountError: the account has a key, or the name or a number is not allowed.
        """
        if not (name.strip() and name.isprintable() and len(name) <= _LONGEST_NAME):
            raise AccountError(f"a name has 1 to {_LONGEST_NAME} printable characters")
        if seconds:
            _require("seconds", seconds, SMALLEST_AMOUNT, LARGEST_AMOUNT)
        if rate is not None:
            _require("rate", rate, SMALLEST_RATE, LARGEST_RATE)
        try:
            self._folder.create()
        except OSError as error:
            raise SetupError(f"{self._data_dir} cannot be used: {error.strerror}") from error
        key = new_key()
        with _transaction(self._folder.database) as connection:
            connection.execute("INSERT OR IGNORE INTO account (name) VALUES (?)", (name,))
            number = _number(connection, name)
            updated = connection.execute(
                "UPDATE account SET digest = ?, rate = ? WHERE number = ? AND digest IS NULL",
                (key_digest(key), rate, number),
            ).rowcount
            if not updated:
                raise AccountError(f"{name} has a key already; revoke it to give it a new one")
            if seconds is not None:
                ledger.credit(connection, number, seconds)
        return key

    def revoke(self, name: str) -> None:
        """Revoke an account's key. Its tasks, results and balance stay.

        Raises:
            AccountError: there is no such account, or it has no key.
        """
        with self._existing() as connection:
            changed = connection.execute(
                "UPDATE account SET digest = NULL WHERE name = ? AND digest IS NOT NULL", (name,)
            ).rowcount
            if not changed:
                raise AccountError(f"{name} has no key")

    def credit(self, name: str, seconds: float) -> float:
        """Add video seconds to an account; one without limit has a limit from then on.

        Args:
            name: name of the account.
            seconds: video seconds, 0.001 to a billion.

        Returns:
            The new balance.

        Raises:
            AccountError: there is no such account, or the number is not allowed.
        """
        _require("seconds", seconds, SMALLEST_AMOUNT, LARGEST_AMOUNT)
        with self._existing() as connection:
            number = _number(connection, name)
            ledger.credit(connection, number, seconds)
            return ledger.balance(connection, number) or 0.0

    def notify(self, name: str, url: str) -> str:
        """Set the URL for an account's notifications, including those that are pending.

        Args:
            name: name of the account.
            url: http or https, without user and password. The service connects only to
                addresses that it may also fetch photos from.

        Returns:
            The secret that signs notifications from now on, as `whsec_...`. It is new each time,
            so that no receiver has another's, and it is not shown again.

        Raises:
            AccountError: there is no such account, or the URL is not allowed.
        """
        require_notify_url(url)
        secret = new_secret()
        with self._existing() as connection:
            outbox.set_address(connection, _number(connection, name), url, secret)
        return secret

    def stop_notifying(self, name: str) -> None:
        """Send no more notifications to an account, and drop those that are pending.

        Raises:
            AccountError: there is no such account.
        """
        with self._existing() as connection:
            outbox.set_address(connection, _number(connection, name), None, None)

    def accounts(self) -> list[Account]:
        """Return every account that was ever given a key, ordered by name."""
        with self._existing() as connection:
            return named_accounts(connection)

    def entries(self, name: str) -> list[ledger.Entry]:
        """Return every ledger entry of an account, the oldest first.

        Raises:
            AccountError: there is no such account.
        """
        with self._existing() as connection:
            return ledger.entries(connection, _number(connection, name))

    @contextmanager
    def _existing(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction on a database that must exist."""
        if not self._folder.database.is_file():
            raise SetupError(f"{self._data_dir} has no accounts: no service has run there")
        with _transaction(self._folder.database) as connection:
            yield connection


@contextmanager
def _transaction(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(database)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                yield connection
        except sqlite3.Error as error:
            raise unusable(database, error) from error


def _require(what: str, number: float, least: float, most: float) -> None:
    if not least <= number <= most:  # also refuses NaN
        raise AccountError(f"{what} is {number:g}; it must be between {least:g} and {most:,.0f}")


def _number(connection: sqlite3.Connection, name: str) -> int:
    number = account_number(connection, name)
    if number is None:
        raise AccountError(f"there is no account {name}")
    return number


def require_notify_url(url: str) -> None:
    """Check a URL for notifications.

    Raises:
        AccountError: it is not http or https, or contains a user or password.
    """
    try:
        parse_url(url)
    except UnsuitableUrlError as error:
        raise AccountError(f"the URL for notifications is not allowed: {error}") from None
