"""How long tasks take, and whether they fail, as a fault script says.

Tasks are numbered in the order of their acceptance. If a script gives a task's duration in polls,
the renderer waits until that many polls have been counted here, so that the number of polls that
find the task processing does not depend on time.
"""

import asyncio
from typing import Final

from attrs import define, field, frozen

from photoanimer_async.service.error_codes import TABLE, ErrorCode, RenderFailedError
from photoanimer_async.service.faults.actions import Fail, Takes
from photoanimer_async.service.faults.script import Script, Subject
from photoanimer_async.service.rendering.renderer import Renderer, RenderJob

_CODES: Final = {code.number: code for code in TABLE}


@define
class ScriptedTask:
    """A task, with what the script says about it.

    Attributes:
        number: its number, counted from 1.
        takes: its duration, if the script has one.
        fails: its failure, if the script has one.
        polls: how often it has been polled.
    """

    number: int
    takes: Takes | None
    fails: Fail | None
    polls: int = 0
    _polled_enough: asyncio.Event = field(factory=asyncio.Event)

    def count_poll(self) -> None:
        """Count a poll of this task."""
        self.polls += 1
        if self.may_end:
            self._polled_enough.set()

    @property
    def may_end(self) -> bool:
        """Whether the script lets the task end now; `False` for durations in seconds."""
        if self.takes is None:
            return True
        return self.takes.polls is not None and self.polls > self.takes.polls

    async def wait_for_duration(self, spent: float) -> None:
        """Wait until the task may end; it has been rendered for `spent` seconds already."""
        if self.takes is None:
            return
        if self.takes.seconds is not None:
            await asyncio.sleep(self.takes.seconds - spent)
        elif self.takes.polls:
            await self._polled_enough.wait()


class ScriptedTasks:
    """All tasks of one service, by id and by the name of their result files."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._by_id: dict[int, ScriptedTask] = {}
        self._by_result: dict[str, ScriptedTask] = {}

    def with_id(self, task_id: int) -> ScriptedTask | None:
        """Return the task with this id, if it was accepted here."""
        return self._by_id.get(task_id)

    def with_result(self, name: str) -> ScriptedTask | None:
        """Return the task that a result file belongs to."""
        return self._by_result.get(name)

    def accept(self, task_id: int) -> ScriptedTask:
        """Return the task with this id; a new one gets the next number."""
        if task_id not in self._by_id:
            event = self._script.count(Subject.TASK)
            takes = self._script.find(event, (Takes,))
            fails = self._script.find(event, (Fail,))
            self._by_id[task_id] = ScriptedTask(
                event.number,
                None if takes is None else takes.action,
                None if fails is None else fails.action,
            )
        return self._by_id[task_id]

    def accept_job(self, job: RenderJob) -> ScriptedTask:
        """Return the task of a job, and keep the names of its result files."""
        task = self.accept(job.task_id)
        for result in (job.mp4, job.gif):
            if result is not None:
                self._by_result[result.name] = task
        return task


@frozen
class ScriptedRenderer:
    """A renderer whose tasks take as long, and fail, as the script says."""

    tasks: ScriptedTasks
    renderer: Renderer

    async def render(self, job: RenderJob) -> float | None:
        """See `Renderer.render`."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        task = self.tasks.accept_job(job)
        seconds = None
        if task.fails is None:
            seconds = await self.renderer.render(job)
        await task.wait_for_duration(loop.time() - started)
        if task.fails is not None:
            code = error_code(task.fails.code)
            raise RenderFailedError(code, task.fails.reason or code.meaning)
        return seconds


def error_code(number: int) -> ErrorCode:
    """Return the code with this number; one that is not in the table gets a general meaning."""
    return _CODES.get(number) or ErrorCode(number, "SCRIPTED", "This error is in the fault script.")
