"""The limit on requests a second, on a clock of the test's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async.service.request_rate import RateLimit


def test_those_of_one_second_may_come_at_once() -> None:
    limit = RateLimit(4)
    assert [limit.wait(100) for _ in range(4)] == [0] * 4
    assert limit.wait(100) == pytest.approx(0.25)


def test_who_waits_as_told_gets_a_turn() -> None:
    limit = RateLimit(0.5)
    assert limit.wait(100) == 0
    wait = limit.wait(100.5)
    assert wait == pytest.approx(1.5)
    assert limit.wait(100.5 + wait) == 0


def test_a_refusal_costs_no_turn() -> None:
    limit = RateLimit(1)
    limit.wait(100)
    for _ in range(50):
        limit.wait(100.1)
    assert limit.wait(101) == 0


def test_a_rest_is_not_saved_up_beyond_a_second() -> None:
    limit = RateLimit(2)
    limit.wait(100)
    assert [limit.wait(200) for _ in range(3)] == [0, 0, pytest.approx(0.5)]


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_is_more_than_nothing(rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        RateLimit(rate)


@given(
    rate=st.floats(0.05, 1000),
    gaps=st.lists(st.floats(0, 3), min_size=1, max_size=200),
)
def test_in_no_time_are_there_more_turns_than_the_rate_allows(
    rate: float, gaps: list[float]
) -> None:
    limit, now, turns = RateLimit(rate), 1000.0, 0
    for gap in gaps:
        now += gap
        turns += limit.wait(now) == 0
    assert turns <= rate * (now - 1000) + max(rate, 1) + 1e-6
