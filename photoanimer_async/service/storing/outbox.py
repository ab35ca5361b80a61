"""The outbox: notifications that are still to be delivered, as rows of the database.

A notification is written in the transaction that ends its task, with the body that will be
posted, and removed when it is delivered or given up. The URL is read from its account at each
attempt, so a wrong one can be corrected.

Functions that change something need a connection in a transaction.
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
    """A notification in the outbox.

    Attributes:
        number: its number in the database.
        task_id: the task that has ended.
        account: number of the account.
        body: the JSON to post.
        attempts: number of failed attempts.
        url: the account's URL for notifications.
        secret: signs it, as `whsec_...`; `None`: it is not signed.
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
        """An id that is the same for all attempts, and differs between notifications."""
        return f"task_{self.task_id}"


def put(connection: sqlite3.Connection, ended: Task) -> None:
    """Add the notification of a task's end, if its account has a URL for it."""
    connection.execute(
        "INSERT INTO notification (task_id, account, body, due)"
        " SELECT ?, number, ?, ? FROM account WHERE number = ? AND notify_url IS NOT NULL",
        (ended.task_id, _encode(ended_event(ended)), time.time(), ended.account),
    )


def due(
    connection: sqlite3.Connection, now: float, busy: Collection[int], limit: int
) -> list[Notification]:
    """Return notifications that are due, the earliest first.

    Args:
        connection: an open database.
        now: seconds since 1970.
        busy: accounts to leave out.
        limit: the largest number to return.
    """
    query = _DUE.format(", ".join("?" * len(busy)))
    rows: list[_Row] = connection.execute(query, (now, *busy, limit)).fetchall()
    return [Notification(*row) for row in rows]


def next_due(connection: sqlite3.Connection, now: float) -> float | None:
    """Return when the first notification after `now` is due, or `None`; seconds since 1970."""
    (earliest,) = connection.execute(
        "SELECT min(due) FROM notification WHERE due > ?", (now,)
    ).fetchone()
    return None if earliest is None else float(earliest)


def remove(connection: sqlite3.Connection, number: int) -> None:
    """Remove a notification that is delivered or given up."""
    connection.execute("DELETE FROM notification WHERE number = ?", (number,))


def postpone(connection: sqlite3.Connection, number: int, until: float) -> None:
    """Count a failed attempt, and set when the next one is due."""
    connection.execute(
        "UPDATE notification SET attempts = attempts + 1, due = ? WHERE number = ?",
        (until, number),
    )


def pending(connection: sqlite3.Connection) -> int:
    """Return the number of notifications."""
    (count,) = connection.execute("SELECT count(*) FROM notification").fetchone()
    return int(count)


def set_address(
    connection: sqlite3.Connection, account: int, url: str | None, secret: str | None
) -> None:
    """Set an account's URL and secret for all notifications from now on, pending ones included.

    Without a URL, pending notifications are dropped.
    """
    connection.execute(
        "UPDATE account SET notify_url = ?, notify_secret = ? WHERE number = ?",
        (url, secret, account),
    )
    if url is None:
        connection.execute("DELETE FROM notification WHERE account = ?", (account,))
