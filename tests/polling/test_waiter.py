"""Collecting the results of several tasks."""

import asyncio

from photoanimer_async import PhotoAnimerError, TaskInfo, TaskStatus
from photoanimer_async.polling.waiter import Waiter

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
