"""The plain policies, and the kinds of tasks."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async import (
    AnimationOptions,
    ExponentialBackoff,
    FixedInterval,
    InvalidRequestError,
)
from photoanimer_async.polling.policies import kind_of

KIND = "1 mp4"


@given(st.floats(0, 1e6), st.randoms(use_true_random=False))
def test_a_fixed_interval_varies_by_a_tenth(age: float, rng: Random) -> None:
    assert 4.5 <= FixedInterval(5).delay(KIND, age, rng) <= 5.5


def test_exponential_backoff_doubles_up_to_its_longest() -> None:
    policy, rng = ExponentialBackoff(first=1, longest=30), Random(1)
    for age, interval in ((0, 1), (1, 2), (3, 4), (7, 8), (15, 16), (31, 30), (1e6, 30)):
        delays = [policy.delay(KIND, age, rng) for _ in range(200)]
        assert interval / 2 <= min(delays) < 0.6 * interval
        assert 0.9 * interval < max(delays) <= interval


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: FixedInterval(0), "seconds"),
        (lambda: ExponentialBackoff(first=-1), "first"),
        (lambda: ExponentialBackoff(longest=float("nan")), "longest"),
    ],
)
def test_a_rejected_parameter_is_named(make: Callable[[], object], named: str) -> None:
    with pytest.raises(InvalidRequestError, match=named):
        make()


def test_the_kind_depends_on_template_format_and_voice() -> None:
    voice = AnimationOptions(template=0, voice_url="http://h/a.mp3")
    kinds = [
        kind_of(options)
        for options in (
            AnimationOptions(template=0),
            AnimationOptions(template=1),
            AnimationOptions(template=0, output_format="gif"),
            voice,
        )
    ]
    assert len(set(kinds)) == 4
    assert kind_of(AnimationOptions(template=0, voice_url="http://h/b.mp3")) == kind_of(voice)
