"""The ledger of video seconds: credits, charges and refunds.

Every function works on a connection that is in a transaction, so that a charge and its task are
written together. Amounts are integers, in thousandths of a video second, so that sums are exact.
"""

import sqlite3
import time
from enum import Enum
from typing import Final

from attrs import frozen

SMALLEST_AMOUNT: Final = 0.001
"""Video seconds of the smallest credit."""
LARGEST_AMOUNT: Final = 1e9
"""Video seconds of the largest credit: sums stay far below what the database can hold."""

_THOUSANDTHS: Final = 1000


class Kind(Enum):
    """The kind of a ledger entry."""

    CREDIT = "credit"
    CHARGE = "charge"
    REFUND = "refund"


class Charging(Enum):
    """When a task is charged. The API page does not say, so it can be chosen."""

    REFUND_FAILED = "refund-failed"
    """When it is accepted; refunded if it fails."""
    KEEP_FAILED = "keep-failed"
    """When it is accepted, even if it fails."""
    ON_SUCCESS = "on-success"
    """When it has finished. Tasks that run at the same time can make the balance negative."""


@frozen(kw_only=True)
class Entry:
    """One movement of video seconds.

    Attributes:
        account: number of the account.
        kind: credit, charge or refund.
        seconds: video seconds; negative for a charge.
        task_id: the task that was charged or refunded; `None` for a credit.
        at: seconds since 1970.
    """

    account: int
    kind: Kind
    seconds: float
    task_id: int | None
    at: int


class InsufficientBalanceError(Exception):
    """The account has fewer video seconds than a task costs; nothing was charged.

    Attributes:
        balance: the account's video seconds.
    """

    def __init__(self, balance: float) -> None:
        super().__init__(f"the balance is {round(balance, 2):.15g} video seconds")
        self.balance = balance


def balance(connection: sqlite3.Connection, account: int) -> float | None:
    """Return the video seconds of an account; `None` if it has no limit."""
    (left,) = connection.execute(
        "SELECT balance FROM account WHERE number = ?", (account,)
    ).fetchone()
    return None if left is None else to_seconds(left)


def require(connection: sqlite3.Connection, account: int, seconds: float) -> None:
    """Check that an account has enough video seconds, without charging it.

    Raises:
        InsufficientBalanceError: it has not.
    """
    left = balance(connection, account)
    if left is not None and left < seconds:
        raise InsufficientBalanceError(left)


def credit(connection: sqlite3.Connection, account: int, seconds: float) -> None:
    """Add video seconds to an account; one without limit has a limit from then on."""
    connection.execute(
        "UPDATE account SET balance = coalesce(balance, 0) WHERE number = ?", (account,)
    )
    _move(connection, account, Kind.CREDIT, seconds, None)


def spend(connection: sqlite3.Connection, account: int, seconds: float, task_id: int) -> None:
    """Charge an account for a task if its balance suffices.

    Raises:
        InsufficientBalanceError: it does not; nothing was changed.
    """
    amount = to_thousandths(seconds)
    spent = connection.execute(
        "UPDATE account SET balance = balance - ? WHERE number = ? AND balance >= ?",
        (amount, account, amount),
    ).rowcount
    if not spent and (left := balance(connection, account)) is not None:
        raise InsufficientBalanceError(left)
    _add_entry(connection, account, Kind.CHARGE, -amount, task_id)


def charge(connection: sqlite3.Connection, account: int, seconds: float, task_id: int) -> None:
    """Charge an account for a task, even beyond its balance."""
    _move(connection, account, Kind.CHARGE, -seconds, task_id)


def refund(connection: sqlite3.Connection, account: int, seconds: float, task_id: int) -> None:
    """Return the charge of a task to its account."""
    _move(connection, account, Kind.REFUND, seconds, task_id)


def entries(connection: sqlite3.Connection, account: int) -> list[Entry]:
    """Return all entries of an account, the oldest first."""
    rows = connection.execute(
        "SELECT account, kind, amount, task_id, at FROM ledger WHERE account = ? ORDER BY entry",
        (account,),
    )
    return [
        Entry(account=owner, kind=Kind(kind), seconds=to_seconds(amount), task_id=task_id, at=at)
        for owner, kind, amount, task_id, at in rows
    ]


def to_seconds(amount: int) -> float:
    """Convert an amount of the tables to video seconds."""
    return amount / _THOUSANDTHS


def to_thousandths(seconds: float) -> int:
    """Convert video seconds to an amount of the tables."""
    return round(seconds * _THOUSANDTHS)


def _move(
    connection: sqlite3.Connection, account: int, kind: Kind, seconds: float, task_id: int | None
) -> None:
    amount = to_thousandths(seconds)
    # The balance of an account without limit stays null.
    connection.execute(
        "UPDATE account SET balance = balance + ? WHERE number = ?", (amount, account)
    )
    _add_entry(connection, account, kind, amount, task_id)


def _add_entry(
    connection: sqlite3.Connection, account: int, kind: Kind, amount: int, task_id: int | None
) -> None:
    connection.execute(
        "INSERT INTO ledger (account, kind, amount, task_id, at) VALUES (?, ?, ?, ?, ?)",
        (account, kind.value, amount, task_id, int(time.time())),
    )
