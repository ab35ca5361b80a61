"""The ledger of video seconds: what was given, charged and given back.

Every function works on a connection that is in a transaction, so that money moves together with
the task that it is for. Amounts are whole thousandths of a video second, so that sums are exact.
"""

import sqlite3
import time
from enum import Enum
from typing import Final

from attrs import frozen

_THOUSANDTHS: Final = 1000


class Kind(Enum):
    """Why video seconds moved."""

    CREDIT = "credit"
    CHARGE = "charge"
    REFUND = "refund"


class Charging(Enum):
    """When a task is charged. The API page does not say, so it can be chosen."""

    REFUND_FAILED = "refund-failed"
    """When it is accepted; given back if it fails."""
    KEEP_FAILED = "keep-failed"
    """When it is accepted, whatever becomes of it."""
    ON_SUCCESS = "on-success"
    """When it has finished. Tasks under way at once can take the balance below zero."""


@frozen(kw_only=True)
class Entry:
    """One movement.

    Attributes:
        account: number of the account.
        kind: why.
        seconds: video seconds; below zero where they were taken.
        task_id: the task that it is for; `None` for a credit.
        at: when, in seconds since 1970.
    """

    account: int
    kind: Kind
    seconds: float
    task_id: int | None
    at: int


class InsufficientBalanceError(Exception):
    """The account holds less than a task costs; nothing was charged.

    Attributes:
        balance: the video seconds that there are.
    """

    def __init__(self, balance: float) -> None:
        super().__init__(f"the balance is {balance:g} video seconds")
        self.balance = balance


def balance(connection: sqlite3.Connection, account: int) -> float | None:
    """The video seconds of an account; `None` where it is without limit."""
    (left,) = connection.execute(
        "SELECT balance FROM account WHERE number = ?", (account,)
    ).fetchone()
    return None if left is None else in_seconds(left)


def require(connection: sqlite3.Connection, account: int, seconds: float) -> None:
    """Check that there is enough.

    Raises:
        InsufficientBalanceError: there is not.
    """
    left = balance(connection, account)
    if left is not None and left < seconds:
        raise InsufficientBalanceError(left)


def credit(connection: sqlite3.Connection, account: int, seconds: float) -> None:
    """Give video seconds to an account; one that was without limit has one from then on."""
    connection.execute(
        "UPDATE account SET balance = coalesce(balance, 0) WHERE number = ?", (account,)
    )
    _move(connection, account, Kind.CREDIT, seconds, None)


def spend(connection: sqlite3.Connection, account: int, seconds: float, task_id: int) -> None:
    """Take what a task costs, if there is enough.

    Raises:
        InsufficientBalanceError: there is not; nothing was changed.
    """
    amount = in_thousandths(seconds)
    spent = connection.execute(
        "UPDATE account SET balance = balance - ? WHERE number = ? AND balance >= ?",
        (amount, account, amount),
    ).rowcount
    if not spent and (left := balance(connection, account)) is not None:
        raise InsufficientBalanceError(left)
    _enter(connection, account, Kind.CHARGE, -amount, task_id)


def charge(connection: sqlite3.Connection, account: int, seconds: float, task_id: int) -> None:
    """Take what a task costs, whether there is enough or not."""
    _move(connection, account, Kind.CHARGE, -seconds, task_id)


def refund(connection: sqlite3.Connection, account: int, seconds: float, task_id: int) -> None:
    """Give back what a task was charged."""
    _move(connection, account, Kind.REFUND, seconds, task_id)


def entries(connection: sqlite3.Connection, account: int) -> list[Entry]:
    """Every movement of an account, the oldest first."""
    rows = connection.execute(
        "SELECT account, kind, amount, task_id, at FROM ledger WHERE account = ? ORDER BY entry",
        (account,),
    )
    return [
        Entry(account=owner, kind=Kind(kind), seconds=in_seconds(amount), task_id=task_id, at=at)
        for owner, kind, amount, task_id, at in rows
    ]


def in_seconds(amount: int) -> float:
    """Video seconds, of the thousandths that the tables hold."""
    return amount / _THOUSANDTHS


def in_thousandths(seconds: float) -> int:
    """What the tables hold, of video seconds."""
    return round(seconds * _THOUSANDTHS)


def _move(
    connection: sqlite3.Connection, account: int, kind: Kind, seconds: float, task_id: int | None
) -> None:
    amount = in_thousandths(seconds)
    # What is without limit stays null.
    connection.execute(
        "UPDATE account SET balance = balance + ? WHERE number = ?", (amount, account)
    )
    _enter(connection, account, kind, amount, task_id)


def _enter(
    connection: sqlite3.Connection, account: int, kind: Kind, amount: int, task_id: int | None
) -> None:
    connection.execute(
        "INSERT INTO ledger (account, kind, amount, task_id, at) VALUES (?, ?, ?, ?, ?)",
        (account, kind.value, amount, task_id, int(time.time())),
    )
