"""The accounts of a data folder, for whoever runs the service, which may be running meanwhile."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from photoanimer_async.service.error_codes import SetupError
from photoanimer_async.service.fetching.fetcher import UnsuitableUrlError, parse_url
from photoanimer_async.service.notifying.signing import new_secret
from photoanimer_async.service.storing import ledger, outbox
from photoanimer_async.service.storing.accounts import (
    Account,
    account_number,
    digest,
    named_accounts,
    new_key,
)
from photoanimer_async.service.storing.data_folder import DataFolder
from photoanimer_async.service.storing.database import connected

_LONGEST_NAME: Final = 64


class AccountError(Exception):
    """What was asked of the accounts can not be done; the text says why."""


class AccountBook:
    """The accounts of a data folder, for whoever runs the service. Blocks.

    Args:
        data_dir: the service's folder.

    Raises, whatever is asked for:
        SetupError: the folder can not be used.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._folder = DataFolder(data_dir)

    def add(self, name: str, *, seconds: float | None = None, rate: float | None = None) -> str:
        """Give an account a key. The folder is made if it is not there.

        A new name gets an account. A name whose key was revoked gets a new key to the account
        that it had, with its tasks and what is left of its video seconds.

        Args:
            name: at most 64 printable characters.
            seconds: video seconds to give to it; `None` gives none: a new account is without
                limit then.
            rate: requests a second that it may make; `None` for any number.

        Returns:
            The key, which can not be found out again.

        Raises:
            AccountError: the name has a key, or is none.
        """
        if not (name.strip() and name.isprintable() and len(name) <= _LONGEST_NAME):
            raise AccountError(f"a name has 1 to {_LONGEST_NAME} printable characters")
        try:
            self._folder.create()
        except OSError as error:
            raise SetupError(f"{self._data_dir} can not be used: {error.strerror}") from error
        key = new_key()
        with _transaction(self._folder.database) as connection:
            connection.execute("INSERT OR IGNORE INTO account (name) VALUES (?)", (name,))
            number = _number(connection, name)
            given = connection.execute(
                "UPDATE account SET digest = ?, rate = ? WHERE number = ? AND digest IS NULL",
                (digest(key), rate, number),
            ).rowcount
            if not given:
                raise AccountError(f"{name} has a key already; revoke it to give it a new one")
            if seconds is not None:
                ledger.credit(connection, number, seconds)
        return key

    def revoke(self, name: str) -> None:
        """Take an account's key away. Its tasks, results and video seconds stay.

        Raises:
            AccountError: there is no such name, or it has no key.
        """
        with self._existing() as connection:
            changed = connection.execute(
                "UPDATE account SET digest = NULL WHERE name = ? AND digest IS NOT NULL", (name,)
            ).rowcount
            if not changed:
                raise AccountError(f"{name} has no key")

    def credit(self, name: str, seconds: float) -> float:
        """Give an account more video seconds; one without limit has one from then on.

        Returns:
            What it has now.

        Raises:
            AccountError: there is no such name.
        """
        with self._existing() as connection:
            number = _number(connection, name)
            ledger.credit(connection, number, seconds)
            return ledger.balance(connection, number) or 0.0

    def notify(self, name: str, url: str) -> str:
        """Tell an address when this account's tasks end; what is pending goes there too.

        Args:
            name: whose account it is.
            url: http or https, without user and password. The service connects only to where
                it may fetch photos from.

        Returns:
            The secret that signs what is posted from now on, as `whsec_...`: a new one each
            time, so that no address has another's. It is not shown again.

        Raises:
            AccountError: there is no such name, or the URL is not suitable.
        """
        require_suitable(url)
        secret = new_secret()
        with self._existing() as connection:
            outbox.set_address(connection, _number(connection, name), url, secret)
        return secret

    def stop_notifying(self, name: str) -> None:
        """Tell nobody any more when this account's tasks end; what is pending is dropped.

        Raises:
            AccountError: there is no such name.
        """
        with self._existing() as connection:
            outbox.set_address(connection, _number(connection, name), None, None)

    def accounts(self) -> list[Account]:
        """Every account that was ever given a key, by name."""
        with self._existing() as connection:
            return named_accounts(connection)

    def entries(self, name: str) -> list[ledger.Entry]:
        """Every movement of an account's video seconds, the oldest first.

        Raises:
            AccountError: there is no such name.
        """
        with self._existing() as connection:
            return ledger.entries(connection, _number(connection, name))

    @contextmanager
    def _existing(self) -> Iterator[sqlite3.Connection]:
        if not self._folder.database.is_file():
            raise SetupError(f"{self._data_dir} holds no accounts: no service has run there")
        with _transaction(self._folder.database) as connection:
            yield connection


@contextmanager
def _transaction(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(connected(database)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            yield connection


def _number(connection: sqlite3.Connection, name: str) -> int:
    number = account_number(connection, name)
    if number is None:
        raise AccountError(f"there is no account {name}")
    return number


def require_suitable(url: str) -> None:
    """Check an address for notifications.

    Raises:
        AccountError: it is no http or https URL, or holds a user or password.
    """
    try:
        parse_url(url)
    except UnsuitableUrlError as error:
        raise AccountError(f"the address for notifications is not allowed: {error}") from None
