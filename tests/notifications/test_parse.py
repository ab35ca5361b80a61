"""What is posted is a hint, and what it may cost is bounded."""

import json
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async import (
    AdaptivePolling,
    FixedInterval,
    InvalidNotificationError,
    PollPolicy,
    TaskNotification,
    parse_notification,
)
from photoanimer_async.notifications.repeats import Repeats
from photoanimer_async.polling.notified import SafetyNet

EVENT = "EVENT_FACE_DRIVEN_TASK_FINISHED"
COMMENT = b"//Video address after video processing is completed"
UUID = "6f0c2b1e-6a0e-4f5b-9a52-0a4d0f6f3c11"
PAGE_EXAMPLE = b"""{
"eventName":"EVENT_FACE_DRIVEN_TASK_FINISHED",
"eventData": {
"taskId":123456,
"resultUrl": "http://xxxxxxxxxxx", //Video address after video processing is completed
}
}"""


def notification(task_id: object, **more: object) -> bytes:
    data = {"taskId": task_id, "resultUrl": "http://127.0.0.1:9/evil.mp4", **more}
    return json.dumps({"eventName": EVENT, "eventData": data}).encode()


# --- parsing ---


@pytest.mark.parametrize(
    ("body", "task_id"),
    [
        (PAGE_EXAMPLE, 123456),
        (PAGE_EXAMPLE.replace(COMMENT, b""), 123456),
        (notification(471367831765061), 471367831765061),
        (notification("471367831765061", status=1), "471367831765061"),
        (notification(UUID), UUID),
        (b"\xef\xbb\xbf" + notification(7), 7),
        (notification(7, note='a "comma",] // and \\ more,}'), 7),
    ],
    ids=["page", "page without its comment", "number", "text", "uuid", "bom", "odd strings"],
)  # fmt: skip
def test_a_notification_names_a_task(body: bytes, task_id: object) -> None:
    assert parse_notification(body) == TaskNotification(task_id)  # type: ignore[arg-type] # what is expected


def test_the_posted_link_goes_nowhere() -> None:
    assert "evil" not in repr(parse_notification(notification(7)))


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "no JSON"),
        (b" " * 16385, "16385 bytes; 16384 are the most"),
        (b"[" * 16384, "nested 16384 levels deep; 8 are the most"),
        (b'{"a":' * 9 + b"1" + b"}" * 9, "nested 9 levels deep"),
        (b"\xff\xfe{}", "not UTF-8: byte 0 is 0xff"),
        (b"<html>", "no JSON"),
        (b"[1, 2]", r"\$ is an array of 2; an object was expected"),
        (b"null", r"\$ is missing"),
        (b"{}", r"\$.eventName is missing"),
        (b'{"eventName": "EVENT_OTHER"}', r"\$.eventName is 'EVENT_OTHER'"),
        (b'{"eventName": "%s"}' % EVENT.encode(), r"\$.eventData is missing"),
        (notification(None), r"\$.eventData.taskId is missing"),
        (notification(True), r"\$.eventData.taskId is True"),
        (notification(1.5), r"\$.eventData.taskId is 1.5"),
        (notification(""), r"\$.eventData.taskId is ''"),
        (notification("x" * 129), r"\$.eventData.taskId is 'x+…x+'"),
        (notification("\ud800"), r"\$.eventData.taskId is '\\ud800'"),
        (notification("1\n2"), r"\$.eventData.taskId is '1\\n2'"),
        (notification([]), r"\$.eventData.taskId is an array of 0"),
        (b'{"eventName": ' + b"9" * 5000 + b"}", "no JSON"),
    ],
)
def test_what_is_no_notification_is_refused_with_a_reason(body: bytes, what: str) -> None:
    with pytest.raises(InvalidNotificationError, match=what) as caught:
        parse_notification(body)
    assert len(str(caught.value)) < 400


@given(st.binary(max_size=400) | st.text(alphabet='{}[]",:/\\\n a1', max_size=400).map(str.encode))
def test_whatever_is_posted_there_is_no_other_error(body: bytes) -> None:
    with suppress(InvalidNotificationError):
        parse_notification(body)


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text(), max_size=5))
def test_the_tolerance_for_commas_and_comments_changes_no_json(extra: dict[str, object]) -> None:
    body = json.dumps({"extra": extra, "eventName": EVENT, "eventData": {"taskId": 7, "n": extra}})
    assert parse_notification(body.encode()).task_id == 7


# --- repeats ---


def test_each_further_notification_of_a_task_waits_twice_as_long() -> None:
    repeats = Repeats()
    assert not repeats.knows("a")
    assert repeats.wait("a", 100.0) == 0.0
    assert repeats.knows("a")
    assert repeats.wait("a", 100.5) == 1.5
    assert repeats.wait("a", 101.0) is None
    assert repeats.wait("a", 102.0) == 4.0
    assert repeats.wait("a", 1000.0) == 0.0
    assert repeats.wait("b", 102.0) == 0.0


@given(st.lists(st.floats(0, 0.5), max_size=300))
def test_a_flood_costs_a_look_for_each_doubling_of_time(gaps: list[float]) -> None:
    repeats = Repeats()
    now = 0.0
    looks = 0
    for gap in gaps:
        now += gap
        looks += repeats.wait("a", now) is not None
    assert looks <= 10


def test_repeats_remember_a_bounded_number_of_tasks() -> None:
    repeats = Repeats()
    for number in range(10_001):
        repeats.wait(str(number), 0.0)
    assert not repeats.knows("0")
    assert repeats.knows("1")


# --- the safety net ---


def warm(seconds: float) -> AdaptivePolling:
    """A policy that has seen many tasks of this length."""
    policy = AdaptivePolling()
    for _ in range(200):
        policy.ended("kind", seconds * 0.95, seconds)
    return policy


def proven(policy: PollPolicy) -> SafetyNet:
    net = SafetyNet(policy)
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
    assert not net.pending("kind", 0.0, 5.0)
    net.left("kind", 5.0)


def test_at_first_one_task_of_each_kind_tries_whether_notifications_arrive() -> None:
    net = SafetyNet(FixedInterval(1.0))
    for kind in ("one", "other"):
        assert net.delay(kind, 0.0, Random(1)) <= 1.1
        assert net.delay(kind, 0.0, Random(1)) >= 9.0
        assert net.delay(kind, 1.0, Random(1)) <= 1.1
    net.arrived()
    assert net.delay("one", 0.0, Random(1)) >= 9.0
    assert net.delay("one", 1.0, Random(1)) >= 9.0
    assert net.delay("new", 0.0, Random(1)) >= 9.0


def test_if_the_first_end_is_not_notified_all_are_looked_at_as_the_policy_does() -> None:
    net = SafetyNet(FixedInterval(1.0))
    for kind in ("one", "other"):
        net.delay(kind, 0.0, Random(1))
        net.delay(kind, 0.0, Random(1))
    assert net.ended("one", 0.0, 1.0)
    assert not net.ended("one", 0.0, 1.0)
    assert net.pending("other", 0.0, 1.0)
    assert not net.pending("other", 0.0, 1.0)
    assert net.delay("one", 0.0, Random(1)) <= 1.1
    # That notification was only slow.
    net.arrived()
    assert net.delay("one", 0.0, Random(1)) >= 9.0


def test_when_notifications_cease_it_soon_looks_as_the_policy_does() -> None:
    net = proven(FixedInterval(1.0))
    net.delay("kind", 0.0, Random(1))
    turned = [net.ended("kind", 0.0, 1.0) for _ in range(20)]
    assert not net.is_trusted
    assert turned.count(True) == 1
    assert turned.index(True) < 8
    assert net.delay("kind", 0.0, Random(1)) <= 1.1
    for _ in range(20):
        net.arrived()
        net.ended("kind", 0.0, 1.0)
    assert net.is_trusted


def test_one_lost_notification_in_five_keeps_it_slow() -> None:
    net = proven(FixedInterval(1.0))
    for number in range(1000):
        if number % 5:
            net.arrived()
        net.ended("kind", 0.0, 1.0)
        assert net.is_trusted


def test_a_task_of_an_earlier_process_is_looked_at_soon() -> None:
    net = proven(FixedInterval(1.0))
    assert net.delay("", 0.0, Random(1)) <= 1.1
    assert net.delay("", 1.0, Random(1)) >= 9.0
