"""What `AdaptivePolling` learns from polls alone, and when it polls."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photoanimer_async import (
    AdaptivePolling,
    InvalidRequestError,
)
from photoanimer_async.polling.durations import EDGES
from photoanimer_async.polling.policies import LearningPolicy

KIND = "1 mp4"
randoms = st.randoms(use_true_random=False)
ages = st.floats(0, 1e6)


def poll_until(policy: AdaptivePolling, duration: float, rng: Random) -> list[float]:
    """Poll one task until its end, as the scheduler would; return the ages of the polls."""
    polls = [0.0]
    while polls[-1] < duration:
        age = polls[-1] + policy.delay(KIND, polls[-1], rng)
        record = policy.task_ended if age >= duration else policy.task_processing
        record(KIND, polls[-1], age)
        polls.append(age)
    return polls[1:]


def trained(
    durations: Callable[[], float], *, tasks: int = 200, cost: float = 0.5
) -> AdaptivePolling:
    policy, rng = AdaptivePolling(cost, shortest=0.01, longest=600), Random(7)
    for _ in range(tasks):
        poll_until(policy, durations(), rng)
    return policy


def lognormal(mean: float, seed: int = 1) -> Callable[[], float]:
    rng = Random(seed)
    return lambda: mean * rng.lognormvariate(-0.1, 0.45)


def ages_of_polls(policy: AdaptivePolling, until: float) -> list[float]:
    """Return the ages of a task's polls if it does not end; nothing is learned from them."""
    rng, polls = Random(3), [0.0]
    while polls[-1] < until:
        polls.append(polls[-1] + policy.delay(KIND, polls[-1], rng))
    return polls[1:]


def polls_per_second_of_waiting(durations: Callable[[], float]) -> float:
    """Return the load of the service per task in flight, once durations are known."""
    policy, rng = trained(durations), Random(5)
    tasks = [poll_until(policy, durations(), rng) for _ in range(200)]
    return sum(map(len, tasks)) / sum(polls[-1] for polls in tasks)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: AdaptivePolling(cost=0), "cost"),
        (lambda: AdaptivePolling(shortest=0), "shortest"),
        (lambda: AdaptivePolling(shortest=2, longest=1), "longest"),
    ],
)
def test_a_rejected_parameter_is_named(make: Callable[[], object], named: str) -> None:
    with pytest.raises(InvalidRequestError, match=named):
        make()


# --- bounds and a cold start ---

observations = st.lists(
    st.tuples(
        st.sampled_from(["processing", "ended", "removed"]),
        st.floats(0, 1e5),
        st.floats(0.001, 1e5),
    ),
    max_size=60,
)


@given(observations, ages, randoms)
@settings(max_examples=40, deadline=None)
def test_delays_stay_between_shortest_and_longest(
    seen: list[tuple[str, float, float]], age: float, rng: Random
) -> None:
    policy = AdaptivePolling(shortest=0.25, longest=20)
    for what, after, longer in seen:
        match what:
            case "processing":
                policy.task_processing(KIND, after, after + longer)
            case "ended":
                policy.task_ended(KIND, after, after + longer)
            case _:
                policy.task_removed(KIND, after)
        assert 0.0 <= policy.chance(KIND, after, after + longer) <= 1.0
    assert 0.25 <= policy.delay(KIND, age, rng) <= 20


def test_a_cold_policy_polls_soon_and_then_less_and_less_often() -> None:
    polls = ages_of_polls(AdaptivePolling(), until=600)
    assert polls[0] < 5
    assert len(polls) < 60
    assert polls[-1] - polls[-2] > polls[1] - polls[0]


def test_first_polls_of_a_cold_burst_are_spread() -> None:
    policy, rng = AdaptivePolling(), Random(1)
    first = sorted(policy.delay(KIND, 0.0, rng) for _ in range(500))
    within = [sum(low <= delay < 2 * low for delay in first) for low in (1, 2, 4, 8, 16)]
    assert min(within) >= 25
    assert max(within) < 150


def test_tasks_submitted_together_are_not_polled_together() -> None:
    policy, rng = trained(lognormal(30)), Random(1)
    polls = sorted(policy.delay(KIND, 0.0, rng) for _ in range(500))
    assert polls[-1] - polls[0] > 0.05 * polls[0]


# --- learning ---


def test_it_learns_when_tasks_end() -> None:
    policy = trained(lognormal(30))
    polls = ages_of_polls(policy, until=90)
    assert 12 < polls[0] < 35
    assert sum(age <= 60 for age in polls) <= 16
    assert policy.chance(KIND, 0, 10) < 0.05
    assert policy.chance(KIND, 0, 30) == pytest.approx(0.6, abs=0.12)
    assert policy.chance(KIND, 0, 90) > 0.95


def test_two_modes_are_polled_at_both_and_rarely_between() -> None:
    rng = Random(2)
    policy = trained(
        lambda: (3 if rng.random() < 0.6 else 25) * rng.lognormvariate(0, 0.1), tasks=400, cost=0.2
    )
    polls = ages_of_polls(policy, until=35)
    assert sum(5 <= age < 17 for age in polls) <= sum(age < 5 for age in polls)
    assert sum(5 <= age < 17 for age in polls) <= sum(age >= 17 for age in polls)


def test_a_higher_cost_means_fewer_polls() -> None:
    counts = [len(ages_of_polls(trained(lognormal(30), cost=cost), 60)) for cost in (0.1, 1, 10)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 2 * counts[-1]


@pytest.mark.parametrize("slower", [1.5, 3, 10])
def test_slower_tasks_are_not_polled_more_often(slower: float) -> None:
    usual = polls_per_second_of_waiting(lognormal(10))
    assert polls_per_second_of_waiting(lognormal(10 * slower)) < usual


def test_longer_durations_are_noticed_before_a_task_ends() -> None:
    policy = trained(lognormal(5))
    before = len(ages_of_polls(policy, until=20))
    for _ in range(100):
        policy.task_processing(KIND, 0.0, 10.0)
        policy.task_processing(KIND, 10.0, 20.0)
    assert len(ages_of_polls(policy, until=20)) < before


def test_old_observations_fade() -> None:
    policy, rng = trained(lognormal(5), tasks=400), Random(9)
    slow = lognormal(50, seed=4)
    for _ in range(2400):
        poll_until(policy, slow(), rng)
    assert policy.chance(KIND, 0, 12) < 0.1


def test_each_kind_is_learned_separately() -> None:
    policy = trained(lognormal(30))
    fresh = AdaptivePolling(0.5, shortest=0.01, longest=600)
    assert policy.delay("another", 0.0, Random(1)) == fresh.delay("another", 0.0, Random(1))


def test_task_ended_reports_a_changed_plan() -> None:
    policy = AdaptivePolling()
    assert isinstance(policy, LearningPolicy)
    assert any(policy.task_ended(KIND, 1.0, 1.2) for _ in range(10))
    changed = [policy.task_ended(KIND, 1.0, 1.2) for _ in range(2000)]
    assert not any(changed[1000:])


# --- saving ---


def test_durations_survive_json() -> None:
    policy = trained(lognormal(30))
    state = json.loads(json.dumps(policy.to_dict()))
    again = AdaptivePolling(0.5, shortest=0.01, longest=600)
    again.learn_from(state)
    for age in (10.0, 20.0, 30.0, 60.0):
        assert again.chance(KIND, 0.0, age) == pytest.approx(policy.chance(KIND, 0.0, age), abs=0.1)
    assert [ages[:2] for ages in again.to_dict()["kinds"][KIND]] == [
        pytest.approx(ages[:2]) for ages in state["kinds"][KIND]
    ]


@given(
    st.dictionaries(
        st.text(max_size=9),
        st.lists(
            st.tuples(st.floats(0, 1e3), st.floats(0.01, 1e3), st.floats(0.1, 400)).map(
                lambda seen: (seen[0], seen[0] + seen[1], seen[2])
            ),
            min_size=1,
            max_size=9,
        ),
        max_size=3,
    )
)
@settings(max_examples=15, deadline=None)
def test_any_loaded_state_can_be_saved_again(
    kinds: dict[str, list[tuple[float, float, float]]],
) -> None:
    policy = AdaptivePolling()
    policy.learn_from({"version": 1, "kinds": kinds})
    saved = policy.to_dict()
    assert set(saved["kinds"]) == set(kinds)
    again = AdaptivePolling()
    again.learn_from(json.loads(json.dumps(saved)))
    assert set(again.to_dict()["kinds"]) == set(kinds)


def test_a_saved_duration_beyond_the_last_bin_is_taken_for_its_end() -> None:
    policy = AdaptivePolling()
    policy.learn_from({"version": 1, "kinds": {"1 mp4": [[1.0, 2.0 * EDGES[-1], 3.0]]}})
    [[_, age, weight]] = policy.to_dict()["kinds"]["1 mp4"]
    assert (age, weight) == (EDGES[-1], 3.0)


def test_learn_from_does_not_replace_known_kinds() -> None:
    policy, other = trained(lognormal(3)), trained(lognormal(300))
    before = policy.to_dict()
    policy.learn_from(other.to_dict())
    assert policy.to_dict() == before


@pytest.mark.parametrize(
    "state",
    [
        None,
        [],
        {},
        {"version": 2, "kinds": {}},
        {"version": 1, "kinds": []},
        {"version": 1, "kinds": {"1 mp4": [[1, 2]]}},
        {"version": 1, "kinds": {"1 mp4": [[2, 1, 1]]}},
        {"version": 1, "kinds": {"1 mp4": [[1, 2, -1]]}},
        {"version": 1, "kinds": {"1 mp4": [[1, "x", 1]]}},
        {"version": 1, "kinds": {"1 mp4": [[1, float("nan"), 1]]}},
        {"version": 1, "kinds": {"1 mp4": [[1, float("inf"), 1]]}},
        {"version": 1, "kinds": {"1 mp4": 5}},
    ],
)
def test_a_damaged_state_is_rejected_and_changes_nothing(state: Any) -> None:
    policy = trained(lognormal(30))
    before = policy.to_dict()
    with pytest.raises(InvalidRequestError, match="not saved durations"):
        policy.learn_from(state)
    assert policy.to_dict() == before


def test_durations_of_a_large_burst_survive_saving() -> None:
    policy, rng, duration = AdaptivePolling(), Random(1), lognormal(5)
    for _ in range(3000):
        policy.task_added(KIND)
    for _ in range(3000):
        poll_until(policy, duration(), rng)
    again = AdaptivePolling()
    again.learn_from(policy.to_dict())
    assert again.chance(KIND, 0.0, 5.0) == pytest.approx(policy.chance(KIND, 0.0, 5.0), abs=0.1)


def test_it_keeps_observing_when_tasks_begin_to_end() -> None:
    policy = trained(lognormal(10), tasks=4000)
    state = policy.to_dict()["kinds"][KIND]
    assert sum(weight for _, age, weight in state if age < 8) > 5


def test_a_large_batch_is_forgotten_once_it_has_ended() -> None:
    policy, rng = AdaptivePolling(0.5, shortest=0.01, longest=600), Random(7)
    durations = lognormal(20.0)

    def remembered() -> float:
        intervals: list[tuple[float, float, float]] = policy.to_dict()["kinds"][KIND]
        return sum(weight for _, _, weight in intervals)

    for _ in range(5000):
        policy.task_added(KIND)
    for _ in range(5000):
        poll_until(policy, durations(), rng)
    assert remembered() > 2000
    for _ in range(4000):
        policy.task_added(KIND)
        poll_until(policy, durations(), rng)
    assert remembered() < 1000
