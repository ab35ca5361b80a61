"""SQLite with group commit: many changes share one sync of the disk.

SQLite allows one writer at a time, and a commit costs one sync, however much it contains. So all
changes go through one thread. Whenever it is free, it takes all changes that are queued, makes
one transaction of them, commits it, and only then are the results reported. A single change
waits for one sync, a thousand at once for a few.

A change that fails does not affect the others in its group. If it has modified something by
then, or if the commit fails, the transaction is rolled back and each change is made again in a
transaction of its own.

The thread gets its first group one iteration of the event loop after the first change was
queued, when all requests that arrived together have queued theirs. If it started at once, it
would compete with them for the interpreter and commit them in twos and threes.

Reads have a thread and a connection of their own. In WAL mode they see the last commit, do not
wait for a sync and do not delay one. Other processes may write between two groups, as
`photoanimer serve keys` does.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from photoanimer_async.service.error_codes import SetupError
from photoanimer_async.service.storing.database_schema import migrate

_R = TypeVar("_R")
_logger = logging.getLogger(__name__)
_LARGEST_GROUP: Final = 256
_BUSY_SECONDS: Final = 10.0
_LARGEST_WAL: Final = 64 * 1024 * 1024
_INCREMENTAL: Final = 2
_KEPT_PAGES: Final = 1024
_PAGES_AT_ONCE: Final = 1024
_CHECK_SECONDS: Final = 5.0
_STEPS_BETWEEN_CHECKS: Final = 100_000
_CHECKED_TABLES: Final = ("account", "notification", "ledger", "task")
_DAMAGED: Final = "{} is damaged ({}): put a backup in its place, or use another folder"
_CACHE_KIB: Final = 512
"""Page cache of each connection. The system caches the file anyway; SQLite's default of 2 MiB
would fill up as the ledger grows."""

_SMALL_CHANGE: Final = "UPDATE account SET rate = rate WHERE number = 0"


class _Change(NamedTuple):
    """A queued change and the future of its result."""

    apply: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]


class _Result(NamedTuple):
    """The result of a change, or its error."""

    future: asyncio.Future[Any]
    value: Any
    error: Exception | None


class _Uncancellable(asyncio.Future[_R]):
    """A future that only its result ends.

    A task that is cancelled while it waits for one continues to wait, and gets the cancellation in
    place of the result. That costs half as much as `asyncio.shield`.
    """

    def cancel(self, msg: object = None) -> bool:
        """Do nothing; the waiting task is cancelled once the result is there."""
        del msg
        return False


class Database:
    """An open database; create it with `open_database`.

    async with open_database(path) as database:
        await database.write(lambda connection: connection.execute("DELETE FROM ..."))
        row = await database.read(lambda connection: connection.execute("...").fetchone())
    """

    def __init__(self, writing: sqlite3.Connection, reading: sqlite3.Connection) -> None:
        self._loop = asyncio.get_running_loop()
        self._writing = writing
        self._reading = reading
        self._queued: list[_Change] = []
        self._committing: asyncio.Task[None] | None = None
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="database-writer")
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="database-reader")

    async def write(self, change: Callable[[sqlite3.Connection], _R]) -> _R:
        """Make a change and return its result once it is on disk.

        Args:
            change: called in a thread with a connection that is in a transaction. It must do
                nothing else, because it may be called twice. An exception rolls it back, and is
                raised here.

        Raises:
            sqlite3.Error: the change could not be written.
        """
        future: asyncio.Future[_R] = self._loop.create_future()
        self._queue(change, future)
        return await future

    async def write_despite_cancel(self, change: Callable[[sqlite3.Connection], _R]) -> _R:
        """Make a change like `write`, and return its result even if the caller is cancelled.

        The cancellation takes effect at the next place where the caller waits: what belongs to a
        change that is on disk can still be done.
        """
        future: _Uncancellable[_R] = _Uncancellable(loop=self._loop)
        self._queue(change, future)
        try:
            return await future
        except asyncio.CancelledError:  # of the caller, and the future is done
            caller = asyncio.current_task()
            assert caller is not None  # noqa: S101 - only tasks are cancelled
            caller.cancel()
            return future.result()

    def _queue(
        self, change: Callable[[sqlite3.Connection], _R], future: asyncio.Future[_R]
    ) -> None:
        self._queued.append(_Change(change, future))
        if self._committing is None:
            self._committing = self._loop.create_task(self._commit_queued())

    async def read(self, query: Callable[[sqlite3.Connection], _R]) -> _R:
        """Return the result of a query, called in a thread, on all that is committed."""
        return await self._loop.run_in_executor(self._reader, query, self._reading)

    async def check_writable(self) -> None:
        """Make a small change, which leaves everything as it is.

        Raises:
            sqlite3.Error: it could not be written, because the disk is full, another process has
                locked the database, or it is damaged.
        """
        await self.write(lambda connection: connection.execute(_SMALL_CHANGE))

    async def give_back_space(self) -> None:
        """Shrink the file if much of it is free, and empty the write-ahead log.

        Pages that were deleted are overwritten in the file (`secure_delete`), but their old content
        stays in the log until that is emptied.

        Raises:
            sqlite3.Error: it could not be done now.
        """
        while await self.write(_vacuum_some_pages):
            pass
        await self._loop.run_in_executor(self._writer, self._empty_log)

    def _empty_log(self) -> None:
        # Do not wait for readers: no change could be made meanwhile.
        self._writing.execute("PRAGMA busy_timeout = 0")
        try:
            self._writing.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            self._writing.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000:.0f}")

    async def close(self) -> None:
        """Commit what is queued and close the file."""
        if self._committing is not None:
            await asyncio.wait([self._committing])
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.shutdown()
        self._reader.shutdown()
        self._reading.close()
        self._writing.close()

    async def _commit_queued(self) -> None:
        """Commit one group after another until nothing is queued."""
        while self._queued:
            group = self._queued[:_LARGEST_GROUP]
            del self._queued[:_LARGEST_GROUP]
            try:
                results = await self._loop.run_in_executor(self._writer, self._commit, group)
            except Exception as error:  # noqa: BLE001 - raised in the calls of `write`
                results = [_Result(change.future, None, error) for change in group]
            _report(results)
        self._committing = None

    def _commit(self, group: Sequence[_Change]) -> list[_Result]:
        try:
            self._writing.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            return [_Result(change.future, None, error) for change in group]
        try:
            results = [self._apply(change) for change in group]
            self._writing.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - raised in the call of `write`
            with suppress(sqlite3.Error):
                self._writing.execute("ROLLBACK")
            if len(group) == 1:
                return [_Result(group[0].future, None, error)]
            return [result for change in group for result in self._commit([change])]
        return results

    def _apply(self, change: _Change) -> _Result:
        """Make a change; raise only if it failed after it had modified something."""
        before = self._writing.total_changes
        try:
            return _Result(change.future, change.apply(self._writing), None)
        except Exception as error:
            if self._writing.total_changes != before:
                raise
            return _Result(change.future, None, error)


def _vacuum_some_pages(connection: sqlite3.Connection) -> bool:
    """Give back some free pages; return whether there are more than are kept for new tasks."""
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    if free <= _KEPT_PAGES:
        return False
    (before,) = connection.execute("PRAGMA page_count").fetchone()
    pages = min(free - _KEPT_PAGES, _PAGES_AT_ONCE)
    connection.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()
    (after,) = connection.execute("PRAGMA page_count").fetchone()
    return bool(after < before)


def _report(results: Sequence[_Result]) -> None:
    for future, value, error in results:
        if future.done():  # cancelled
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)


@asynccontextmanager
async def open_database(path: Path) -> AsyncIterator[Database]:
    """Open the database, creating it if it does not exist, readable for its owner only.

    Raises:
        SetupError: the file is in use, is damaged, is not a database of this service, or has a
            newer version.
    """
    writing = await asyncio.to_thread(connect, path)
    try:
        await asyncio.to_thread(_check, writing, path)
        await asyncio.to_thread(_make_shrinkable, writing)
        reading = await asyncio.to_thread(connect, path)
    except BaseException:
        await asyncio.to_thread(writing.close)
        raise
    database = Database(writing, reading)
    try:
        yield database
    finally:
        await database.close()


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Check what accounts and tasks depend on, as far as that takes a few seconds.

    Raises:
        SetupError: the database is damaged.
    """
    deadline = time.monotonic() + _CHECK_SECONDS
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_CHECKS)
    try:
        for table in _CHECKED_TABLES:
            [(found,), *_] = connection.execute(f"PRAGMA quick_check({table})").fetchall()
            if found != "ok":
                raise sqlite3.DatabaseError(found)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            return
        raise SetupError(_DAMAGED.format(path, error)) from error
    finally:
        connection.set_progress_handler(None, 0)


def _is_emptied(path: Path) -> bool:
    """Return whether a database has lost its content; SQLite would take it for a new one."""
    log, results = path.with_name(f"{path.name}-wal"), path.with_name("results")
    return (
        path.is_file()
        and not path.stat().st_size
        and (log.exists() or (results.is_dir() and any(results.iterdir())))
    )


def _make_shrinkable(connection: sqlite3.Connection) -> None:
    """Rewrite a database of an earlier version, so that it can give back space."""
    (mode,) = connection.execute("PRAGMA auto_vacuum").fetchone()
    if mode == _INCREMENTAL:
        return
    try:
        connection.execute("VACUUM")
    except sqlite3.Error as error:
        _logger.warning("event=not_vacuumed reason=%r", str(error))


def unusable(path: Path, error: sqlite3.Error) -> SetupError:
    """Return the error for a database that cannot be used, with what to do."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without SQLite's extension of it
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return SetupError(f"{path.parent} is in use by another program; try again")
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return SetupError(_DAMAGED.format(path, error))
    return SetupError(f"{path} cannot be used: {error}")


def connect(path: Path) -> sqlite3.Connection:
    """Connect to the database and migrate its tables; use the connection in one thread at a time.

    Raises:
        SetupError: as `open_database`.
    """
    try:
        if _is_emptied(path):
            raise SetupError(_DAMAGED.format(path, "it is empty"))
        path.touch(mode=0o600)
        connection = sqlite3.connect(
            path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
    except (OSError, sqlite3.Error) as error:
        raise SetupError(f"{path} cannot be used: {error}") from error
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # of a new file
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute(f"PRAGMA journal_size_limit = {_LARGEST_WAL}")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        migrate(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise unusable(path, error) from error
    except BaseException:
        connection.close()
        raise
    return connection
