"""Telling a cancellation of our own task from a `CancelledError` that foreign code raised."""

import asyncio

from photoanimer_async.api.cancellation import is_cancelled


async def test_a_cancelled_error_that_nobody_asked_for_is_no_cancellation() -> None:
    seen: list[bool] = []

    async def work(error: BaseException | None) -> None:
        try:
            if error is not None:
                raise error
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append(is_cancelled())

    await asyncio.create_task(work(asyncio.CancelledError()))
    task = asyncio.create_task(work(None))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert seen == [False, True]
