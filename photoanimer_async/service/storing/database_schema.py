"""The tables of the service's database and their migrations.

`task` has one row for each accepted task that has not expired; `sequence` is their order. `input`
has the photo and voice of each open task. `account` has one row for each name that ever had a
key; number 0 is the service's own account, which is used where there are no keys. `ledger` has
one row for each movement of video seconds, in thousandths, and `account.balance` is their sum, or
null for an account without limit. `notification` has what is still to be sent to
`account.notify_url`. Times are seconds since 1970.

The rows of a submit are appended to each table, and the one index that it changes is on ids that
are close together: the cost of a commit is the number of pages that it changes.

A database of an older version is migrated when it is opened, in one transaction.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from photoanimer_async.service.error_codes import SetupError

_VERSION_1: Final = """
    CREATE TABLE task (
        sequence    INTEGER PRIMARY KEY,
        task_id     INTEGER NOT NULL UNIQUE,
        template    INTEGER NOT NULL,
        gif         INTEGER NOT NULL,
        voice       INTEGER NOT NULL,
        token       TEXT NOT NULL UNIQUE,
        origin      TEXT NOT NULL,
        status      INTEGER NOT NULL,
        fail_code   INTEGER,
        fail_reason TEXT,
        created     TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
    ) STRICT;
    CREATE INDEX open_task ON task (sequence) WHERE status = 0;
"""
_VERSION_2: Final = """
    ALTER TABLE task RENAME TO task_1;
    DROP INDEX open_task;
    CREATE TABLE task (
        sequence    INTEGER PRIMARY KEY,
        task_id     INTEGER NOT NULL UNIQUE,
        account     INTEGER NOT NULL,
        template    INTEGER NOT NULL,
        gif         INTEGER NOT NULL,
        voice       INTEGER NOT NULL,
        token       TEXT NOT NULL,
        origin      TEXT NOT NULL,
        charged     INTEGER NOT NULL,
        status      INTEGER NOT NULL DEFAULT 0,
        fail_code   INTEGER,
        fail_reason TEXT,
        has_results INTEGER NOT NULL DEFAULT 0,
        ended       INTEGER
    ) STRICT;
    INSERT INTO task
        SELECT sequence, task_id, 0, template, gif, voice, token, origin, 0, status, fail_code,
            fail_reason, status = 1, CASE WHEN status <> 0 THEN CAST(strftime('%s') AS INTEGER) END
        FROM task_1;
    DROP TABLE task_1;
    CREATE INDEX ended_task ON task (ended) WHERE ended IS NOT NULL;
    CREATE INDEX kept_result ON task (ended) WHERE has_results = 1;
    CREATE TABLE input (
        sequence INTEGER PRIMARY KEY,
        photo    BLOB NOT NULL,
        voice    BLOB
    ) STRICT;
    CREATE TABLE account (
        number  INTEGER PRIMARY KEY,
        name    TEXT NOT NULL UNIQUE,
        digest  BLOB UNIQUE,
        balance INTEGER,
        rate    REAL
    ) STRICT;
    INSERT INTO account (number, name) VALUES (0, '');
    CREATE TABLE ledger (
        entry   INTEGER PRIMARY KEY,
        account INTEGER NOT NULL,
        kind    TEXT NOT NULL,
        amount  INTEGER NOT NULL,
        task_id INTEGER,
        at      INTEGER NOT NULL
    ) STRICT;
"""
_VERSION_3: Final = """
    ALTER TABLE account ADD COLUMN notify_url TEXT;
    ALTER TABLE account ADD COLUMN notify_secret TEXT;
    CREATE TABLE notification (
        number   INTEGER PRIMARY KEY,
        task_id  INTEGER NOT NULL,
        account  INTEGER NOT NULL,
        body     TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        due      REAL NOT NULL
    ) STRICT;
    CREATE INDEX due_notification ON notification (due);
"""


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Create the tables, or bring those of an older version up to date.

    Args:
        connection: an open database, not in a transaction.
        path: its file; version 1 kept inputs in a folder beside it.

    Raises:
        SetupError: the database has a newer version, or another program's tables.
    """
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(_MIGRATIONS):
            raise SetupError(
                f"{path} has version {version} of the tasks' database, and this service supports "
                f"up to version {len(_MIGRATIONS)}: use the newer service, or another folder"
            )
        if version == 0 and connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
            raise SetupError(f"{path} is the database of another program; use another folder")
        for migration in _MIGRATIONS[version:]:
            migration(connection, path)
        connection.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")


def _to_version_1(connection: sqlite3.Connection, _: Path) -> None:
    _execute_all(connection, _VERSION_1)


def _to_version_2(connection: sqlite3.Connection, path: Path) -> None:
    _execute_all(connection, _VERSION_2)
    inputs = path.with_name("inputs")
    query = "SELECT sequence, task_id FROM task WHERE status = 0"
    for sequence, task_id in connection.execute(query).fetchall():
        photo, voice = (inputs / f"{task_id}.{kind}" for kind in ("photo", "voice"))
        if photo.is_file():
            connection.execute(
                "INSERT INTO input (sequence, photo, voice) VALUES (?, ?, ?)",
                (sequence, photo.read_bytes(), voice.read_bytes() if voice.is_file() else None),
            )


def _to_version_3(connection: sqlite3.Connection, _: Path) -> None:
    _execute_all(connection, _VERSION_3)


def _execute_all(connection: sqlite3.Connection, statements: str) -> None:
    # `executescript` would commit the transaction first.
    for statement in statements.split(";"):
        connection.execute(statement)


_MIGRATIONS: Final[tuple[Callable[[sqlite3.Connection, Path], None], ...]] = (
    _to_version_1,
    _to_version_2,
    _to_version_3,
)
