"""The rate limit, with times that the test chooses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async.service.request_rate import RateLimit


def test_one_seconds_worth_may_come_at_once() -> None:
    limit = RateLimit(4)
    assert [limit.try_acquire(100) for _ in range(4)] == [0] * 4
    assert limit.try_acquire(100) == pytest.approx(0.25)


def test_a_request_after_the_returned_wait_is_allowed() -> None:
    limit = RateLimit(0.5)
    assert limit.try_acquire(100) == 0
    wait = limit.try_acquire(100.5)
    assert wait == pytest.approx(1.5)
    assert limit.try_acquire(100.5 + wait) == 0


def test_work_takes_its_time_from_the_rate() -> None:
    limit = RateLimit(1000)
    limit.use_up(7, 100)
    assert limit.try_acquire(100) == pytest.approx(6, abs=0.1)
    assert limit.try_acquire(107) == 0


def test_work_takes_a_minute_at_most() -> None:
    limit = RateLimit(1)
    for _ in range(50):
        limit.use_up(30, 100)
    assert limit.try_acquire(100) == 60
    assert limit.try_acquire(160) == 0


def test_refused_requests_are_not_counted() -> None:
    limit = RateLimit(1)
    limit.try_acquire(100)
    for _ in range(50):
        limit.try_acquire(100.1)
    assert limit.try_acquire(101) == 0


def test_unused_rate_is_saved_for_one_second_only() -> None:
    limit = RateLimit(2)
    limit.try_acquire(100)
    assert [limit.try_acquire(200) for _ in range(3)] == [0, 0, pytest.approx(0.5)]


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_must_be_positive(rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        RateLimit(rate)


@given(
    rate=st.floats(0.05, 1000),
    gaps=st.lists(st.floats(0, 3), min_size=1, max_size=200),
)
def test_the_rate_is_never_exceeded(rate: float, gaps: list[float]) -> None:
    limit, now, allowed = RateLimit(rate), 1000.0, 0
    for gap in gaps:
        now += gap
        allowed += limit.try_acquire(now) == 0
    assert allowed <= rate * (now - 1000) + max(rate, 1) + 1e-6
