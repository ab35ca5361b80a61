"""Waiting: of a caller for the results of tasks, of the scheduler for the time of the next poll."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeAlias, TypeVar

from attrs import define, field

from photoanimer_async.api.task_errors import with_task
from photoanimer_async.errors import PhotoAnimerError
from photoanimer_async.models import TaskId, TaskInfo
from photoanimer_async.photos.cancellation import ends_process

Result: TypeAlias = TaskInfo | PhotoAnimerError
"""How the waiting for a task ended: the task's last info, or why there is none."""

_T = TypeVar("_T")

_NEVER = float("inf")

CHUNK = 200
"""Tasks that are handled before other coroutines get their turn."""


@define(eq=False)
class Waiter:
    """Waits until no result is missing.

    Attributes:
        missing: how many results are still to come; adding the waiter to a task counts up.
        results: the results so far, by the task's id as a string.
        due: when the waiting ends, in seconds of `time.monotonic`; see `TimeLimits`.
    """

    missing: int = field(default=0, init=False)
    results: dict[str, Result] = field(factory=dict, init=False)
    due: float = field(default=_NEVER, init=False)
    _complete: "asyncio.Future[None] | None" = field(default=None, init=False)

    def on_result(self, key: str, result: Result) -> None:
        """Receive the result of one task."""
        self.results[key] = result
        self.missing -= 1
        if not self.missing:
            self._stop()

    def expire(self, now: float) -> None:  # noqa: ARG002 - see `Expiring`
        """End the waiting, although results are missing."""
        self._stop()

    def _stop(self) -> None:
        if self._complete is not None and not self._complete.done():
            self._complete.set_result(None)

    async def complete(self) -> None:
        """Return once no result is missing, or the waiting has expired.

        Call it after the waiter was added to all tasks.
        """
        if self.missing:
            self._complete = asyncio.get_running_loop().create_future()
            await self._complete


class Wakeup:
    """Lets one coroutine sleep until a time, or until others wake it.

    Waking a coroutine that is not asleep does nothing: it reads the state anew before it sleeps.
    All times are in seconds on the event loop's clock.
    """

    def __init__(self) -> None:
        self._sleeper: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._when = _NEVER  # not read from the timer: uvloop's handles do not all have it

    async def sleep_until(self, when: float) -> None:
        """Sleep until this time, or until `wake`; infinity sleeps until `wake`."""
        self._sleeper = asyncio.get_running_loop().create_future()
        self.wake_at(when)
        try:
            await self._sleeper
        finally:
            self._sleeper, self._when = None, _NEVER
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def wake(self) -> None:
        """Wake the sleeper now."""
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)

    def wake_at(self, when: float) -> None:
        """Wake the sleeper at this time, unless it wakes earlier."""
        if self._sleeper is not None and when < self._when:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._sleeper.get_loop().call_at(when, self.wake)
            self._when = when


def unpollable(task_id: TaskId, cause: BaseException) -> PhotoAnimerError:
    """Return the error for a task that cannot be polled; it names the task.

    If the cause is no error of this package, foreign code has a fault.

    Raises:
        BaseException: the cause itself, if it ends the process.
    """
    if ends_process(cause):
        raise cause
    if isinstance(cause, PhotoAnimerError):
        return with_task(cause, task_id)
    error = PhotoAnimerError(
        f"task {task_id} cannot be polled: {type(cause).__name__}; it continues at the service: "
        "wait for it again by its id"
    )
    error.task_id, error.__cause__ = task_id, cause
    return error


def stopped(task_id: TaskId, why: str) -> PhotoAnimerError:
    """Return the error for a task that is not polled any more."""
    return PhotoAnimerError(
        f"polling stopped because {why}; task {task_id} continues at the service: "
        "wait for it again by its id"
    )


async def yielding(items: Iterable[_T]) -> AsyncIterator[_T]:
    """Yield the items, and after every few of them let the event loop run other tasks."""
    for count, item in enumerate(items, 1):
        yield item
        if count % CHUNK == 0:
            await asyncio.sleep(0)
