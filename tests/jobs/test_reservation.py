"""Reservations wait for one another, and are settled once."""

import asyncio

import pytest

from photoanimer_async import AnimationOptions, BudgetExceededError
from photoanimer_async.jobs.budget import Budget
from photoanimer_async.jobs.reservation import reserve


async def test_a_reservation_waits_for_those_that_may_be_released() -> None:
    budget = Budget(2 * 2.13)
    options = AnimationOptions(template=2)
    first, second = await reserve(budget, options), await reserve(budget, options)
    third = asyncio.create_task(reserve(budget, options))
    fourth = asyncio.create_task(reserve(budget, options))
    await asyncio.sleep(0)
    first.release()
    first.commit()  # too late: it counts once
    await third
    second.commit()
    assert not fourth.done()
    third.result().commit()
    with pytest.raises(BudgetExceededError):
        await fourth
    assert budget.spent == pytest.approx(4.26)
    assert budget.reserved == pytest.approx(0)


async def test_a_cancelled_wait_for_the_budget_reserves_nothing() -> None:
    budget = Budget(2.13)
    open_one = await reserve(budget, AnimationOptions(template=2))
    waiting = asyncio.create_task(reserve(budget, AnimationOptions(template=2)))
    await asyncio.sleep(0)
    waiting.cancel()
    open_one.release()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert budget.reserved == pytest.approx(0)
