"""The service's database: changes in groups, each on disk before it is reported.

SQLite has one writer at a time, and what a commit costs is its sync of the disk, however much
is in it. So all changes go through one thread: it is given whatever has been asked for by the
time it is free, makes one transaction of it, commits that with one sync, and only then are the
outcomes reported. One change alone waits for one sync, a thousand at once for a few. One that
fails takes nothing of the others with it: if it has changed something by then, or if the commit
fails, the transaction is undone and each of them is made once more, in a transaction of its own.

A free thread is given its group a turn of the loop after the first change was asked for. By then
every request that came in together with that one has asked for its own. A thread that began at
once would take the interpreter from them, and commit by twos and threes.

Reads have a thread and a connection of their own. In WAL mode they see what was committed last,
and neither wait for a sync nor hold one up. Other processes may write too, between two groups:
`photoanimer serve keys` does.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from photoanimer_async.service.error_codes import SetupError
from photoanimer_async.service.storing.database_schema import bring_up_to_date

_R = TypeVar("_R")
_LARGEST_GROUP: Final = 256
_BUSY_SECONDS: Final = 10.0
_LONGEST_WAL: Final = 64 * 1024 * 1024
_CACHE_KIB: Final = 512
"""Of pages, for each connection. The system caches the file anyway, and by itself SQLite would
take up to 2 MiB, little by little, as the ledger grows."""


class _Change(NamedTuple):
    """Something to be done in a transaction, and who waits for it."""

    make: Callable[[sqlite3.Connection], Any]
    waiter: asyncio.Future[Any]


class _Outcome(NamedTuple):
    """What came of a change: its result, or why it was not made."""

    waiter: asyncio.Future[Any]
    result: Any
    error: Exception | None


class Database:
    """An open database; made by `open_database`."""

    def __init__(self, writing: sqlite3.Connection, reading: sqlite3.Connection) -> None:
        self._loop = asyncio.get_running_loop()
        self._writing = writing
        self._reading = reading
        self._asked: list[_Change] = []
        self._committing: asyncio.Task[None] | None = None
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="database-writer")
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="database-reader")

    async def write(self, change: Callable[[sqlite3.Connection], _R]) -> _R:
        """Make a change. It is on disk when this returns.

        Args:
            change: gets a connection that is in a transaction, and does nothing else, as it may
                be called twice. What it raises undoes it, and is raised here.

        Raises:
            sqlite3.Error: it could not be written down.
        """
        waiter: asyncio.Future[_R] = self._loop.create_future()
        self._asked.append(_Change(change, waiter))
        if self._committing is None:
            self._committing = self._loop.create_task(self._commit_asked())
        return await waiter

    async def read(self, query: Callable[[sqlite3.Connection], _R]) -> _R:
        """What a query finds among all that is committed."""
        return await self._loop.run_in_executor(self._reader, query, self._reading)

    async def close(self) -> None:
        """Write what is still to be written, and close the file."""
        if self._committing is not None:
            await asyncio.wait([self._committing])
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.shutdown()
        self._reader.shutdown()
        self._reading.close()
        self._writing.close()

    async def _commit_asked(self) -> None:
        """Commit group after group, until nothing is asked for."""
        while self._asked:
            group = self._asked[:_LARGEST_GROUP]
            del self._asked[:_LARGEST_GROUP]
            _deliver(await self._loop.run_in_executor(self._writer, self._commit, group))
        self._committing = None

    def _commit(self, group: Sequence[_Change]) -> list[_Outcome]:
        try:
            self._writing.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            return [_Outcome(change.waiter, None, error) for change in group]
        try:
            outcomes = [self._make(change) for change in group]
            self._writing.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - whoever waits is told
            with suppress(sqlite3.Error):
                self._writing.execute("ROLLBACK")
            if len(group) == 1:
                return [_Outcome(group[0].waiter, None, error)]
            return [outcome for change in group for outcome in self._commit([change])]
        return outcomes

    def _make(self, change: _Change) -> _Outcome:
        """Make a change; one that fails before it has changed anything harms nobody."""
        before = self._writing.total_changes
        try:
            return _Outcome(change.waiter, change.make(self._writing), None)
        except Exception as error:
            if self._writing.total_changes != before:
                raise
            return _Outcome(change.waiter, None, error)


def _deliver(outcomes: Sequence[_Outcome]) -> None:
    for waiter, result, error in outcomes:
        if waiter.done():  # nobody waits for it any more
            continue
        if error is None:
            waiter.set_result(result)
        else:
            waiter.set_exception(error)


@asynccontextmanager
async def open_database(path: Path) -> AsyncIterator[Database]:
    """Open the database, making it if it is not there; its owner alone can read it.

    Raises:
        SetupError: it is in use, is no database of this service, or of a newer version.
    """
    writing = await asyncio.to_thread(connected, path)
    reading = await asyncio.to_thread(connected, path)
    database = Database(writing, reading)
    try:
        yield database
    finally:
        await database.close()


def connected(path: Path) -> sqlite3.Connection:
    """A connection to the database, whose tables are up to date; for one thread at a time.

    Raises:
        SetupError: as `open_database`.
    """
    try:
        path.touch(mode=0o600)
        connection = sqlite3.connect(
            path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
    except (OSError, sqlite3.Error) as error:
        raise SetupError(f"{path} can not be used: {error}") from error
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute(f"PRAGMA journal_size_limit = {_LONGEST_WAL}")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        bring_up_to_date(connection, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise SetupError(f"{path.parent} is in use by another service") from error
        raise SetupError(f"{path} can not be used: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection
