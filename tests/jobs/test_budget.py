"""What it costs, and what may be spent."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async import (
    AnimationOptions,
    AnimationRequest,
    BudgetExceededError,
    InvalidRequestError,
    estimate,
)
from photoanimer_async.jobs.budget import Budget, price

PAGE = {0: 3.13, 1: 7.13, 2: 2.13, 3: 6.75, 4: 4.38, 5: 3.75}
VOICE = "http://v.example/a.mp3"


@pytest.mark.parametrize(("template", "seconds"), PAGE.items())
def test_prices_are_those_of_the_api_page(template: int, seconds: float) -> None:
    assert price(AnimationOptions(template=template)) == seconds
    assert estimate(["a.jpg"] * 100, template).seconds == pytest.approx(100 * seconds)


def test_an_estimate_adds_up_and_counts_assumptions() -> None:
    cost = estimate(
        [
            "a.jpg",
            b"content",
            AnimationRequest("c.jpg", AnimationOptions(template=2)),
            AnimationRequest(
                "d.jpg", AnimationOptions(template=0, voice_url=VOICE, voice_seconds=20)
            ),
            AnimationRequest("e.jpg", AnimationOptions(template=0, voice_url=VOICE)),
            AnimationRequest(
                "f.jpg", AnimationOptions(template=0, voice_url=VOICE, voice_seconds=5)
            ),
        ],
        template=3,
    )
    assert (cost.photos, cost.seconds) == (6, 2 * 6.75 + 2.13 + 20 + 3.13 + 5)
    assert (cost.assumed, cost.unknown) == (3, 1)


def test_no_photos_cost_nothing() -> None:
    assert (estimate([]).photos, estimate([]).seconds) == (0, 0)


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_voice_seconds_are_positive(seconds: float) -> None:
    with pytest.raises(InvalidRequestError, match="voice_seconds"):
        AnimationOptions(template=0, voice_url=VOICE, voice_seconds=seconds)


def test_a_limit_can_be_used_up_exactly() -> None:
    budget = Budget(round(10 * 2.13, 2))
    for _ in range(10):
        budget.reserve(AnimationOptions(template=2))
    with pytest.raises(BudgetExceededError, match=r"2\.13 more.*limit of 21\.3: 21\.3 are"):
        budget.reserve(AnimationOptions(template=2))


def test_a_voice_of_unknown_length_is_refused_with_a_limit() -> None:
    with pytest.raises(InvalidRequestError, match="voice_seconds"):
        Budget(1000).reserve(AnimationOptions(template=0, voice_url=VOICE))
    assert Budget().reserve(AnimationOptions(template=0, voice_url=VOICE)) == 3.13


@pytest.mark.parametrize("limit", [-1, float("nan")])
def test_a_limit_is_not_negative(limit: float) -> None:
    with pytest.raises(InvalidRequestError, match="limit"):
        Budget(limit)


@given(
    limit=st.floats(0, 100),
    steps=st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["commit", "release", "wait"]))),
)
def test_the_limit_is_never_passed_by_open_submits(
    limit: float, steps: list[tuple[int, str]]
) -> None:
    budget, spent = Budget(limit), 0.0
    under_way: list[tuple[float, Callable[[float], None]]] = []
    for template, what in steps:
        try:
            cost = budget.reserve(AnimationOptions(template=template))
        except BudgetExceededError:
            owed = spent + sum(cost for cost, _ in under_way)
            assert owed + PAGE[template] > limit - 1e-6
            continue
        match what:
            case "commit":
                budget.commit(cost)
                spent += cost
            case "release":
                budget.release(cost)
            case _:
                under_way.append((cost, budget.commit))
        assert spent + sum(cost for cost, _ in under_way) <= limit + 1e-6
    for cost, settle in under_way:
        settle(cost)
        spent += cost
    assert budget.spent == pytest.approx(spent)
    assert budget.reserved == pytest.approx(0, abs=1e-9)
    assert spent <= limit + 1e-6


@pytest.mark.parametrize("one", ["a.jpg", b"content", Path("a.jpg"), AnimationRequest("a.jpg")])
def test_one_photo_is_no_list_of_photos(one: object) -> None:
    with pytest.raises(InvalidRequestError, match=r"photos must be an iterable.*pass a list"):
        estimate(one)  # type: ignore[arg-type] # the mistake, which a type checker misses for str
