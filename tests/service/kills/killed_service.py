"""The service in the process that is killed, and the points at which it is killed."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import define

from photoanimer_async.service import (
    LocalService,
    RenderFailedError,
    RenderJob,
    ServiceSettings,
)
from photoanimer_async.service.error_codes import NO_FACE
from photoanimer_async.service.storing import database
from photoanimer_async.service.storing.data_folder import DataFolder
from photoanimer_async.service.storing.task_store import Inputs, TaskStore
from photoanimer_async.service.tasks import Task

FACELESS = b"faceless"
POINTS = (
    "accepted: before its commit",
    "accepted: after its commit, before its answer",
    "input laid out",
    "result: part of it written",
    "result: complete, without its name",
    "result: with its name",
    "result: synced",
    "ended: before its commit",
    "ended: after its commit",
    "input removed",
)
"""Every named point."""


@define
class Fuse:
    """Kills this process when it has reached a point for the given number of times."""

    point: str
    left: int

    def reached(self, point: str) -> None:
        if point == self.point:
            self.left -= 1
            if self.left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


@define
class FusedRenderer:
    """Writes the photo and the template as the video, in several steps."""

    fuse: Fuse

    async def render(self, job: RenderJob) -> None:
        await asyncio.to_thread(self._render, job)

    def _render(self, job: RenderJob) -> None:
        photo = job.photo.read_bytes()
        if FACELESS in photo:
            raise RenderFailedError(NO_FACE, "no face")
        content = video(photo, job.template)
        part = job.mp4.with_name(f".{job.mp4.name}.part")
        part.write_bytes(content[: len(content) // 2])
        self.fuse.reached("result: part of it written")
        part.write_bytes(content)
        self.fuse.reached("result: complete, without its name")
        part.replace(job.mp4)
        self.fuse.reached("result: with its name")


def video(photo: bytes, template: int) -> bytes:
    """The video of a photo."""
    return b"%d:%s" % (template, photo)


async def run(folder: Path, fuse: Fuse, started: Callable[[str], None], *, hasty: bool) -> None:
    """Serve until killed, or until SIGTERM.

    Args:
        folder: the data folder.
        fuse: when to kill this process.
        started: called with the base URL.
        hasty: answer submits before they are on disk, which the test must detect.
    """
    install_fuse(fuse)
    if hasty:
        answer_before_storing()
    settings = ServiceSettings(data_dir=folder, port=0, workers=3, drain_seconds=0)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with LocalService(settings, renderer=FusedRenderer(fuse)) as service:
        started(service.base_url)
        await stop.wait()


def install_fuse(fuse: Fuse) -> None:
    """Wrap functions of the service in this process, so that they reach the named points."""
    _after(TaskStore, "_add", fuse, "accepted: before its commit")
    _after(TaskStore, "_write_end", fuse, "ended: before its commit")
    _after(DataFolder, "write_inputs", fuse, "input laid out")
    _after(DataFolder, "sync_results", fuse, "result: synced")
    _after(DataFolder, "remove_inputs", fuse, "input removed")
    report = database._report

    def reported(results: Any) -> None:
        kinds = {
            "accepted: after its commit, before its answer"
            if result.value is None
            else "ended: after its commit"
            for result in results
        }
        for kind in kinds:
            fuse.reached(kind)
        report(results)

    _replace(database, "_report", reported)


def answer_before_storing() -> None:
    """Answer submits before they are on disk."""
    original_add = TaskStore.add
    adding: set[asyncio.Task[None]] = set()

    async def add(store: TaskStore, task: Task, inputs: Inputs) -> None:
        adding.add(asyncio.create_task(original_add(store, task, inputs)))

    _replace(TaskStore, "add", add)


def _after(owner: type, name: str, fuse: Fuse, point: str) -> None:
    function = getattr(owner, name)

    def wrapped(*args: Any) -> Any:
        result = function(*args)
        fuse.reached(point)
        return result

    _replace(owner, name, wrapped)


def _replace(owner: object, name: str, function: Callable[..., object]) -> None:
    setattr(owner, name, function)
