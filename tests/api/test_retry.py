"""Which failures may be repeated, and after which waits."""

import math
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async import (
    ApiError,
    AuthenticationError,
    InsufficientCreditsError,
    InvalidPhotoError,
    InvalidRequestError,
    NoAnswerError,
    NotSentError,
    PhotoAnimerError,
    RateLimitedError,
    RefusedRequestError,
    ServiceUnavailableError,
    UnexpectedResponseError,
)
from photoanimer_async.api.retry import RetryPolicy, Verdict, verdict, waits
from photoanimer_async.api.wire import Operation


def api_error(kind: type[ApiError], status: int, retry_after: float | None = None) -> ApiError:
    return kind(operation="x", code=1, message="", http_status=status, retry_after=retry_after)


AGAIN, GIVE_UP, AMBIGUOUS = Verdict.TRY_AGAIN, Verdict.GIVE_UP, Verdict.AMBIGUOUS


@pytest.mark.parametrize(
    ("error", "submit", "read"),
    [
        (NotSentError("refused"), AGAIN, AGAIN),
        (NoAnswerError("reset"), AMBIGUOUS, AGAIN),
        (UnexpectedResponseError("html", http_status=200), AMBIGUOUS, AGAIN),
        (api_error(RateLimitedError, 429), AGAIN, AGAIN),
        (api_error(ServiceUnavailableError, 503), AGAIN, AGAIN),
        (api_error(ServiceUnavailableError, 500), AMBIGUOUS, AGAIN),
        (api_error(ServiceUnavailableError, 504), AMBIGUOUS, AGAIN),
        (api_error(ApiError, 408), AMBIGUOUS, AGAIN),
        (api_error(ApiError, 200), GIVE_UP, AGAIN),
        (api_error(AuthenticationError, 401), GIVE_UP, GIVE_UP),
        (api_error(InsufficientCreditsError, 200), GIVE_UP, GIVE_UP),
        (api_error(RefusedRequestError, 404), GIVE_UP, GIVE_UP),
        (InvalidPhotoError("no photo", photo="a"), GIVE_UP, GIVE_UP),
    ],
)
def test_whether_to_repeat_depends_on_the_operation(
    error: PhotoAnimerError, submit: Verdict, read: Verdict
) -> None:
    assert verdict(Operation.SUBMIT, error) is submit
    assert verdict(Operation.GET_TASK_INFO, error) is read
    assert verdict(Operation.GET_BALANCE, error) is read


@given(
    st.integers(1, 10_000),
    st.none() | st.floats(0, 86_400),
    st.randoms(use_true_random=False),
)
def test_retry_after_is_a_floor_and_other_waits_are_bounded(
    failures: int, retry_after: float | None, rng: Random
) -> None:
    policy = RetryPolicy(first_wait=0.5, longest_wait=30)
    wait = policy.wait(failures, api_error(RateLimitedError, 429, retry_after), rng)
    floor = retry_after or 0.0
    assert floor <= wait <= max(30.0, floor * 1.1)
    assert wait >= min(0.25 * 2 ** min(failures - 1, 10), 15)


@pytest.mark.parametrize(
    "wrong",
    [{"tries": 0}, {"tries": 1.5}, {"first_wait": -1.0}, {"longest_wait": math.nan}],
)
def test_a_policy_has_a_try_and_waits_that_are_times(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match=next(iter(wrong))):
        RetryPolicy(**wrong)


def test_waits_is_a_wait_generator_for_backoff() -> None:
    generator = waits(RetryPolicy(first_wait=1.0, longest_wait=3.0), Random(1))
    generator.send(None)  # type: ignore[arg-type] # as backoff primes it
    waited = [generator.send(NotSentError("")) for _ in range(4)]
    assert all(
        low <= wait <= high
        for wait, (low, high) in zip(waited, [(0.5, 1), (1, 2), (1.5, 3), (1.5, 3)], strict=True)
    )
