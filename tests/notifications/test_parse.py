"""Parsing of notifications, hostile ones included."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async import (
    InvalidNotificationError,
    TaskNotification,
    parse_notification,
)

from ..support.notifications import COMMENT, EVENT, PAGE_EXAMPLE, notification

UUID = "6f0c2b1e-6a0e-4f5b-9a52-0a4d0f6f3c11"


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


def test_the_posted_link_is_dropped() -> None:
    assert "evil" not in repr(parse_notification(notification(7)))


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "not JSON"),
        (b" " * 16385, "16385 bytes; 16384 are the most"),
        (b"[" * 16384, "nested 16384 levels deep; 8 are the most"),
        (b'{"a":' * 9 + b"1" + b"}" * 9, "nested 9 levels deep"),
        (b"\xff\xfe{}", "not UTF-8: byte 0 is 0xff"),
        (b"<html>", "not JSON"),
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
        (notification(10**128), r"\$.eventData.taskId is 10+…0+"),
        (notification("1\n2"), r"\$.eventData.taskId is '1\\n2'"),
        (notification([]), r"\$.eventData.taskId is an array of 0"),
        (b'{"eventName": ' + b"9" * 5000 + b"}", "not JSON"),
    ],
)
def test_an_invalid_notification_is_refused_with_a_reason(body: bytes, what: str) -> None:
    with pytest.raises(InvalidNotificationError, match=what) as caught:
        parse_notification(body)
    assert len(str(caught.value)) < 400


@given(st.binary(max_size=400) | st.text(alphabet='{}[]",:/\\\n a1', max_size=400).map(str.encode))
def test_any_other_body_raises_no_other_error(body: bytes) -> None:
    with suppress(InvalidNotificationError):
        parse_notification(body)


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text(), max_size=5))
def test_valid_json_is_parsed_unchanged(extra: dict[str, object]) -> None:
    body = json.dumps({"extra": extra, "eventName": EVENT, "eventData": {"taskId": 7, "n": extra}})
    assert parse_notification(body.encode()).task_id == 7
