"""The open file of a journal: transactions, errors, and the merging of the file beside it.

SQLite keeps the latest transactions of a journal beside it, in `<journal>-wal`, until they are
merged into the file. A copy of the file alone would lack them, and a batch that continues from it
would pay again for what they say. So the row of the table `sidecar` that is in the file itself is
1 while there may be more in `-wal`, and 0 once everything is merged. Only `merge` merges meanwhile,
and marks the file so; SQLite itself does when the last connection is closed.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from photoanimer_async.errors import JournalError, PhotoAnimerError
from photoanimer_async.jobs.journal.entries import Column, RefusedStepError
from photoanimer_async.jobs.journal.journal_opening import (
    BUSY_SECONDS,
    commits_in_wal,
    connect,
    create_journal,
    journal_path,
    wal_of,
)
from photoanimer_async.jobs.journal.journal_schema import APPLICATION_ID, SCHEMA_VERSION
from photoanimer_async.redaction import printable

_MERGE_BYTES = 4 * 2**20


class _IncompleteError(JournalError):
    """The file beside the journal is missing."""


_UNSTORABLE = (
    ValueError,  # text that is not Unicode, a path that is none
    OverflowError,  # a number of more than 64 bits
    sqlite3.DataError,  # larger than SQLite allows
    sqlite3.InterfaceError,  # of a type that SQLite does not know
    sqlite3.ProgrammingError,  # the same in newer versions of Python
)


class JournalFile:
    """An open journal file. Blocking, for one thread at a time.

    Args:
        path: the file.
        create: whether it is made if missing, readable by its owner only, since it holds URLs of
            photos.

    Raises:
        JournalError: it is not a journal, is damaged, of a newer version, or cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True) -> None:
        self._path = journal_path(path, create=create)
        self._merge_at = 0
        with self._as_journal_error():
            if not self._path.exists():
                create_journal(self._path)
        try:
            self._open()
        except _IncompleteError:
            # Unless another process has begun to use it just now, and has created `-wal`.
            self._open()

    def _open(self) -> None:
        with self._as_journal_error(), self._reading():
            has_wal = wal_of(self._path).exists()
            self._connection = connect(self._path)
            self._files = {path: path.stat() for path in (self._path, wal_of(self._path))}
        try:
            with self._as_journal_error(), self._reading():
                self._require_schema()
                self._require_complete(has_wal=has_wal)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the file; SQLite's files beside it are merged into it."""
        with self._as_journal_error():
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all changes of the block durable together, or none.

        Raises:
            RefusedStepError: one of them cannot be stored.
            JournalError: they could not be written.
        """
        with self._as_journal_error():
            self._require_same_file()
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                try:
                    yield
                except _UNSTORABLE as error:
                    raise RefusedStepError(
                        f"{printable(str(self._path))}: cannot be stored: {printable(str(error))}"
                    ) from error
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    def merge(self) -> None:
        """Merge the file `-wal` into the journal itself, as far as no reader prevents it.

        Raises:
            JournalError: it cannot be written.
        """
        self._expect_sidecar(expected=True)
        with self._as_journal_error():
            # By `merge` only: SQLite would not mark the file.
            self._connection.execute("PRAGMA wal_autocheckpoint = 0")
            self._connection.execute("PRAGMA busy_timeout = 0")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")
        self._expect_sidecar(expected=False)
        self._merge_at = self._wal_bytes() + _MERGE_BYTES

    def merge_if_large(self) -> None:
        """Merge once the file `-wal` has grown by 4 MiB."""
        if self._wal_bytes() > self._merge_at:
            self.merge()

    def _wal_bytes(self) -> int:
        with self._as_journal_error(), suppress(FileNotFoundError):
            return wal_of(self._path).stat().st_size
        return 0

    def require_sound(self) -> None:
        """Check the whole file: a damaged index would hide photos that have been paid for.

        SQLite ignores what is behind a damaged transaction in `-wal`. A power cut leaves one such
        transaction at most, since each is synced before the next one begins.

        Raises:
            JournalError: it is damaged.
        """
        with self._as_journal_error(), self._reading():
            (page_size,) = self._connection.execute("PRAGMA page_size").fetchone()
            _, frames, _ = self._connection.execute("PRAGMA wal_checkpoint").fetchone()
            ignored = [n for n in commits_in_wal(self._path, page_size) if n > frames]
            if len(ignored) > 1:
                raise self._damaged(f"{len(ignored)} transactions in {wal_of(self._path).name}")
        with self._as_journal_error(), self._reading():
            (found,) = self._connection.execute("PRAGMA integrity_check(1)").fetchone()
            if found != "ok":
                raise self._damaged(found)

    def _expect_sidecar(self, *, expected: bool) -> None:
        with self.transaction():
            self._connection.execute("UPDATE sidecar SET expected = ?", (expected,))

    def _require_schema(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        (application,) = self._connection.execute("PRAGMA application_id").fetchone()
        if application != APPLICATION_ID:
            raise JournalError(f"{printable(str(self._path))}: is a database, but not a journal")
        if version > SCHEMA_VERSION:
            raise JournalError(
                f"{printable(str(self._path))}: is a journal of version {version}; "
                f"this program reads versions up to {SCHEMA_VERSION}"
            )

    def _require_complete(self, *, has_wal: bool) -> None:
        """Raise if the file was copied without the transactions that were beside it."""
        tables = "SELECT count(*) FROM sqlite_master WHERE name = 'sidecar'"
        if self._connection.execute(tables).fetchone() == (0,):
            return
        if self._connection.execute("SELECT max(expected) FROM sidecar").fetchone() != (1,):
            return
        if not has_wal:
            raise _IncompleteError(
                f"{printable(str(self._path))}: is not complete: its latest records were in "
                f"{printable(wal_of(self._path).name)}, which is missing. Copy that file too"
            )
        # Killed between two steps of `merge`: closing this connection deletes `-wal`.
        with suppress(JournalError):
            self._expect_sidecar(expected=False)

    def _require_same_file(self) -> None:
        for path, opened in self._files.items():
            try:
                is_same = os.path.samestat(opened, path.stat())
            except FileNotFoundError:
                is_same = False
            if not is_same:
                raise JournalError(
                    f"{printable(str(path))}: was deleted or replaced while it was in use"
                )

    def _damaged(self, what: object) -> JournalError:
        return JournalError(f"{printable(str(self._path))}: is damaged: {printable(str(what))}")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Raise what a damaged row causes as `JournalError`."""
        try:
            yield
        except JournalError:
            raise
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            MemoryError,
            PhotoAnimerError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            raise self._damaged(error) from error

    def _inserted(self, statement: str, values: tuple[Column, ...]) -> int:
        return self._connection.execute(statement, values).lastrowid or 0

    def _rows(self, statement: str, values: tuple[Column, ...] = ()) -> list[dict[str, Any]]:
        with self._as_journal_error(), self._reading():
            cursor = self._connection.execute(statement, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    @contextmanager
    def _as_journal_error(self) -> Iterator[None]:
        """Raise errors of SQLite and of the system as `JournalError`, with the file's name."""
        try:
            yield
        except OSError as error:
            raise JournalError(
                f"{printable(str(self._path))}: cannot be created: {error.strerror}"
            ) from error
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            text = printable(str(error))
            match code:
                case sqlite3.SQLITE_FULL:
                    reason = "cannot be written: no space is left on the disk"
                case sqlite3.SQLITE_CORRUPT:
                    reason = f"is damaged: {text}"
                case sqlite3.SQLITE_NOTADB:
                    reason = "is not a journal"
                case sqlite3.SQLITE_BUSY:
                    reason = "is locked by another program: try again when that has ended"
                case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_IOERR | sqlite3.SQLITE_PROTOCOL:
                    reason = f"cannot be used: {text} (a journal needs a disk with file locks)"
                case _:
                    reason = f"cannot be used: {text}"
            raise JournalError(f"{printable(str(self._path))}: {reason}") from error
