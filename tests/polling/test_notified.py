"""When a task is polled whose end should be notified."""

from random import Random

import pytest

from photoanimer_async import AdaptivePolling, FixedInterval, PollPolicy
from photoanimer_async.polling.notified import NotifiedPolling


def warm(seconds: float) -> AdaptivePolling:
    """A policy that has seen many tasks of this length."""
    policy = AdaptivePolling()
    for _ in range(200):
        policy.task_ended("kind", seconds * 0.95, seconds)
    return policy


def proven(policy: PollPolicy) -> NotifiedPolling:
    net = NotifiedPolling(policy)
    net.arrived()
    return net


@pytest.mark.parametrize("seconds", [2.0, 30.0, 300.0])
def test_the_net_looks_when_nearly_all_have_ended(seconds: float) -> None:
    net = proven(warm(seconds))
    for number in range(50):
        first = net.delay("kind", 0.0, Random(number))
        assert max(20.0, 1.1 * seconds) <= first <= max(25.0, 2.1 * seconds)
        assert net.delay("kind", first, Random(number)) >= 20.0


def test_while_nothing_is_known_of_durations_the_net_is_patient() -> None:
    net = proven(AdaptivePolling())
    assert all(60 <= net.delay("kind", 0.0, Random(number)) <= 600 for number in range(50))


def test_a_policy_that_does_not_learn_is_slowed_down_tenfold() -> None:
    net = proven(FixedInterval(1.0))
    assert 9.0 <= net.delay("kind", 5.0, Random(1)) <= 11.0
    assert net.chance("kind", 0.0, 5.0) == 0.0
    assert not net.task_processing("kind", 0.0, 5.0)
    net.task_removed("kind", 5.0)


def test_at_first_one_task_of_each_kind_tries_whether_notifications_arrive() -> None:
    net = NotifiedPolling(FixedInterval(1.0))
    for kind in ("one", "other"):
        assert net.delay(kind, 0.0, Random(1)) <= 1.1
        assert net.delay(kind, 0.0, Random(1)) >= 9.0
        assert net.delay(kind, 1.0, Random(1)) <= 1.1
    net.arrived()
    assert net.delay("one", 0.0, Random(1)) >= 9.0
    assert net.delay("one", 1.0, Random(1)) >= 9.0
    assert net.delay("new", 0.0, Random(1)) >= 9.0


def test_if_the_first_end_is_not_notified_all_are_looked_at_as_the_policy_does() -> None:
    net = NotifiedPolling(FixedInterval(1.0))
    for kind in ("one", "other"):
        net.delay(kind, 0.0, Random(1))
        net.delay(kind, 0.0, Random(1))
    assert net.task_ended("one", 0.0, 1.0)
    assert not net.task_ended("one", 0.0, 1.0)
    assert net.task_processing("other", 0.0, 1.0)
    assert not net.task_processing("other", 0.0, 1.0)
    assert net.delay("one", 0.0, Random(1)) <= 1.1
    # That notification was only slow.
    net.arrived()
    assert net.delay("one", 0.0, Random(1)) >= 9.0


def test_when_notifications_cease_it_soon_looks_as_the_policy_does() -> None:
    net = proven(FixedInterval(1.0))
    net.delay("kind", 0.0, Random(1))
    turned = [net.task_ended("kind", 0.0, 1.0) for _ in range(20)]
    assert not net.is_trusted
    assert turned.count(True) == 1
    assert turned.index(True) < 8
    assert net.delay("kind", 0.0, Random(1)) <= 1.1
    for _ in range(20):
        net.arrived()
        net.task_ended("kind", 0.0, 1.0)
    assert net.is_trusted


def test_one_lost_notification_in_five_keeps_it_slow() -> None:
    net = proven(FixedInterval(1.0))
    for number in range(1000):
        if number % 5:
            net.arrived()
        net.task_ended("kind", 0.0, 1.0)
        assert net.is_trusted


def test_a_task_of_an_earlier_process_is_looked_at_soon() -> None:
    net = proven(FixedInterval(1.0))
    assert net.delay("", 0.0, Random(1)) <= 1.1
    assert net.delay("", 1.0, Random(1)) >= 9.0
