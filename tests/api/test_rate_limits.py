"""`Pace` spaces requests evenly."""

import pytest

from photoanimer_async import InvalidRequestError
from photoanimer_async.api.rate_limits import Pace


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_must_be_above_0(rate: float) -> None:
    with pytest.raises(InvalidRequestError, match="rate"):
        Pace(rate)


def test_requests_are_spaced_evenly() -> None:
    pace = Pace(2)
    assert pace.pause(now=10.0) <= 0
    pace.take(now=10.0)
    assert pace.pause(now=10.1) == pytest.approx(0.4)
    pace.take(now=10.1)
    assert pace.pause(now=10.1) == pytest.approx(0.9)
    assert pace.pause(now=99.0) <= 0


def test_a_request_that_is_given_back_leaves_its_time_to_the_next() -> None:
    pace = Pace(2)
    pace.take(now=10.0)
    pace.give_back(now=10.1)
    assert pace.pause(now=10.1) <= 0


def test_without_a_rate_nothing_waits() -> None:
    pace = Pace(None)
    for _ in range(1000):
        pace.take(now=10.0)
    assert pace.pause(now=10.0) <= 0
