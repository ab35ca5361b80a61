"""What is remembered of tasks that nobody waits for."""

from random import Random

from photoanimer_async import FixedInterval
from photoanimer_async.polling.notified import NotifiedPolling
from photoanimer_async.polling.remembered import LatestDict, RememberedTasks


def test_the_oldest_entry_is_dropped() -> None:
    latest = LatestDict[str, int](2)
    for number, key in enumerate("abac"):
        latest[key] = number
    assert latest == {"b": 1, "c": 3}


def test_submit_times_and_notifications_are_remembered_until_forgotten() -> None:
    tasks = RememberedTasks(FixedInterval())
    assert tasks.get("a", 7.0) == (7.0, "", False)
    tasks.submitted("a", 3.0, "1 mp4")
    tasks.notified("a")
    assert tasks.get("a", 7.0) == (3.0, "1 mp4", True)
    tasks.forget("a")
    assert tasks.get("a", 7.0) == (7.0, "", False)


def test_a_notification_of_a_task_that_was_found_ended_is_confirmed() -> None:
    policy = NotifiedPolling(FixedInterval(1.0))
    tasks = RememberedTasks(policy)
    policy.delay("kind", 0.0, Random(1))
    policy.task_ended("kind", 0.0, 1.0)
    assert policy.delay("kind", 0.0, Random(1)) <= 1.1
    tasks.ended("a")
    tasks.notified("a")
    assert policy.delay("kind", 0.0, Random(1)) >= 9.0
    assert tasks.get("a", 7.0) == (7.0, "", False)
