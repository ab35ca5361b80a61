"""Where a journal is, and how its file is created and opened. Blocking."""

import os
import sqlite3
import stat
from contextlib import suppress
from pathlib import Path

from photoanimer_async.errors import JournalError
from photoanimer_async.jobs.journal.journal_schema import APPLICATION_ID, SCHEMA_VERSION, STATEMENTS
from photoanimer_async.redaction import printable

BUSY_SECONDS = 5.0
_NO_SHARED_MEMORY = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)


def journal_path(path: str | os.PathLike[str], *, create: bool) -> Path:
    """Return the journal's own path, without symbolic links: it has one lock, whatever its names.

    Args:
        path: as the caller named it.
        create: whether it may be missing.

    Raises:
        JournalError: no journal can be there, or there is none and `create` is false.
    """
    name = os.fsdecode(path)
    shown = printable(name) or "(an empty name)"
    if not name:
        raise JournalError(f"{shown}: no file can have such a name")
    try:
        real = os.path.realpath(name)
        status = os.stat(real)  # noqa: PTH116 - beside `realpath`
    except ValueError:  # a null character, or a surrogate that stands for no byte
        raise JournalError(f"{shown}: no file can have such a name") from None
    except FileNotFoundError:
        if not create:
            raise JournalError(f"{shown}: no such journal") from None
        return Path(real)
    except OSError as error:
        raise JournalError(f"{shown}: cannot be used: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a device"
        raise JournalError(f"{shown}: is {kind}, not a file")
    if status.st_nlink > 1:
        raise JournalError(
            f"{shown}: is one file under {status.st_nlink} names (hard links), which could be used "
            "twice at once: copy it"
        )
    if not status.st_size:
        # A journal has content from its first moment on: see `create_journal`.
        raise JournalError(
            f"{shown}: is empty: a journal that was there has been lost. To begin a new one, "
            "delete the file"
        )
    return Path(real)


def create_journal(path: Path) -> None:
    """Create an empty journal, readable by its owner only; it appears complete or not at all.

    Raises:
        OSError, sqlite3.Error: it cannot be created.
    """
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        connection = sqlite3.connect(draft, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            connection.execute("BEGIN")  # each statement would be synced
            for statement in STATEMENTS:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.execute("COMMIT")
        finally:
            connection.close()
        draft.rename(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    # Not every file system can sync a folder.
    with suppress(OSError):
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def connect(path: Path) -> sqlite3.Connection:
    """Open a journal in WAL mode.

    Some network drives have no memory that processes share. There it is locked as a whole, so
    that other processes cannot read it meanwhile.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    try:
        return _connect(path, exclusive=False)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in _NO_SHARED_MEMORY:
            raise
        first = error
    try:
        return _connect(path, exclusive=True)
    except sqlite3.OperationalError:
        raise first from None


def _connect(path: Path, *, exclusive: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        if exclusive:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")
        # Memory that cannot be shared may show at the first write only.
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except BaseException:
        connection.close()
        raise
    return connection


def commits_in_wal(path: Path, page_size: int) -> list[int]:
    """Return the numbers of the frames in `-wal` that end a transaction, whole or damaged.

    The form is that of https://www.sqlite.org/fileformat2.html#the_write_ahead_log: frames of one
    generation have the same salt; those of an earlier one may be left behind them.
    """
    try:
        content = wal_of(path).read_bytes()
    except FileNotFoundError:
        return []
    starts = range(32, len(content) - 23, 24 + page_size)
    salt = content[40:48]
    return [
        number
        for number, start in enumerate(starts, 1)
        if content[start + 8 : start + 16] == salt and any(content[start + 4 : start + 8])
    ]


def wal_of(path: Path) -> Path:
    """Return the file beside a journal that holds its latest transactions."""
    return path.with_name(f"{path.name}-wal")
