"""The service in the process that is killed, and the points at which it is."""

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
BEFORE_ACCEPTANCE = "accepted: before the commit"
POINTS = (
    BEFORE_ACCEPTANCE,
    "accepted: after the commit, before the answer",
    "input written",
    "result: partly written",
    "result: complete, not renamed",
    "result: renamed",
    "result: synced",
    "ended: before the commit",
    "ended: after the commit",
    "input removed",
)
"""The points at which the service can kill itself."""

_TIME_TO_ANSWER = 0.2


@define
class KillSwitch:
    """Kills this process when it reaches a point for the given time.

    Attributes:
        point: one of `POINTS`.
        passes: how often the point is reached until the process is killed.
    """

    point: str
    passes: int

    def reach(self, point: str) -> None:
        if point == self.point:
            self.passes -= 1
            if self.passes <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


@define
class PointRenderer:
    """Writes a video at once, reaching a point after each step."""

    switch: KillSwitch

    async def render(self, job: RenderJob) -> None:
        await asyncio.to_thread(self._render, job)

    def _render(self, job: RenderJob) -> None:
        photo = job.photo.read_bytes()
        if FACELESS in photo:
            raise RenderFailedError(NO_FACE, "no face")
        content = video(photo, job.template)
        part = job.mp4.with_name(f".{job.mp4.name}.part")
        part.write_bytes(content[: len(content) // 2])
        self.switch.reach("result: partly written")
        part.write_bytes(content)
        self.switch.reach("result: complete, not renamed")
        part.replace(job.mp4)
        self.switch.reach("result: renamed")


def video(photo: bytes, template: int) -> bytes:
    """The video that the renderer makes of a photo."""
    return b"%d:%s" % (template, photo)


async def run(
    folder: Path, switch: KillSwitch, started: Callable[[str], None], *, answers_early: bool
) -> None:
    """Serve until killed, or until SIGTERM.

    Args:
        folder: the data folder.
        switch: kills this process.
        started: called with the base URL.
        answers_early: answer submits before they are on disk, which is wrong.
    """
    insert_points(switch)
    if answers_early:
        answer_early()
    settings = ServiceSettings(data_dir=folder, port=0, workers=3, drain_seconds=0)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with LocalService(settings, renderer=PointRenderer(switch)) as service:
        started(service.base_url)
        await stop.wait()


def insert_points(switch: KillSwitch) -> None:
    """Replace functions of the service by ones that reach a point after them."""
    _reach_after(TaskStore, "_add", switch, BEFORE_ACCEPTANCE)
    _reach_after(TaskStore, "_write_end", switch, "ended: before the commit")
    _reach_after(DataFolder, "write_inputs", switch, "input written")
    _reach_after(DataFolder, "sync_results", switch, "result: synced")
    _reach_after(DataFolder, "remove_inputs", switch, "input removed")
    report = database._report

    def report_after_points(results: Any) -> None:
        points = {
            "accepted: after the commit, before the answer"
            if result.value is None
            else "ended: after the commit"
            for result in results
        }
        for point in points:
            switch.reach(point)
        report(results)

    _replace(database, "_report", report_after_points)


def answer_early() -> None:
    """Make the service answer submits before they are on disk."""
    add_and_commit = TaskStore.add
    adding: set[asyncio.Task[None]] = set()

    async def add_later(store: TaskStore, task: Task, inputs: Inputs) -> None:
        await asyncio.sleep(_TIME_TO_ANSWER)
        await add_and_commit(store, task, lambda: inputs)

    async def add(store: TaskStore, task: Task, read_inputs: Callable[[], Inputs]) -> None:
        inputs = await asyncio.to_thread(read_inputs)
        adding.add(asyncio.create_task(add_later(store, task, inputs)))

    _replace(TaskStore, "add", add)


def _reach_after(owner: type, name: str, switch: KillSwitch, point: str) -> None:
    function = getattr(owner, name)

    def wrapper(*args: Any) -> Any:
        result = function(*args)
        switch.reach(point)
        return result

    _replace(owner, name, wrapper)


def _replace(owner: object, name: str, function: Callable[..., object]) -> None:
    setattr(owner, name, function)
