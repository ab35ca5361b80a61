"""A waiter collects the results of the tasks that one caller waits for."""

import asyncio
from typing import TypeAlias

from photoanimer_async.errors import PhotoAnimerError
from photoanimer_async.models import TaskId, TaskInfo

Result: TypeAlias = TaskInfo | PhotoAnimerError
"""How the waiting for a task ended: the task's last info, or why there is none."""


class Waiter:
    """Waits until no result is missing.

    Attributes:
        missing: how many results are still to come; adding the waiter to a task counts up.
        results: the results so far, by the task's id as a string.
    """

    __slots__ = ("_complete", "missing", "results")

    def __init__(self) -> None:
        self.missing = 0
        self.results: dict[str, Result] = {}
        self._complete: asyncio.Future[None] | None = None

    def on_result(self, key: str, result: Result) -> None:
        """Receive the result of one task."""
        self.results[key] = result
        self.missing -= 1
        if not self.missing:
            self.stop()

    def stop(self) -> None:
        """End the waiting, although results may be missing."""
        if self._complete is not None and not self._complete.done():
            self._complete.set_result(None)

    async def complete(self) -> None:
        """Return once no result is missing, or the waiting was stopped.

        Call it after the waiter was added to all tasks.
        """
        if self.missing:
            self._complete = asyncio.get_running_loop().create_future()
            await self._complete


def unpollable(task_id: TaskId, cause: BaseException) -> PhotoAnimerError:
    """Return the error for a task that cannot be polled, by a fault of foreign code."""
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
