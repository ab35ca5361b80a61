"""The tasks' database: what was accepted is never forgotten.

One SQLite file, one connection, and one thread that alone uses it: the event loop hands its
statements over and waits. In WAL mode with `synchronous=FULL` a task that was added is on disk
when `add` returns. The connection holds the file's lock for as long as it is open
(`locking_mode=EXCLUSIVE`), so that two services never work on the same tasks; the system
gives the lock back when a process dies.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from photoanimer_async.service.errors import SetupError
from photoanimer_async.service.tasks import Task, TaskStatus

_P = ParamSpec("_P")
_R = TypeVar("_R")

_SCHEMA_VERSION: Final = 1
_SCHEMA: Final = """
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
_SELECT: Final = (
    "SELECT task_id, template, gif, voice, token, origin, status, fail_code, fail_reason FROM task"
)
_INSERT: Final = (
    "INSERT INTO task"
    " (task_id, template, gif, voice, token, origin, status, fail_code, fail_reason)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class TaskStore:
    """The tasks; made by `open_store`."""

    def __init__(self, connection: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self._connection = connection
        self._thread = thread

    async def add(self, task: Task) -> None:
        """Write down a new task. It is on disk when this returns."""
        await self._call(self._add, task)

    async def get(self, task_id: int) -> Task | None:
        """The task with this id, if there is one."""
        return await self._call(self._get, task_id)

    async def open_tasks(self) -> list[Task]:
        """Every task that has not ended, the oldest first."""
        return await self._call(self._open_tasks)

    async def finish(self, task_id: int) -> None:
        """An open task's results are there. A task that has ended stays as it is."""
        await self._call(self._end, task_id, TaskStatus.FINISHED, None, None)

    async def fail(self, task_id: int, code: int, reason: str) -> None:
        """An open task will never have results. A task that has ended stays as it is."""
        await self._call(self._end, task_id, TaskStatus.FAILED, code, reason)

    async def _call(self, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        future = self._thread.submit(function, *args, **kwargs)
        return await asyncio.wrap_future(future)

    def _add(self, task: Task) -> None:
        with self._connection:
            self._connection.execute(_INSERT, _row(task))

    def _get(self, task_id: int) -> Task | None:
        row = self._connection.execute(f"{_SELECT} WHERE task_id = ?", (task_id,)).fetchone()
        return None if row is None else _task(row)

    def _open_tasks(self) -> list[Task]:
        rows = self._connection.execute(f"{_SELECT} WHERE status = 0 ORDER BY sequence")
        return [_task(row) for row in rows]

    def _end(self, task_id: int, status: TaskStatus, code: int | None, reason: str | None) -> None:
        with self._connection:
            self._connection.execute(
                "UPDATE task SET status = ?, fail_code = ?, fail_reason = ?"
                " WHERE task_id = ? AND status = 0",
                (status.value, code, reason, task_id),
            )


@asynccontextmanager
async def open_store(path: Path) -> AsyncIterator[TaskStore]:
    """Open the database, making it if it is not there.

    Raises:
        SetupError: it is in use, is no database of this service, or of a newer version.
    """
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="task-store")
    try:
        connection = await loop.run_in_executor(thread, _connect, path)
        try:
            yield TaskStore(connection, thread)
        finally:
            await loop.run_in_executor(thread, connection.close)
    finally:
        thread.shutdown(wait=False)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=0, check_same_thread=False)
    try:
        _prepare(connection, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise SetupError(f"{path.parent} is in use by another service") from error
        raise SetupError(f"{path} can not be used: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    # The lock is taken by the first write.
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute("COMMIT")
    if version == 0:
        connection.executescript(
            f"BEGIN; {_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;"
        )
    elif version != _SCHEMA_VERSION:
        raise SetupError(
            f"{path} has version {version} of the tasks' database, this service knows up to "
            f"version {_SCHEMA_VERSION}: use the newer service, or another folder"
        )


def _row(task: Task) -> tuple[int | str | None, ...]:
    return (
        task.task_id,
        task.template,
        task.gif,
        task.voice,
        task.token,
        task.origin,
        task.status.value,
        task.fail_code,
        task.fail_reason,
    )


def _task(row: tuple[int, int, int, int, str, str, int, int | None, str | None]) -> Task:
    task_id, template, gif, voice, token, origin, status, fail_code, fail_reason = row
    return Task(
        task_id=task_id,
        template=template,
        gif=bool(gif),
        voice=bool(voice),
        token=token,
        origin=origin,
        status=TaskStatus(status),
        fail_code=fail_code,
        fail_reason=fail_reason,
    )
