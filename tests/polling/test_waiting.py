"""Collecting the results of several tasks."""

import asyncio

from photoanimer_async import PhotoAnimerError, TaskInfo, TaskStatus
from photoanimer_async.polling.waiting import Waiter, Wakeup

INFO = TaskInfo("a", TaskStatus.FINISHED)


async def test_complete_returns_when_no_result_is_missing() -> None:
    waiter, error = Waiter(), PhotoAnimerError("b failed")
    waiter.missing += 2
    complete = asyncio.create_task(waiter.complete())
    await asyncio.sleep(0)
    waiter.on_result("a", INFO)
    await asyncio.sleep(0)
    assert not complete.done()
    waiter.on_result("b", error)
    await complete
    assert waiter.results == {"a": INFO, "b": error}


async def test_results_may_arrive_before_all_tasks_are_added() -> None:
    waiter = Waiter()
    waiter.missing += 1
    waiter.on_result("a", INFO)
    waiter.missing += 1
    complete = asyncio.create_task(waiter.complete())
    await asyncio.sleep(0)
    assert not complete.done()
    waiter.on_result("b", INFO)
    await complete


async def test_complete_returns_at_once_without_tasks() -> None:
    await Waiter().complete()


# --- sleeping until a time that may move forward ---


HOUR = 3600.0


async def test_it_sleeps_until_the_given_time() -> None:
    loop, wakeup = asyncio.get_running_loop(), Wakeup()
    until = loop.time() + 0.005
    await wakeup.sleep_until(until)
    assert loop.time() >= until - 0.001  # timers may fire early by the clock's resolution


async def test_an_earlier_time_wakes_it_earlier() -> None:
    loop, wakeup = asyncio.get_running_loop(), Wakeup()
    for sleep_until in (loop.time() + HOUR, float("inf")):
        sleeper = asyncio.create_task(wakeup.sleep_until(sleep_until))
        await asyncio.sleep(0)
        wakeup.wake_at(loop.time() + HOUR / 2)
        wakeup.wake_at(loop.time() + 0.001)
        wakeup.wake_at(loop.time() + HOUR / 2)
        await asyncio.wait_for(sleeper, 60)


async def test_waking_does_nothing_when_nobody_sleeps() -> None:
    wakeup = Wakeup()
    wakeup.wake()
    wakeup.wake_at(0.0)
    sleeper = asyncio.create_task(wakeup.sleep_until(float("inf")))
    await asyncio.sleep(0.005)
    assert not sleeper.done()
    wakeup.wake()
    wakeup.wake()
    await sleeper


async def test_a_cancelled_sleeper_leaves_no_timer() -> None:
    loop, wakeup = asyncio.get_running_loop(), Wakeup()
    sleeper = asyncio.create_task(wakeup.sleep_until(loop.time() + HOUR))
    await asyncio.sleep(0)
    sleeper.cancel()
    await asyncio.wait([sleeper])
    wakeup.wake()
    await wakeup.sleep_until(loop.time())
