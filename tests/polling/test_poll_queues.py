"""Items by due time, in groups."""

import math
from collections import Counter
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async.polling.poll_queues import DueQueue, ReadyQueue

times = st.lists(st.floats(0, 1000), max_size=50)


@given(times, st.floats(0, 1000))
def test_due_items_are_popped_in_order(dues: list[float], now: float) -> None:
    queue: DueQueue[float] = DueQueue()
    for due in dues:
        queue.add(due, due, 0.0)
    popped = queue.pop_due(now, 100)
    assert all(due <= now + 0.257 for due in popped)
    for one, next_one in pairwise(popped):
        assert one <= next_one + 0.513
    rest = queue.pop_due(2000.0, 100)
    assert sorted(popped + rest) == sorted(dues)
    assert all(due + 0.257 > now for due in rest)
    assert queue.next_due == math.inf


@given(times.filter(bool))
def test_next_due_is_near_the_earliest_time(dues: list[float]) -> None:
    queue: DueQueue[float] = DueQueue()
    for due in dues:
        queue.add(due, due, 0.0)
    first = queue.next_due
    assert abs(first - min(dues)) <= min(max(min(dues) / 4, 0.016) + 0.0011, 0.257)


@given(st.floats(0, 1000), st.floats(0, 100), st.floats(0, 100))
def test_no_item_is_due_before_now_or_not_before(now: float, wait: float, floor: float) -> None:
    queue: DueQueue[str] = DueQueue()
    assert queue.add("patient", now + wait, now, not_before=now + floor) >= now + floor
    assert queue.add("plain", now + wait, now) >= now


def test_items_due_close_together_share_a_time() -> None:
    queue: DueQueue[int] = DueQueue()
    times = Counter(queue.add(number, 30 + number / 10, 0.0) for number in range(1000))
    assert len(times) < 210


def test_a_group_holds_256_items() -> None:
    queue: DueQueue[int] = DueQueue()
    times = Counter(queue.add(number, 30, 0.0) for number in range(2000))
    assert max(times.values()) == 256
    assert len(times) == 8


def test_pop_due_returns_at_most_limit_items() -> None:
    queue: DueQueue[int] = DueQueue()
    for number in range(1000):
        queue.add(number, 30.0, 0.0)
    parts = [queue.pop_due(31.0, 300) for _ in range(5)]
    assert [len(part) for part in parts] == [300, 300, 300, 100, 0]
    assert sorted(number for part in parts for number in part) == list(range(1000))
    assert queue.next_due == math.inf


@given(st.integers(1, 2000), st.floats(0.1, 100))
def test_no_item_is_moved_by_more_than_half_its_wait(count: int, wait: float) -> None:
    queue: DueQueue[int] = DueQueue()
    times = [queue.add(number, wait, 0.0) for number in range(count)]
    assert all(abs(time - wait) <= min(wait / 2, 0.512) + 0.002 for time in times)


# --- due items, and which of them is next ---


def by_itself(chance: float, _: float) -> float:
    return chance


def test_within_patience_the_queue_is_first_in_first_out() -> None:
    queue: ReadyQueue[float] = ReadyQueue(patience=1.0)
    for chance in (0.1, 0.9, 0.5):
        queue.add(chance, 0.0)
    assert [queue.pop(0.9, by_itself, Random(1)) for _ in range(3)] == [0.1, 0.9, 0.5]


def test_an_item_that_is_added_again_keeps_its_place() -> None:
    queue: ReadyQueue[str] = ReadyQueue(patience=1.0)
    for item in "aba":
        queue.add(item, 0.0)
    assert len(queue) == 2
    assert queue.pop(0.0, lambda *_: 0.0, Random(1)) == "a"


def test_an_empty_queue_returns_none() -> None:
    queue: ReadyQueue[float] = ReadyQueue(patience=0.0)
    assert queue.pop(0.0, by_itself, Random(1)) is None


def test_the_most_likely_item_is_popped_first() -> None:
    queue: ReadyQueue[float] = ReadyQueue(patience=0.0)
    for chance in (0.1, 0.9, 0.5):
        queue.add(chance, 0.0)
    assert [queue.pop(0.0, by_itself, Random(1)) for _ in range(3)] == [0.9, 0.5, 0.1]


def test_add_first_precedes_all_others() -> None:
    queue: ReadyQueue[float] = ReadyQueue(patience=0.0)
    queue.add(0.9, 0.0)
    queue.add_first(0.1)
    assert len(queue) == 2
    assert queue.pop(0.0, by_itself, Random(1)) == 0.1
    assert queue.pop(0.0, by_itself, Random(1)) == 0.9


def test_likely_items_are_preferred_among_many() -> None:
    queue: ReadyQueue[float] = ReadyQueue(patience=0.0)
    rng = Random(5)
    for _ in range(1000):
        queue.add(rng.random(), 0.0)
    popped = [queue.pop(0.0, by_itself, rng) or 0.0 for _ in range(200)]
    assert sum(popped) / len(popped) > 0.75


def test_no_item_starves() -> None:
    queue: ReadyQueue[tuple[int, float]] = ReadyQueue(patience=0.0)
    rng = Random(5)
    hopeless = (-1, 0.0)
    queue.add(hopeless, 0.0)
    for number in range(50):
        queue.add((number, 0.5), 0.0)
    for number in range(50, 1000):
        popped = queue.pop(0.0, lambda item, _: item[1], rng)
        if popped is hopeless:
            break
        queue.add((number, 0.9), 0.0)
    assert popped is hopeless
