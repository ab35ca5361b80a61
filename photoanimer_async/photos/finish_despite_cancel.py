"""Cancellation that waits until a step is complete."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

_T = TypeVar("_T")


async def finish_despite_cancel(work: Awaitable[_T], *, within: float | None = None) -> _T:
    """Return the result of some work; if cancelled, raise `CancelledError` once it is done.

    Args:
        work: what to do. A cancellation waits for it.
        within: seconds after a cancellation until the work is cancelled too; `None`, where it is
            bounded in time, to wait until it is done.
    """
    task = asyncio.ensure_future(work)
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
