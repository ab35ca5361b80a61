"""Accounts and their keys, as they are kept in the database.

A key is 256 random bits, so that nobody finds one by trying, however fast a digest of it is
reckoned. A slow password hash protects what people choose and guess; here it would only make
each request dear. So what is kept is SHA-256 of the key, and the key itself is shown once.
"""

import hashlib
import secrets
import sqlite3
from typing import Final

from attrs import field, frozen

from photoanimer_async.service.storing.ledger import in_seconds

OWN_ACCOUNT: Final = 0
"""The service's own account: of everybody, or of the keys that its settings name."""

_KEY_BYTES: Final = 32


@frozen(kw_only=True)
class Account:
    """Who can use the service.

    Attributes:
        number: its number in the database.
        name: what it is called by whoever runs the service.
        digest: SHA-256 of its key; `None` once the key was revoked.
        balance: video seconds; `None` if without limit.
        rate: requests a second, of any kind; `None` if without limit.
        notify_url: where it is told that its tasks have ended; `None`: nowhere.
    """

    number: int
    name: str
    digest: bytes | None
    balance: float | None
    rate: float | None
    notify_url: str | None = field(default=None, repr=False)


def new_key() -> str:
    """A key that can not be guessed, and is easy to recognise."""
    return f"pa_{secrets.token_urlsafe(_KEY_BYTES)}"


def digest(key: str) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()


def named_accounts(connection: sqlite3.Connection) -> list[Account]:
    """Every account that was ever given a key, by name."""
    rows = connection.execute(
        "SELECT number, name, digest, balance, rate, notify_url FROM account WHERE number <> ?"
        " ORDER BY name",
        (OWN_ACCOUNT,),
    )
    return [
        Account(
            number=number,
            name=name,
            digest=kept,
            balance=None if balance is None else in_seconds(balance),
            rate=rate,
            notify_url=notify_url,
        )
        for number, name, kept, balance, rate, notify_url in rows
    ]


def account_number(connection: sqlite3.Connection, name: str) -> int | None:
    """The number of the account with this name; `None` if there is none."""
    row = connection.execute(
        "SELECT number FROM account WHERE name = ? AND number <> ?", (name, OWN_ACCOUNT)
    ).fetchone()
    return None if row is None else int(row[0])
