"""Tasks by script: how long each takes, and whether it fails.

Tasks are numbered in the order of their acceptance. With polls for a duration, the renderer
waits for the looks that are counted here, so that how often a task is found unfinished does
not depend on time.
"""

import asyncio
from typing import Final

from attrs import define, field, frozen

from photoanimer_async.service.error_codes import TABLE, ErrorCode, RenderFailedError
from photoanimer_async.service.faults.actions import Fail, Takes
from photoanimer_async.service.faults.rules import Subject
from photoanimer_async.service.faults.script import Script
from photoanimer_async.service.rendering.renderer import Renderer, RenderJob

_CODES: Final = {code.number: code for code in TABLE}


@define
class ScriptedTask:
    """One task.

    Attributes:
        number: counted from 1.
        takes: what the script says of its duration.
        fails: what the script says of its end.
        looks: how often it was looked at.
    """

    number: int
    takes: Takes | None
    fails: Fail | None
    looks: int = 0
    _enough: asyncio.Event = field(factory=asyncio.Event)

    def look(self) -> None:
        """It is looked at once more."""
        self.looks += 1
        if self.is_due:
            self._enough.set()

    @property
    def is_due(self) -> bool:
        """Whether nothing in the script keeps it from having ended by now, time left aside."""
        if self.takes is None:
            return True
        return self.takes.polls is not None and self.looks > self.takes.polls

    async def hold(self, spent: float) -> None:
        """Wait until it may end, if it has been under way for so many seconds."""
        if self.takes is None:
            return
        if self.takes.seconds is not None:
            await asyncio.sleep(self.takes.seconds - spent)
        elif self.takes.polls:
            await self._enough.wait()


class ScriptedTasks:
    """All tasks of one service."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._tasks: dict[int, ScriptedTask] = {}
        self._results: dict[str, ScriptedTask] = {}

    def known(self, task_id: int) -> ScriptedTask | None:
        """The task with this id, if it was accepted here."""
        return self._tasks.get(task_id)

    def with_result(self, name: str) -> ScriptedTask | None:
        """The task that a file with a result is of."""
        return self._results.get(name)

    def accepted(self, task_id: int) -> ScriptedTask:
        """The task with this id, which gets the next number if it is new."""
        if task_id not in self._tasks:
            number, _ = self._script.count(Subject.TASK)
            self._tasks[task_id] = ScriptedTask(
                number,
                self._script.first((Takes,), Subject.TASK, number),
                self._script.first((Fail,), Subject.TASK, number),
            )
        return self._tasks[task_id]

    def render_with(self, renderer: Renderer) -> Renderer:
        """The renderer at the pace, and to the ends, that the script gives to tasks."""
        return _ScriptedRenderer(self, renderer)

    async def render(self, renderer: Renderer, job: RenderJob) -> None:
        """Render one task so; see `Renderer.render`."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        task = self.accepted(job.task_id)
        for result in (job.mp4, job.gif):
            if result is not None:
                self._results[result.name] = task
        if task.fails is None:
            await renderer.render(job)
        await task.hold(loop.time() - started)
        if task.fails is not None:
            code = error_code(task.fails.code)
            raise RenderFailedError(code, task.fails.reason or code.meaning)


@frozen
class _ScriptedRenderer:
    tasks: ScriptedTasks
    renderer: Renderer

    async def render(self, job: RenderJob) -> None:
        await self.tasks.render(self.renderer, job)


def error_code(number: int) -> ErrorCode:
    """The code with this number; the vendor may have some that are in no table."""
    return _CODES.get(number) or ErrorCode(number, "SCRIPTED", "This error is in the fault script.")
