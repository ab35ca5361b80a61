"""What is due when, and whose turn is next."""

from collections import Counter
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async.polling.due_queue import Agenda, Turns

times = st.lists(st.floats(0, 1000), max_size=50)


@given(times, st.floats(0, 1000))
def test_what_is_due_is_taken_in_order_and_the_rest_is_left(dues: list[float], now: float) -> None:
    agenda: Agenda[float] = Agenda()
    for due in dues:
        agenda.add(due, due, 0.0)
    taken = agenda.take_due(now, 100)
    assert all(due <= now + 0.257 for due in taken)
    for one, next_one in pairwise(taken):
        assert one <= next_one + 0.513
    rest = agenda.take_due(2000.0, 100)
    assert sorted(taken + rest) == sorted(dues)
    assert all(due + 0.257 > now for due in rest)
    assert agenda.next_due() is None


@given(times.filter(bool))
def test_the_first_due_is_known(dues: list[float]) -> None:
    agenda: Agenda[float] = Agenda()
    for due in dues:
        agenda.add(due, due, 0.0)
    first = agenda.next_due()
    assert first is not None
    assert abs(first - min(dues)) <= min(min(dues) / 4 + 0.0011, 0.257)


@given(st.floats(0, 1000), st.floats(0, 100), st.floats(0, 100))
def test_nothing_comes_up_before_its_time(now: float, wait: float, floor: float) -> None:
    agenda: Agenda[str] = Agenda()
    assert agenda.add("patient", now + wait, now, not_before=now + floor) >= now + floor
    assert agenda.add("plain", now + wait, now) >= now


def test_what_is_due_at_nearly_the_same_time_comes_up_together() -> None:
    agenda: Agenda[int] = Agenda()
    times = Counter(agenda.add(number, 30 + number / 10, 0.0) for number in range(1000))
    assert len(times) < 210


def test_what_is_due_at_once_comes_up_in_groups() -> None:
    agenda: Agenda[int] = Agenda()
    times = Counter(agenda.add(number, 30, 0.0) for number in range(500))
    assert max(times.values()) == 64
    assert len(times) == 8


def test_a_great_group_can_be_taken_in_parts() -> None:
    agenda: Agenda[int] = Agenda()
    for number in range(1000):
        agenda.add(number, 30.0, 0.0)
    parts = [agenda.take_due(31.0, 300) for _ in range(5)]
    assert [len(part) for part in parts] == [300, 300, 300, 100, 0]
    assert sorted(number for part in parts for number in part) == list(range(1000))
    assert agenda.next_due() is None


def test_the_best_chance_comes_first() -> None:
    turns: Turns[float] = Turns(patience=0.0)
    for chance in (0.1, 0.9, 0.5):
        turns.add(chance, 0.0)
    assert [turns.take(0.0, lambda chance: chance, Random(1)) for _ in range(3)] == [0.9, 0.5, 0.1]


def test_who_is_put_first_is_first() -> None:
    turns: Turns[float] = Turns(patience=0.0)
    turns.add(0.9, 0.0)
    turns.add_first(0.1)
    assert len(turns) == 2
    assert turns.take(0.0, lambda chance: chance, Random(1)) == 0.1
    assert turns.take(0.0, lambda chance: chance, Random(1)) == 0.9


def test_of_many_the_likely_ones_are_preferred() -> None:
    turns: Turns[float] = Turns(patience=0.0)
    rng = Random(5)
    for _ in range(1000):
        turns.add(rng.random(), 0.0)
    taken = [turns.take(0.0, lambda chance: chance, rng) for _ in range(200)]
    assert sum(taken) / len(taken) > 0.75


def test_none_starves() -> None:
    turns: Turns[tuple[int, float]] = Turns(patience=0.0)
    rng = Random(5)
    hopeless = (-1, 0.0)
    turns.add(hopeless, 0.0)
    for number in range(50):
        turns.add((number, 0.5), 0.0)
    for number in range(50, 1000):
        taken = turns.take(0.0, lambda item: item[1], rng)
        if taken is hopeless:
            break
        turns.add((number, 0.9), 0.0)
    assert taken is hopeless


@given(st.integers(1, 2000), st.floats(0.1, 100))
def test_however_many_come_at_once_none_is_early_or_late_by_more_than_half_its_wait(
    count: int, wait: float
) -> None:
    agenda: Agenda[int] = Agenda()
    times = [agenda.add(number, wait, 0.0) for number in range(count)]
    assert all(abs(time - wait) <= min(wait / 2, 0.512) + 0.002 for time in times)
