"""A cancellation that waits until a step is complete."""

import asyncio

import pytest

from photoanimer_async.photos.finish_despite_cancel import finish_despite_cancel


async def test_the_result_or_error_is_that_of_the_work() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    assert await finish_despite_cancel(asyncio.sleep(0, "result")) == "result"
    with pytest.raises(ZeroDivisionError):
        await finish_despite_cancel(fail())


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancellation_is_raised_once_the_work_is_done(*, fails: bool) -> None:
    may_continue = asyncio.Event()
    done = False

    async def work() -> None:
        nonlocal done
        await may_continue.wait()
        done = True
        if fails:
            raise ZeroDivisionError

    waiting = asyncio.create_task(finish_despite_cancel(work()))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    may_continue.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert done


async def test_work_that_does_not_end_in_time_after_a_cancellation_is_cancelled() -> None:
    work = asyncio.ensure_future(asyncio.Event().wait())
    waiting = asyncio.create_task(finish_despite_cancel(work, within=0.01))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert work.cancelled()
