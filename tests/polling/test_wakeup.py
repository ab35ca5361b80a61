"""Sleeping until a time that may move forward."""

import asyncio

from photoanimer_async.polling.wakeup import Wakeup

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
