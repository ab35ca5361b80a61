"""One process at a time: a lock that dies with its process."""

import fcntl
import os
from pathlib import Path

from photoanimer_async.errors import JournalError, JournalInUseError
from photoanimer_async.redaction import printable


class OwnerLock:
    """Holds `<journal>.lock` from its making to `release`.

    It is a file of its own, since SQLite has locks of its own on the journal. The kernel
    drops it with the process, however that ends; a file that a killed process has left
    behind locks nobody out.

    Raises:
        JournalInUseError: another process holds it.
        JournalError: the file can not be made.
    """

    def __init__(self, journal: Path) -> None:
        self._path = journal.with_name(f"{journal.name}.lock")
        try:
            self._descriptor = self._acquire(journal)
        except OSError as error:
            raise JournalError(
                f"{printable(str(self._path))}: can not be made: {error.strerror}"
            ) from error

    def release(self) -> None:
        """Lets others in."""
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
                raise JournalInUseError(
                    f"{printable(str(journal))}: {who} is at work with this journal"
                ) from None
            if self._is_still(descriptor):
                os.truncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()}\n".encode())
                return descriptor
            os.close(descriptor)

    def _is_still(self, descriptor: int) -> bool:
        """Whether the file that was locked is not one that its owner has just removed."""
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False
