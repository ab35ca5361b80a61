"""Accounts and their API keys, as rows of the database.

A key has 256 random bits, so nobody can guess one, however fast its hash is. A slow password hash
protects passwords that people choose; here it would only slow down each request. So the database
has the SHA-256 of a key, and the key itself is shown once, when it is created.
"""

import hashlib
import secrets
import sqlite3
from typing import Final

from attrs import field, frozen

from photoanimer_async.service.storing.ledger import to_seconds

OWN_ACCOUNT: Final = 0
"""The service's own account: of everybody without keys, or of the keys in its settings."""

_KEY_BYTES: Final = 32


@frozen(kw_only=True)
class Account:
    """An account that was ever given a key.

    Attributes:
        number: its number in the database.
        name: its name for the operator.
        digest: SHA-256 of its key; `None` after the key was revoked.
        balance: video seconds; `None` without limit.
        rate: requests of any kind per second; `None` without limit.
        notify_url: where its notifications are sent; `None`: nowhere.
    """

    number: int
    name: str
    digest: bytes | None
    balance: float | None
    rate: float | None
    notify_url: str | None = field(default=None, repr=False)


def new_key() -> str:
    """Return a random API key; its prefix `pa_` makes it recognisable."""
    return f"pa_{secrets.token_urlsafe(_KEY_BYTES)}"


def key_digest(key: str) -> bytes:
    """Return the SHA-256 of a key."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()


def named_accounts(connection: sqlite3.Connection) -> list[Account]:
    """Return all accounts but the service's own, ordered by name."""
    rows = connection.execute(
        "SELECT number, name, digest, balance, rate, notify_url FROM account WHERE number <> ?"
        " ORDER BY name",
        (OWN_ACCOUNT,),
    )
    return [
        Account(
            number=number,
            name=name,
            digest=digest,
            balance=None if balance is None else to_seconds(balance),
            rate=rate,
            notify_url=notify_url,
        )
        for number, name, digest, balance, rate, notify_url in rows
    ]


def account_number(connection: sqlite3.Connection, name: str) -> int | None:
    """Return the number of the account with this name; `None` if there is none."""
    row = connection.execute(
        "SELECT number FROM account WHERE name = ? AND number <> ?", (name, OWN_ACCOUNT)
    ).fetchone()
    return None if row is None else int(row[0])
