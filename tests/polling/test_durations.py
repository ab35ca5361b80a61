"""The distribution of durations, estimated from polls."""

import pytest

from photoanimer_async.polling.durations import EDGES, Durations, position
from photoanimer_async.polling.poll_times import at


def test_many_ends_at_the_first_poll_do_not_erase_what_early_polls_found() -> None:
    durations = Durations.from_intervals([(2.8, 3.2, 90.0), (25.0, 27.0, 10.0)])
    for _ in range(12):
        for _ in range(36):
            durations.record_end(0.0, 5.0)
        for _ in range(4):
            durations.record_processing(0.0, 5.0)
        durations.update()
    longer = durations.survival()
    assert at(2.5, longer) - at(3.5, longer) > 0.65


def test_position_is_an_integer_at_each_edge() -> None:
    assert [position(edge) for edge in EDGES] == pytest.approx(range(len(EDGES)))
    assert position(EDGES[-1] * 2) == len(EDGES) - 1


def test_a_distribution_follows_the_observed_ends() -> None:
    durations = Durations.from_intervals([(9.5, 10.5, 100.0)])
    longer = durations.survival()
    assert longer[0] == 1.0
    assert longer == sorted(longer, reverse=True)
    assert at(8.0, longer) > 0.9
    assert at(12.0, longer) < 0.1


def test_intervals_survive_saving_and_old_ones_fade_to_a_limit() -> None:
    durations = Durations.from_intervals([(1.0, 2.0, 3.0)])
    [(after, age, weight)] = durations.intervals()
    assert [after, age] == pytest.approx([1.0, 2.0], rel=0.05)
    assert weight == 3.0
    for _ in range(2000):
        durations.record_end(4.0, 5.0)
    durations.update(600.0)
    assert durations.weight == pytest.approx(600.0, abs=1.0)


def test_tasks_in_flight_are_counted_at_the_edge_of_their_last_poll() -> None:
    durations = Durations()
    durations.record_processing(0.0, EDGES[20])
    durations.record_processing(EDGES[20], EDGES[30])
    durations.record_processing(0.0, EDGES[40])
    assert durations.edges_in_flight() == [0, 30, 40]
    durations.record_removed(EDGES[40])
    durations.record_end(EDGES[30], EDGES[31])
    assert durations.edges_in_flight() == [0]
