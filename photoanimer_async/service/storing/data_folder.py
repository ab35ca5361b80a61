"""The files of a service and their names.

::

    DATA/service.lock        locked by the running service
    DATA/tasks.db            tasks, accounts and the ledger, photos of open tasks
    DATA/inputs/ID.photo     the photo of a task that is being rendered
    DATA/inputs/ID.voice     the voice of a task that is being rendered
    DATA/results/TOKEN.mp4   the video of a finished task
    DATA/results/TOKEN.gif   the GIF of a finished task

A result gets its name by a rename when it is complete, and is synced before its task is finished
in the database. An input is a copy of what the database has. So any other file in the two folders
is left over from interrupted work, and `sweep` removes it.

All functions block; call them in threads.
"""

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from photoanimer_async.service.error_codes import SetupError
from photoanimer_async.service.tasks import Task

_CHECK_BYTES: Final = 64 * 1024

RESULT_NAME: Final = r"[A-Za-z0-9_-]{32}\.(?:mp4|gif)"
"""Regular expression for the file name of a result."""


_OWNER_ONLY: Final = 0o700


class DataFolder:
    """The paths in the data folder of a service, and what is done with the files there.

    Args:
        root: the folder, `ServiceSettings.data_dir`.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.database = root / "tasks.db"
        self.lock = root / "service.lock"
        self.inputs = root / "inputs"
        self._results = root / "results"

    def create(self) -> None:
        """Create the folders that do not exist, and let nobody but their owner into them.

        A folder that has other things in it is not closed to others: it was not made for this.

        Raises:
            OSError: a folder cannot be created.
        """
        with suppress(FileExistsError):
            self._root.mkdir(mode=_OWNER_ONLY, parents=True)
        if self.database.exists() or not any(self._root.iterdir()):
            with suppress(PermissionError):  # a volume that belongs to another user
                self._root.chmod(_OWNER_ONLY)
        for folder in (self.inputs, self._results):
            folder.mkdir(mode=_OWNER_ONLY, exist_ok=True)

    def photo(self, task_id: int) -> Path:
        """Return the path of the photo of a task that is being rendered."""
        return self.inputs / f"{task_id}.photo"

    def voice(self, task_id: int) -> Path:
        """Return the path of the voice of a task that is being rendered."""
        return self.inputs / f"{task_id}.voice"

    def result(self, name: str) -> Path:
        """Return the path of a result; its name must match `RESULT_NAME`."""
        return self._results / name

    def mp4(self, task: Task) -> Path:
        """Return the path of a task's video."""
        return self.result(f"{task.token}.mp4")

    def gif(self, task: Task) -> Path:
        """Return the path of a task's GIF."""
        return self.result(f"{task.token}.gif")

    def write_inputs(self, task_id: int, photo: bytes, voice: bytes | None) -> None:
        """Write the photo and the voice of a task to files for the renderer."""
        self.photo(task_id).write_bytes(photo)
        if voice is not None:
            self.voice(task_id).write_bytes(voice)

    def remove_inputs(self, task_id: int) -> None:
        """Remove the files that `write_inputs` wrote."""
        self.photo(task_id).unlink(missing_ok=True)
        self.voice(task_id).unlink(missing_ok=True)

    def check_writable(self) -> None:
        """Write a small file, sync it, and remove it.

        Raises:
            OSError: the disk is full, or cannot be written to.
        """
        path = self.inputs / f".check-{secrets.token_hex(4)}"
        try:
            path.write_bytes(bytes(_CHECK_BYTES))
            _sync(path)
        finally:
            path.unlink(missing_ok=True)

    def sync_results(self, task: Task) -> None:
        """Sync a task's results to the disk, so that they survive a power failure.

        Raises:
            OSError: a result does not exist, or the disk fails.
        """
        for path in self._results_of(task):
            _sync(path)
        _sync(self._results)

    def remove_results(self, task: Task) -> None:
        """Remove a task's results."""
        for path in self._results_of(task):
            path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove the leftovers of interrupted work; call it before any task is processed."""
        for path in self.inputs.iterdir():
            path.unlink()
        for path in self._results.iterdir():
            if not re.fullmatch(RESULT_NAME, path.name):
                path.unlink()

    def _results_of(self, task: Task) -> tuple[Path, ...]:
        return (self.mp4(task), self.gif(task)) if task.gif else (self.mp4(task),)


class FolderLock:
    """An exclusive lock on a file, from `acquire` until `release`.

    The kernel releases it too when the process ends, however it ends. The file itself stays.

    Args:
        path: the file; created if it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            SetupError: another process has it.
            OSError: the file cannot be created.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise SetupError(f"{self._path.parent} is in use by another service") from None
        self._descriptor = descriptor

    def release(self) -> None:
        """Release the lock, if it was taken."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it appears under its name complete, or not at all."""
    with _replacing(path) as part:
        part.write_bytes(content)


def copy_atomically(source: Path, path: Path) -> None:
    """Copy a file, also from another disk, so that it appears complete, or not at all."""
    with _replacing(path) as part:
        shutil.copyfile(source, part)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
