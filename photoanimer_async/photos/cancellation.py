"""Cancellation: what is one, and not a fault of foreign code; and steps that it waits for."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


def is_cancelled() -> bool:
    """Return whether the current task is being cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def ends_process(error: BaseException) -> bool:
    """Return whether an exception ends the process, or a generator, and may not be caught."""
    return isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit)


def ends_task(error: BaseException) -> bool:
    """Return whether an exception ends the current task; else it is a fault of foreign code.

    A `CancelledError` in a task that is not being cancelled is such a fault, and so is a
    `BaseException` of a library's own, as those raise that are written in Rust.
    """
    if isinstance(error, asyncio.CancelledError):
        return is_cancelled()
    return ends_process(error)


class ThreadStep(asyncio.Task[_T]):
    """A step that nothing can stop, as one in a thread: a cancellation waits until it has ended.

    path = await ThreadStep(asyncio.to_thread(save, content))
    """

    def cancel(self, msg: object = None) -> bool:  # noqa: ARG002 - asyncio's
        """Do nothing. asyncio then cancels the awaiting task when this one has ended."""
        return False


async def finish_despite_cancel(
    work: Coroutine[Any, Any, _T], *, within: float | None = None
) -> _T:
    """Return the result of some work; if cancelled, raise `CancelledError` once it is done.

    Args:
        work: what to do. A cancellation waits for it, however often it is repeated.
        within: seconds after the first cancellation until the work is cancelled too; `None`, where
            it is bounded in time, to wait until it is done.
    """
    # Not a `ThreadStep` itself: a time limit within the work cancels the task in which it runs.
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await ThreadStep(_end(task, within))
        raise


async def _end(task: asyncio.Task[Any], within: float | None) -> None:
    """Wait until a task has ended; cancel it if that takes too long."""
    await asyncio.wait([task], timeout=within)
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # retrieved, so that asyncio does not log it
