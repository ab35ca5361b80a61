"""When the next look is: the policies, and what the adaptive one learns from looks alone."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photoanimer_async import (
    AdaptivePolling,
    AnimationOptions,
    ExponentialBackoff,
    FixedInterval,
    InvalidRequestError,
)
from photoanimer_async.polling.durations import EDGES, Durations
from photoanimer_async.polling.policies import LearningPolicy, kind_of
from photoanimer_async.polling.poll_times import at, optimal_poll_times

KIND = "1 mp4"
randoms = st.randoms(use_true_random=False)
ages = st.floats(0, 1e6)


def look_until(policy: AdaptivePolling, duration: float, rng: Random) -> list[float]:
    """Looks at one task until its end, as the scheduler would; gives the ages of the looks."""
    looks = [0.0]
    while looks[-1] < duration:
        age = looks[-1] + policy.delay(KIND, looks[-1], rng)
        tell = policy.task_ended if age >= duration else policy.task_processing
        tell(KIND, looks[-1], age)
        looks.append(age)
    return looks[1:]


def taught(
    durations: Callable[[], float], *, tasks: int = 200, cost: float = 0.5
) -> AdaptivePolling:
    policy, rng = AdaptivePolling(cost, shortest=0.01, longest=600), Random(7)
    for _ in range(tasks):
        look_until(policy, durations(), rng)
    return policy


def lognormal(mean: float, seed: int = 1) -> Callable[[], float]:
    rng = Random(seed)
    return lambda: mean * rng.lognormvariate(-0.1, 0.45)


def ages_of_looks(policy: AdaptivePolling, until: float) -> list[float]:
    """A task's looks if it does not end; nothing is learned from them."""
    rng, looks = Random(3), [0.0]
    while looks[-1] < until:
        looks.append(looks[-1] + policy.delay(KIND, looks[-1], rng))
    return looks[1:]


def looks_a_second_of_waiting(durations: Callable[[], float]) -> float:
    """What the service has to bear for each task in flight, once durations are known."""
    policy, rng = taught(durations), Random(5)
    tasks = [look_until(policy, durations(), rng) for _ in range(200)]
    return sum(map(len, tasks)) / sum(looks[-1] for looks in tasks)


# --- plain policies ---


@given(ages, randoms)
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
        (lambda: AdaptivePolling(cost=0), "cost"),
        (lambda: AdaptivePolling(shortest=0), "shortest"),
        (lambda: AdaptivePolling(shortest=2, longest=1), "longest"),
    ],
)
def test_a_policy_names_what_it_does_not_take(make: Callable[[], object], named: str) -> None:
    with pytest.raises(InvalidRequestError, match=named):
        make()


def test_tasks_are_of_one_kind_if_what_was_asked_for_is_alike() -> None:
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


# --- what the adaptive one promises at any time ---

looks_seen = st.lists(
    st.tuples(
        st.sampled_from(["pending", "ended", "left"]), st.floats(0, 1e5), st.floats(0.001, 1e5)
    ),
    max_size=60,
)


@given(looks_seen, ages, randoms)
@settings(max_examples=60, deadline=None)
def test_intervals_stay_within_their_bounds_whatever_was_seen(
    seen: list[tuple[str, float, float]], age: float, rng: Random
) -> None:
    policy = AdaptivePolling(shortest=0.25, longest=20)
    for what, after, longer in seen:
        match what:
            case "pending":
                policy.task_processing(KIND, after, after + longer)
            case "ended":
                policy.task_ended(KIND, after, after + longer)
            case _:
                policy.task_removed(KIND, after)
        assert 0.0 <= policy.chance(KIND, after, after + longer) <= 1.0
    assert 0.25 <= policy.delay(KIND, age, rng) <= 20


def test_before_anything_is_known_it_looks_soon_and_then_less_and_less_often() -> None:
    looks = ages_of_looks(AdaptivePolling(), until=600)
    assert looks[0] < 5
    assert len(looks) < 60
    assert looks[-1] - looks[-2] > looks[1] - looks[0]


def test_first_looks_of_a_cold_burst_are_spread() -> None:
    policy, rng = AdaptivePolling(), Random(1)
    first = sorted(policy.delay(KIND, 0.0, rng) for _ in range(500))
    within = [sum(low <= delay < 2 * low for delay in first) for low in (1, 2, 4, 8, 16)]
    assert min(within) >= 25
    assert max(within) < 150


def test_tasks_submitted_together_are_not_asked_for_in_the_same_instant() -> None:
    policy, rng = taught(lognormal(30)), Random(1)
    looks = sorted(policy.delay(KIND, 0.0, rng) for _ in range(500))
    assert looks[-1] - looks[0] > 0.05 * looks[0]


# --- what it learns ---


def test_it_learns_when_tasks_end() -> None:
    policy = taught(lognormal(30))
    looks = ages_of_looks(policy, until=90)
    assert 12 < looks[0] < 35
    assert sum(age <= 60 for age in looks) <= 16
    assert policy.chance(KIND, 0, 10) < 0.05
    assert policy.chance(KIND, 0, 30) == pytest.approx(0.6, abs=0.12)
    assert policy.chance(KIND, 0, 90) > 0.95


def test_two_modes_are_looked_for_at_both_and_hardly_between() -> None:
    rng = Random(2)
    policy = taught(
        lambda: (3 if rng.random() < 0.6 else 25) * rng.lognormvariate(0, 0.1), tasks=400, cost=0.2
    )
    looks = ages_of_looks(policy, until=35)
    assert sum(5 <= age < 17 for age in looks) <= sum(age < 5 for age in looks)
    assert sum(5 <= age < 17 for age in looks) <= sum(age >= 17 for age in looks)


def test_a_higher_cost_means_fewer_looks() -> None:
    counts = [len(ages_of_looks(taught(lognormal(30), cost=cost), 60)) for cost in (0.1, 1, 10)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 2 * counts[-1]


@pytest.mark.parametrize("slower", [1.5, 3, 10])
def test_when_all_gets_slower_it_does_not_look_more_often(slower: float) -> None:
    usual = looks_a_second_of_waiting(lognormal(10))
    assert looks_a_second_of_waiting(lognormal(10 * slower)) < usual


def test_a_queue_that_builds_up_is_noticed_before_anything_ends() -> None:
    policy = taught(lognormal(5))
    before = len(ages_of_looks(policy, until=20))
    for _ in range(100):
        policy.task_processing(KIND, 0.0, 10.0)
        policy.task_processing(KIND, 10.0, 20.0)
    assert len(ages_of_looks(policy, until=20)) < before


def test_what_is_old_fades() -> None:
    policy, rng = taught(lognormal(5), tasks=400), Random(9)
    slow = lognormal(50, seed=4)
    for _ in range(2400):
        look_until(policy, slow(), rng)
    assert policy.chance(KIND, 0, 12) < 0.1


def test_each_kind_is_learned_for_itself() -> None:
    policy = taught(lognormal(30))
    fresh = AdaptivePolling(0.5, shortest=0.01, longest=600)
    assert policy.delay("another", 0.0, Random(1)) == fresh.delay("another", 0.0, Random(1))


def test_it_says_when_plans_have_changed() -> None:
    policy = AdaptivePolling()
    assert isinstance(policy, LearningPolicy)
    assert any(policy.task_ended(KIND, 1.0, 1.2) for _ in range(10))
    told = [policy.task_ended(KIND, 1.0, 1.2) for _ in range(2000)]
    assert not any(told[1000:])


def test_a_plan_looks_where_tasks_end_and_nowhere_before() -> None:
    durations = Durations.of([(9.5, 10.5, 100.0)])
    looks = optimal_poll_times(durations.survival(), durations.hazards, cost=1.0)
    assert 9.5 < looks[0] < 13
    assert all(look > edge for look, edge in zip(looks, EDGES, strict=True))
    assert looks == sorted(looks)


def test_many_ends_at_the_first_look_do_not_wash_out_what_early_looks_told() -> None:
    durations = Durations.of([(2.8, 3.2, 90.0), (25.0, 27.0, 10.0)])
    for _ in range(12):
        for _ in range(36):
            durations.ended(0.0, 5.0)
        for _ in range(4):
            durations.pending(0.0, 5.0)
        durations.learn()
    longer = durations.survival()
    assert at(2.5, longer) - at(3.5, longer) > 0.65


# --- what it keeps ---


def test_what_was_learned_goes_through_json() -> None:
    policy = taught(lognormal(30))
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
@settings(max_examples=30, deadline=None)
def test_any_state_that_is_taken_up_can_be_kept_again(
    kinds: dict[str, list[tuple[float, float, float]]],
) -> None:
    policy = AdaptivePolling()
    policy.learn_from({"version": 1, "kinds": kinds})
    kept = policy.to_dict()
    assert set(kept["kinds"]) == set(kinds)
    again = AdaptivePolling()
    again.learn_from(json.loads(json.dumps(kept)))
    assert set(again.to_dict()["kinds"]) == set(kinds)


def test_what_is_known_already_is_not_replaced() -> None:
    policy, other = taught(lognormal(3)), taught(lognormal(300))
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
        {"version": 1, "kinds": {"1 mp4": 5}},
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(state: Any) -> None:
    policy = taught(lognormal(30))
    before = policy.to_dict()
    with pytest.raises(InvalidRequestError, match="no durations"):
        policy.learn_from(state)
    assert policy.to_dict() == before


def test_a_great_burst_can_be_kept_and_taken_up() -> None:
    policy, rng, duration = AdaptivePolling(), Random(1), lognormal(5)
    for _ in range(3000):
        policy.task_added(KIND)
    for _ in range(3000):
        look_until(policy, duration(), rng)
    again = AdaptivePolling()
    again.learn_from(policy.to_dict())
    assert again.chance(KIND, 0.0, 5.0) == pytest.approx(policy.chance(KIND, 0.0, 5.0), abs=0.1)


def test_it_never_loses_sight_of_when_tasks_begin_to_end() -> None:
    policy = taught(lognormal(10), tasks=4000)
    state = policy.to_dict()["kinds"][KIND]
    assert sum(weight for _, age, weight in state if age < 8) > 5
