"""The order in which the tasks of several accounts are taken."""

import asyncio

from photoanimer_async.service.rendering.fair_queue import FairQueue

ANNA, BOB, CARL = 1, 2, 3


def filled(weights: dict[int, float] | None = None, **counts: int) -> FairQueue[str]:
    queue: FairQueue[str] = FairQueue(lambda account: (weights or {}).get(account, 1.0))
    for account, name in ((ANNA, "anna"), (BOB, "bob"), (CARL, "carl")):
        for number in range(counts.get(name, 0)):
            queue.put(account, f"{name[0]}{number}")
    return queue


async def taken(queue: FairQueue[str], count: int) -> list[str | None]:
    return [await queue.get() for _ in range(count)]


async def test_one_accounts_tasks_keep_their_order() -> None:
    queue = filled(anna=4)
    assert len(queue) == 4
    assert await taken(queue, 4) == ["a0", "a1", "a2", "a3"]
    assert len(queue) == 0


async def test_accounts_are_served_in_turn() -> None:
    assert await taken(filled(anna=5, bob=3, carl=1), 9) == (
        ["a0", "b0", "c0", "a1", "b1", "a2", "b2", "a3", "a4"]
    )


async def test_a_newcomers_first_task_is_the_next() -> None:
    queue = filled(anna=100, bob=100)
    await taken(queue, 51)
    queue.put(CARL, "c0")
    queue.put(CARL, "c1")
    assert await queue.get() == "c0"
    assert "c1" in await taken(queue, 3)


async def test_an_idle_account_saves_up_no_turns() -> None:
    queue = filled(anna=100, bob=1)
    await taken(queue, 60)
    for number in range(10):
        queue.put(BOB, f"b{number}")
    assert [task[0] for task in await taken(queue, 6) if task] == ["b", "a", "b", "a", "b", "a"]


async def test_an_account_that_comes_back_at_once_gains_nothing() -> None:
    queue = filled(anna=100)
    served: list[str | None] = []
    for _ in range(10):
        if not any(task == "b" for task in served[-1:]):
            queue.put(BOB, "b")
        served.append(await queue.get())
    assert served.count("b") == 5


async def test_weights_are_shares() -> None:
    served = await taken(filled({BOB: 3.0}, anna=100, bob=100), 40)
    assert len([task for task in served if task and task[0] == "b"]) == 30


async def test_lines_of_idle_accounts_are_not_kept() -> None:
    queue = filled(anna=1)
    for account in range(10, 1000):
        queue.put(account, "once")
    await taken(queue, 991)
    queue.put(ANNA, "a")
    queue.put(ANNA, "a")
    await taken(queue, 2)
    assert len(queue._lines) == 1


async def test_get_waits_for_a_task() -> None:
    queue = filled()
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.put(ANNA, "a0")
    assert await waiting == "a0"


async def test_a_closed_queue_gives_nothing_to_anybody() -> None:
    queue = filled(anna=3)
    await taken(queue, 3)
    waiting = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    queue.close()
    queue.put(ANNA, "late")
    assert await asyncio.gather(*waiting, queue.get()) == [None] * 4
    assert len(queue) == 0


async def test_a_task_is_removed_once() -> None:
    queue = filled(anna=3, bob=1)
    assert queue.remove(ANNA, "a1")
    assert not queue.remove(ANNA, "a1")
    assert not queue.remove(CARL, "c0")
    assert len(queue) == 3
    assert await taken(queue, 3) == ["a0", "b0", "a2"]


async def test_get_waits_for_a_task_after_another_was_removed() -> None:
    queue = filled(anna=1)
    assert queue.remove(ANNA, "a0")
    waiting = [asyncio.create_task(queue.get()) for _ in range(2)]
    await asyncio.sleep(0)
    queue.put(BOB, "b0")
    assert await asyncio.wait_for(waiting[0], 60) == "b0"
    queue.close()
    assert await waiting[1] is None
