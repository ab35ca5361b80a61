"""Notifications that are still to be delivered, as they are kept in the database.

A notification is written down in the transaction that ends its task, with the body that is
posted, and removed when it is delivered or given up. Where it goes is its account's address at
the time of each attempt, so that a wrong one can be put right.

Every function works on a connection; those that change something, on one in a transaction.
"""

import json
import sqlite3
import time
from collections.abc import Collection
from typing import Final

from attrs import field, frozen

from photoanimer_async.service.http.envelope import ended_event
from photoanimer_async.service.tasks import Task

_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_DUE: Final = """
    SELECT notification.number, task_id, account, body, attempts, notify_url, notify_secret
    FROM notification JOIN account ON account.number = notification.account
    WHERE due <= ? AND notify_url IS NOT NULL AND account NOT IN ({})
    ORDER BY due LIMIT ?
"""
_Row = tuple[int, int, int, str, int, str, str | None]


@frozen
class Notification:
    """One that is to be delivered.

    Attributes:
        number: its number in the database.
        task_id: the task that has ended.
        account: number of the account that it is for.
        body: JSON, as it is posted.
        attempts: how often it was tried in vain.
        url: the account's address.
        secret: what signs it, as `whsec_...`; `None` if nothing does.
    """

    number: int
    task_id: int
    account: int
    body: str
    attempts: int
    url: str = field(repr=False)
    secret: str | None = field(repr=False)

    @property
    def message_id(self) -> str:
        """What is the same at every attempt, and different for every notification."""
        return f"task_{self.task_id}"


def put(connection: sqlite3.Connection, ended: Task) -> None:
    """Write down that a task has ended, if its account wants to know."""
    connection.execute(
        "INSERT INTO notification (task_id, account, body, due)"
        " SELECT ?, number, ?, ? FROM account WHERE number = ? AND notify_url IS NOT NULL",
        (ended.task_id, _encode(ended_event(ended)), time.time(), ended.account),
    )


def due(
    connection: sqlite3.Connection, now: float, busy: Collection[int], limit: int
) -> list[Notification]:
    """What is to be tried by now, the earliest first.

    Args:
        connection: an open database.
        now: seconds since 1970.
        busy: accounts to leave out.
        limit: how many at most.
    """
    query = _DUE.format(", ".join("?" * len(busy)))
    rows: list[_Row] = connection.execute(query, (now, *busy, limit)).fetchall()
    return [Notification(*row) for row in rows]


def next_due(connection: sqlite3.Connection, now: float) -> float | None:
    """When the next one after now is to be tried, in seconds since 1970; `None` if none is."""
    (earliest,) = connection.execute(
        "SELECT min(due) FROM notification WHERE due > ?", (now,)
    ).fetchone()
    return None if earliest is None else float(earliest)


def remove(connection: sqlite3.Connection, number: int) -> None:
    """It is delivered, or given up."""
    connection.execute("DELETE FROM notification WHERE number = ?", (number,))


def postpone(connection: sqlite3.Connection, number: int, until: float) -> None:
    """It was tried in vain, and is to be tried again at this time."""
    connection.execute(
        "UPDATE notification SET attempts = attempts + 1, due = ? WHERE number = ?",
        (until, number),
    )


def pending(connection: sqlite3.Connection) -> int:
    """How many there are."""
    (count,) = connection.execute("SELECT count(*) FROM notification").fetchone()
    return int(count)


def set_address(
    connection: sqlite3.Connection, account: int, url: str | None, secret: str | None
) -> None:
    """Where an account's notifications go from now on, pending ones too; `None`: nowhere."""
    connection.execute(
        "UPDATE account SET notify_url = ?, notify_secret = ? WHERE number = ?",
        (url, secret, account),
    )
    if url is None:
        connection.execute("DELETE FROM notification WHERE account = ?", (account,))
