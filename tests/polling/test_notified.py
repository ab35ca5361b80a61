"""When a task is polled whose end should be notified."""

from collections.abc import Callable
from random import Random

import pytest

from photoanimer_async import AdaptivePolling, FixedInterval, PollPolicy
from photoanimer_async.polling.notified import NotifiedPolling


def warm(seconds: float) -> AdaptivePolling:
    """A policy that has observed many tasks of this duration."""
    policy = AdaptivePolling()
    for _ in range(200):
        policy.task_ended("kind", seconds * 0.95, seconds)
    return policy


def proven(policy: PollPolicy) -> NotifiedPolling:
    """A policy that a notification has reached."""
    notified = NotifiedPolling(policy)
    notified.notification_confirmed()
    return notified


@pytest.mark.parametrize("seconds", [2.0, 30.0, 300.0])
def test_a_poll_comes_when_nearly_all_tasks_have_ended(seconds: float) -> None:
    policy = proven(warm(seconds))
    for number in range(50):
        first = policy.delay("kind", 0.0, Random(number))
        assert min(20.0, 1.1 * seconds) <= first <= max(25.0, 2.1 * seconds)
        assert policy.delay("kind", first, Random(number)) >= 20.0


@pytest.mark.parametrize("make", [lambda: warm(2.0), lambda: warm(300.0), AdaptivePolling])
@pytest.mark.parametrize("age", [0.0, 1.0, 10.0, 500.0])
def test_no_poll_comes_more_than_20_s_after_that_of_the_policy_alone(
    make: Callable[[], AdaptivePolling], age: float
) -> None:
    plain, policy = make(), proven(make())
    for number in range(50):
        allowed = plain.delay("kind", age, Random(number)) + 20.0
        assert policy.delay("kind", age, Random(number)) <= allowed + 1e-9
    assert proven(FixedInterval(60.0)).delay("kind", age, Random(1)) <= 66.0 + 20.0


def test_a_policy_that_does_not_learn_is_slowed_down_tenfold() -> None:
    policy = proven(FixedInterval(1.0))
    assert 9.0 <= policy.delay("kind", 5.0, Random(1)) <= 11.0
    assert policy.chance("kind", 0.0, 5.0) == 0.0
    assert not policy.task_processing("kind", 0.0, 5.0)
    policy.task_removed("kind", 5.0)


def test_at_first_one_task_of_each_kind_is_polled_as_the_policy_says() -> None:
    policy = NotifiedPolling(FixedInterval(1.0))
    for kind in ("one", "other"):
        assert policy.delay(kind, 0.0, Random(1)) <= 1.1
        assert policy.delay(kind, 0.0, Random(1)) >= 9.0
        assert policy.delay(kind, 1.0, Random(1)) <= 1.1
    policy.notification_confirmed()
    assert policy.delay("one", 0.0, Random(1)) >= 9.0
    assert policy.delay("one", 1.0, Random(1)) >= 9.0
    assert policy.delay("new", 0.0, Random(1)) >= 9.0


def test_without_a_notification_of_the_first_end_all_are_polled_as_the_policy_says() -> None:
    policy = NotifiedPolling(FixedInterval(1.0))
    for kind in ("one", "other"):
        policy.delay(kind, 0.0, Random(1))
        policy.delay(kind, 0.0, Random(1))
    assert policy.task_ended("one", 0.0, 1.0)
    assert not policy.task_ended("one", 0.0, 1.0)
    assert policy.task_processing("other", 0.0, 1.0)
    assert not policy.task_processing("other", 0.0, 1.0)
    assert policy.delay("one", 0.0, Random(1)) <= 1.1
    # That notification was only slow.
    policy.notification_confirmed()
    assert policy.delay("one", 0.0, Random(1)) >= 9.0


def test_when_notifications_cease_tasks_are_soon_polled_as_the_policy_says() -> None:
    policy = proven(FixedInterval(1.0))
    policy.delay("kind", 0.0, Random(1))
    changed = [policy.task_ended("kind", 0.0, 1.0) for _ in range(20)]
    assert not policy.is_trusted
    assert changed.count(True) == 1
    assert changed.index(True) < 8
    assert policy.delay("kind", 0.0, Random(1)) <= 1.1
    for _ in range(20):
        policy.notification_confirmed()
        policy.task_ended("kind", 0.0, 1.0)
    assert policy.is_trusted


def test_one_lost_notification_in_five_keeps_polls_rare() -> None:
    policy = proven(FixedInterval(1.0))
    for number in range(1000):
        if number % 5:
            policy.notification_confirmed()
        policy.task_ended("kind", 0.0, 1.0)
        assert policy.is_trusted


def test_a_task_of_an_earlier_process_is_polled_soon() -> None:
    policy = proven(FixedInterval(1.0))
    assert policy.delay("", 0.0, Random(1)) <= 1.1
    assert policy.delay("", 1.0, Random(1)) >= 9.0
