"""Items by due time, in groups."""

import math
from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async.polling.due_queue import DueQueue

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
    assert abs(first - min(dues)) <= min(min(dues) / 4 + 0.0011, 0.257)


@given(st.floats(0, 1000), st.floats(0, 100), st.floats(0, 100))
def test_no_item_is_due_before_now_or_not_before(now: float, wait: float, floor: float) -> None:
    queue: DueQueue[str] = DueQueue()
    assert queue.add("patient", now + wait, now, not_before=now + floor) >= now + floor
    assert queue.add("plain", now + wait, now) >= now


def test_items_due_close_together_share_a_time() -> None:
    queue: DueQueue[int] = DueQueue()
    times = Counter(queue.add(number, 30 + number / 10, 0.0) for number in range(1000))
    assert len(times) < 210


def test_a_group_holds_64_items() -> None:
    queue: DueQueue[int] = DueQueue()
    times = Counter(queue.add(number, 30, 0.0) for number in range(500))
    assert max(times.values()) == 64
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
