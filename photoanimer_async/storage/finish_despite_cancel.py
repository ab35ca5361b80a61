"""Work that is not to be left half done."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

_T = TypeVar("_T")


async def finish_despite_cancel(work: Awaitable[_T]) -> _T:
    """The result of some work. If cancelled, when the work is done.

    The work must be bounded, since a cancellation waits for it.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not report it as forgotten
        raise
