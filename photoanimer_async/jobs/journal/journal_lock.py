"""The lock that gives a journal one owner at a time."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from photoanimer_async.errors import JournalError, JournalInUseError
from photoanimer_async.redaction import printable


class OwnerLock:
    """A lock on `<journal>.lock`, held until `release`.

    It is a separate file, since SQLite has its own locks on the journal. The kernel releases
    it with the process, however that ends; a file that a killed process leaves behind does not
    lock anybody out.

    Raises:
        JournalInUseError: another process holds it.
        JournalError: the file cannot be created.
    """

    def __init__(self, journal: Path) -> None:
        self._path = journal.with_name(f"{journal.name}.lock")
        try:
            self._descriptor = self._acquire(journal)
        except OSError as error:
            raise JournalError(
                f"{printable(str(self._path))}: cannot be locked: {error.strerror} "
                "(a journal needs a disk with file locks)"
            ) from error

    def release(self) -> None:
        """Release the lock and delete its file."""
        with suppress(OSError):  # a file that is left locks nobody out
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def _acquire(self, journal: Path) -> int:
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.read(descriptor, 20).decode(errors="replace").strip()
                os.close(descriptor)
                who = f"process {owner}" if owner.isdecimal() else "another process"
                text = f"{printable(str(journal))}: {who} uses this journal"
                if owner == str(os.getpid()):
                    text += " already; a batch that was left early ends with its `aclose()`"
                raise JournalInUseError(text) from None
            if self._is_current(descriptor):
                os.truncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()}\n".encode())
                return descriptor
            os.close(descriptor)

    def _is_current(self, descriptor: int) -> bool:
        """Return whether the locked file is still there, not just deleted by its last owner."""
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False
