"""Cancellation that waits until a step is complete."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

_T = TypeVar("_T")


async def finish_despite_cancel(work: Awaitable[_T]) -> _T:
    """Return the result of some work; if cancelled, raise `CancelledError` once it is done.

    The work must be bounded in time, since a cancellation waits for it.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not log it
        raise
