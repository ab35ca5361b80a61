"""The best ages at which to poll."""

import pytest

from photoanimer_async.polling.durations import EDGES, Durations
from photoanimer_async.polling.poll_times import at, optimal_poll_times


def test_polls_come_where_tasks_end_and_not_before() -> None:
    durations = Durations.from_intervals([(9.5, 10.5, 100.0)])
    ages = optimal_poll_times(durations.survival(), durations.hazards, cost=1.0)
    assert 9.5 < ages[0] < 13
    assert all(age > edge for age, edge in zip(ages, EDGES, strict=True))
    assert ages == sorted(ages)


def test_a_higher_cost_never_makes_the_first_poll_earlier() -> None:
    durations = Durations.from_intervals([(2.0, 3.0, 50.0), (8.0, 9.0, 50.0)])
    first = [
        optimal_poll_times(durations.survival(), durations.hazards, cost)[0]
        for cost in (0.01, 0.1, 1.0, 10.0)
    ]
    assert first == sorted(first)


def test_at_interpolates_between_edges() -> None:
    assert at(0.0, EDGES) == 0.0
    assert at(EDGES[7], EDGES) == pytest.approx(EDGES[7])
    assert EDGES[7] < at((EDGES[7] + EDGES[8]) / 2, EDGES) < EDGES[8]
