"""Cancellations of our own, those that foreign code raised, and steps that they wait for."""

import asyncio
import threading

import pytest

from photoanimer_async.photos.cancellation import ThreadStep, finish_despite_cancel, is_cancelled


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


async def test_the_result_or_error_is_that_of_the_work() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    assert await finish_despite_cancel(asyncio.sleep(0, "result")) == "result"
    with pytest.raises(ZeroDivisionError):
        await finish_despite_cancel(fail())


async def cancel_before_it_continues(
    waiting: asyncio.Task[None], times: int, may_continue: asyncio.Event | threading.Event
) -> None:
    for _ in range(times):
        await asyncio.sleep(0.01)
        waiting.cancel()
    await asyncio.sleep(0.01)
    assert not waiting.done()
    may_continue.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("times", [1, 3])
async def test_cancellations_are_raised_once_the_work_is_done(*, times: int, fails: bool) -> None:
    may_continue = asyncio.Event()
    done = False

    async def work() -> None:
        nonlocal done
        await may_continue.wait()
        done = True
        if fails:
            raise ZeroDivisionError

    waiting = asyncio.create_task(finish_despite_cancel(work()))
    await cancel_before_it_continues(waiting, times, may_continue)
    assert done


@pytest.mark.parametrize("times", [1, 3])
async def test_work_that_does_not_end_in_time_after_cancellations_is_cancelled(times: int) -> None:
    cancelled = False

    async def work() -> None:
        nonlocal cancelled
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled = True
            raise

    waiting = asyncio.create_task(finish_despite_cancel(work(), within=0.02))
    for _ in range(times):
        await asyncio.sleep(0)
        waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert cancelled


# --- steps in threads ---


async def test_the_result_or_error_is_that_of_the_step() -> None:
    assert await ThreadStep(asyncio.to_thread(int, "7")) == 7
    with pytest.raises(ValueError, match="seven"):
        await ThreadStep(asyncio.to_thread(int, "seven"))


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("times", [1, 3])
async def test_cancellations_are_raised_once_the_step_is_done(*, times: int, fails: bool) -> None:
    may_continue = threading.Event()
    done = went_on = False

    def step() -> None:
        nonlocal done
        may_continue.wait()
        done = True
        if fails:
            raise ZeroDivisionError

    async def job() -> None:
        nonlocal went_on
        await ThreadStep(asyncio.to_thread(step))
        went_on = True

    waiting = asyncio.create_task(job())
    await cancel_before_it_continues(waiting, times, may_continue)
    assert done
    assert not went_on


async def test_a_step_may_last_longer_than_a_time_limit_around_it() -> None:
    may_continue = threading.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            asyncio.get_running_loop().call_later(0.05, may_continue.set)
            await ThreadStep(asyncio.to_thread(may_continue.wait))
    assert may_continue.is_set()
