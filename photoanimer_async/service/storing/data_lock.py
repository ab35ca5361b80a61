"""One service at a time: a lock on the data folder that dies with its process."""

import fcntl
import os
from pathlib import Path

from photoanimer_async.service.error_codes import SetupError


class FolderLock:
    """Holds a lock file from its making to `release`.

    The kernel gives the lock back when the process ends, however it does. The file itself
    stays, and means nothing.

    Raises:
        SetupError: another service holds it.
        OSError: the file can not be made.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise SetupError(f"{path.parent} is in use by another service") from None

    def release(self) -> None:
        """Let others in."""
        os.close(self._descriptor)
