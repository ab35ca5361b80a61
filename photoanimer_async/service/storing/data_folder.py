"""What the service keeps on disk, and under which names.

::

    DATA/service.lock        held by the service that runs
    DATA/tasks.db            tasks, accounts and the ledger, photos of open tasks
    DATA/inputs/ID.photo     the photo of a task that is being rendered
    DATA/inputs/ID.voice     the sound of a task that is being rendered
    DATA/results/TOKEN.mp4   the video of a finished task
    DATA/results/TOKEN.gif   the GIF of a finished task

The database is what counts. A result gets its name by a rename when it is complete, and is
synced before its task is finished. An input is laid out for the renderer and can be again. So
whatever else lies in the two folders is left from something that was interrupted, and `sweep`
removes it.

Everything here blocks: it is called in threads.
"""

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from photoanimer_async.service.error_codes import SetupError
from photoanimer_async.service.tasks import Task

RESULT_NAME: Final = r"[A-Za-z0-9_-]{32}\.(?:mp4|gif)"
"""What the name of a result file looks like, as a regular expression."""


class DataFolder:
    """The folder of one service."""

    def __init__(self, root: Path) -> None:
        self.database = root / "tasks.db"
        self.lock = root / "service.lock"
        self._inputs = root / "inputs"
        self._results = root / "results"

    def create(self) -> None:
        """Make the folders that are not there; only their owner can look into them."""
        for folder in (self._inputs, self._results):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def photo(self, task_id: int) -> Path:
        """The photo of a task that is being rendered."""
        return self._inputs / f"{task_id}.photo"

    def voice(self, task_id: int) -> Path:
        """The sound of a task that is being rendered."""
        return self._inputs / f"{task_id}.voice"

    def result(self, name: str) -> Path:
        """A result by its file's name, which has to match `RESULT_NAME`."""
        return self._results / name

    def mp4(self, task: Task) -> Path:
        """The task's video."""
        return self.result(f"{task.token}.mp4")

    def gif(self, task: Task) -> Path:
        """The task's GIF."""
        return self.result(f"{task.token}.gif")

    def lay_out(self, task_id: int, photo: bytes, voice: bytes | None) -> None:
        """Put what a task works on where the renderer finds it."""
        self.photo(task_id).write_bytes(photo)
        if voice is not None:
            self.voice(task_id).write_bytes(voice)

    def discard_inputs(self, task_id: int) -> None:
        """Remove the photo and the sound of a task that has ended."""
        self.photo(task_id).unlink(missing_ok=True)
        self.voice(task_id).unlink(missing_ok=True)

    def sync_results(self, task: Task) -> None:
        """Make a task's results survive also a power cut.

        Raises:
            OSError: one is not there, or the disk fails.
        """
        for path in self._results_of(task):
            _sync(path)
        _sync(self._results)

    def discard_results(self, task: Task) -> None:
        """Remove a task's results."""
        for path in self._results_of(task):
            path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what interrupted work left: before anything else is under way."""
        for path in self._inputs.iterdir():
            path.unlink()
        for path in self._results.iterdir():
            if not re.fullmatch(RESULT_NAME, path.name):
                path.unlink()

    def _results_of(self, task: Task) -> tuple[Path, ...]:
        return (self.mp4(task), self.gif(task)) if task.gif else (self.mp4(task),)


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


def write_whole(path: Path, content: bytes) -> None:
    """Put a file there under its name complete, or not at all."""
    with _unfinished(path) as part:
        part.write_bytes(content)


def copy_whole(source: Path, path: Path) -> None:
    """Put a copy of a file, of this or another disk, there complete, or not at all."""
    with _unfinished(path) as part:
        shutil.copyfile(source, part)


@contextmanager
def _unfinished(path: Path) -> Iterator[Path]:
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
