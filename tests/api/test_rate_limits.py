"""`Pace` spaces requests evenly; `AllowedRate` finds what the service allows."""

import math
from collections.abc import Callable

import pytest
from attrs import define

from photoanimer_async import InvalidRequestError
from photoanimer_async.api.rate_limits import AllowedRate, Pace


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_must_be_above_0(rate: float) -> None:
    with pytest.raises(InvalidRequestError, match="rate"):
        Pace(rate)


def test_requests_are_spaced_evenly() -> None:
    pace = Pace(2)
    assert pace.next_at - 10.0 <= 0
    pace.take(now=10.0)
    assert pace.next_at - 10.1 == pytest.approx(0.4)
    pace.take(now=10.1)
    assert pace.next_at - 10.1 == pytest.approx(0.9)
    assert pace.next_at - 99.0 <= 0


def test_a_request_that_is_given_back_leaves_its_time_to_the_next() -> None:
    pace = Pace(2)
    pace.take(now=10.0)
    pace.give_back(now=10.1)
    assert pace.next_at - 10.1 <= 0


def test_without_a_rate_nothing_waits() -> None:
    pace = Pace(None)
    for _ in range(1000):
        pace.take(now=10.0)
    assert pace.next_at - 10.0 <= 0


# --- the rate is found from the answers and kept just below what the service allows ---


@define
class Limiter:
    """A service that allows so many requests a second, and so many at once."""

    rate: float
    burst: float = 1.0
    tokens: float = 1.0
    at: float = 0.0

    def allows(self, now: float) -> bool:
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        self.tokens -= (allowed := self.tokens >= 1.0 - 1e-9)
        return allowed


@define
class Sent:
    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0


def send(
    rate: AllowedRate,
    allows: Callable[[float], bool],
    requests: int,
    *,
    start: float = 0.0,
    latency: float = 0.1,
) -> Sent:
    """Send requests, one after the other, until so many were accepted; nothing really waits."""
    now, sent = start, Sent()
    while sent.accepted < requests:
        now += max((rate.next_at - now), 0.0)
        rate.take(now)
        answered = now + latency
        if allows(now):
            sent.accepted += 1
            rate.accepted(now, answered)
        else:
            sent.refused += 1
            rate.refused(now, answered)
        now = answered if rate.rate == math.inf or rate.rate > 1 / latency else now + 0.001
    sent.seconds = now - start
    return sent


def test_without_a_refusal_there_is_no_limit() -> None:
    rate = AllowedRate()
    for _ in range(1000):
        rate.take(5.0)
        rate.accepted(5.0, 5.1)
    assert (rate.next_at - 5.0) <= 0
    assert not rate.is_limited


@pytest.mark.parametrize("allowed", [0.9, 1.0, 3.0, 8.0])
def test_requests_are_sent_just_below_the_allowed_rate(allowed: float) -> None:
    rate, limiter = AllowedRate(), Limiter(allowed)
    assert send(rate, limiter.allows, 200).refused <= 20
    sent = send(rate, limiter.allows, 500, start=1000.0)
    assert sent.refused <= 40
    assert 500 / sent.seconds >= 0.85 * allowed


def test_a_rate_below_the_vendors_is_found_too() -> None:
    sent = send(AllowedRate(), Limiter(0.3).allows, 60)
    assert 60 / sent.seconds >= 0.2


def test_a_rate_that_rises_is_found_again() -> None:
    rate, limiter = AllowedRate(), Limiter(1.0)
    send(rate, limiter.allows, 50)
    limiter = Limiter(5.0)
    sent = send(rate, limiter.allows, 400, start=1000.0)
    assert rate.rate >= 4
    assert sent.refused <= 40


def test_an_outage_does_not_limit_the_rate_for_long() -> None:
    rate, limiter = AllowedRate(), Limiter(1.0)
    sent = send(rate, lambda now: limiter.allows(now) and not 30 <= now < 60, 200)
    assert sent.seconds <= 30 + 300
    assert sent.refused <= 60


def test_answers_to_requests_of_an_earlier_rate_do_not_change_it() -> None:
    rate = AllowedRate()
    for number in range(64):
        rate.take(number / 100)
    rate.accepted(0.0, 0.7)
    for number in range(1, 64):
        rate.refused(number / 100, 0.7 + number / 100)
    assert rate.rate == 1.0


def test_single_refusals_below_the_limit_are_tolerated() -> None:
    rate, limiter = AllowedRate(), Limiter(5.0)
    send(rate, limiter.allows, 300)
    found = rate.rate
    for number in range(5):
        now = 1000.0 + 100 * number
        rate.refused(now, now + 0.1)
        for later in range(20):
            rate.accepted(now + 1 + later, now + 1.1 + later)
    assert rate.rate >= 0.8 * found


def test_retry_after_pauses_all_requests_where_most_are_refused() -> None:
    rate = AllowedRate()
    rate.refused(10.0, 10.0, retry_after=7.0)
    assert (rate.next_at - 10.0) == pytest.approx(7.0)
    rate.refused(18.0, 18.0, retry_after=3600.0)
    assert (rate.next_at - 18.0) == pytest.approx(30.0)


def test_an_allowed_request_that_is_given_back_leaves_its_time_to_the_next() -> None:
    rate = AllowedRate()
    rate.refused(10.0, 10.0)
    now = 10.0 + (rate.next_at - 10.0)
    rate.take(now)
    assert (rate.next_at - now) == pytest.approx(1.0)
    rate.give_back(now)
    assert (rate.next_at - now) <= 0
