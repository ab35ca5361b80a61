"""What the service keeps on disk, and under which names.

::

    DATA/tasks.db            the tasks
    DATA/inputs/ID.photo     the photo of an open task, as it was fetched
    DATA/inputs/ID.voice     the sound of an open task
    DATA/results/TOKEN.mp4   the video of a finished task
    DATA/results/TOKEN.gif   the GIF of a finished task

An input is on disk, synced, before its task is in the database, and goes away when the task
ends. A result gets its name by a rename when it is complete. So whatever else lies in the two
folders is left from something that was interrupted, and `sweep` removes it.

Everything here blocks: it is called in threads.
"""

import os
import re
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

from photoanimer_async.service.tasks import Task

RESULT_NAME: Final = r"[A-Za-z0-9_-]{32}\.(?:mp4|gif)"
"""What the name of a result file looks like, as a regular expression."""


class DataFolder:
    """The folder of one service."""

    def __init__(self, root: Path) -> None:
        self.database = root / "tasks.db"
        self._inputs = root / "inputs"
        self._results = root / "results"

    def create(self) -> None:
        """Make the folders that are not there; only their owner can look into them."""
        for folder in (self._inputs, self._results):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def photo(self, task_id: int) -> Path:
        """The photo of an open task."""
        return self._inputs / f"{task_id}.photo"

    def voice(self, task_id: int) -> Path:
        """The sound of an open task."""
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

    def save_inputs(self, task_id: int, photo: bytes, voice: bytes | None) -> None:
        """Write down what a task works on, to survive also a power cut."""
        _write_synced(self.photo(task_id), photo)
        if voice is not None:
            _write_synced(self.voice(task_id), voice)
        _sync_folder(self._inputs)

    def discard_inputs(self, task_id: int) -> None:
        """Remove the photo and the sound of a task that has ended."""
        self.photo(task_id).unlink(missing_ok=True)
        self.voice(task_id).unlink(missing_ok=True)

    def sweep(self, open_tasks: AbstractSet[int]) -> None:
        """Remove what interrupted work left: before anything else is under way."""
        kept = {path.name for number in open_tasks for path in self._inputs_of(number)}
        for path in self._inputs.iterdir():
            if path.name not in kept:
                path.unlink()
        for path in self._results.iterdir():
            if not re.fullmatch(RESULT_NAME, path.name):
                path.unlink()

    def _inputs_of(self, task_id: int) -> tuple[Path, Path]:
        return self.photo(task_id), self.voice(task_id)


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
