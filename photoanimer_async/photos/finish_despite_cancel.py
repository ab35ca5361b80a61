"""Cancellation that waits until a step is complete."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class ThreadStep(asyncio.Task[_T]):
    """A step in a thread, which nothing can stop: what awaits it is cancelled once it has ended.

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
        work: what to do. A cancellation waits for it.
        within: seconds after a cancellation until the work is cancelled too; `None`, where it is
            bounded in time, to wait until it is done.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=within)
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not log it
        raise
