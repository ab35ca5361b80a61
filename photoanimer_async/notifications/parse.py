"""Notifications as they come in (API page, Interface 2).

A notification carries no signature, so that nothing in it is proof of anything. Only the task
id is kept: a hint where to look. The link that is posted along is dropped here, and can reach
nobody.
"""

import json
import re
from collections.abc import Mapping

from attrs import frozen

from photoanimer_async.errors import InvalidNotificationError
from photoanimer_async.models import TaskId
from photoanimer_async.redaction import printable

LARGEST_NOTIFICATION = 16 * 1024
"""Bytes of a notification, at most. The page's example has less than 200."""

EVENT_FINISHED = "EVENT_FACE_DRIVEN_TASK_FINISHED"
"""The event that the API page knows."""

_DEEPEST = 8
_LONGEST_TASK_ID = 128

# Each reads a whole string at a time, also one without an end: so every pass is linear.
_STRING = r'"(?:[^"\\]++|\\.)*+"?'
_COMMENT = re.compile(rf"({_STRING})|//[^\n]*", re.DOTALL)
_LAST_COMMA = re.compile(rf"({_STRING})|,(?=\s*[}}\]])", re.DOTALL)
_BRACKET = re.compile(rf"{_STRING}|([\[{{])|([\]}}])", re.DOTALL)


@frozen
class TaskNotification:
    """Somebody says that a task has ended. Only getTaskInfo can tell whether it has.

    Attributes:
        task_id: the task.
    """

    task_id: TaskId


def parse_notification(body: bytes) -> TaskNotification:
    """The task that a notification names (API page, Interface 2).

    The page's own example is no JSON: it has a comma after the last member, and a comment.
    Both are allowed here.

    Args:
        body: what was posted, at most 16 KiB of UTF-8.

    Raises:
        InvalidNotificationError: it is too large, nested too deeply, no JSON object, of
            another event, or names no task. The message says which, and what was found.
    """
    if len(body) > LARGEST_NOTIFICATION:
        raise InvalidNotificationError(
            f"the notification has {len(body)} bytes; {LARGEST_NOTIFICATION} are the most"
        )
    content = _object(_json(body), "$")
    event = content.get("eventName")
    if event != EVENT_FINISHED:
        raise InvalidNotificationError(
            f"$.eventName is {_shown(event)}; {EVENT_FINISHED!r} was expected"
        )
    return TaskNotification(_task_id(_object(content.get("eventData"), "$.eventData")))


def _json(body: bytes) -> object:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidNotificationError(
            f"the notification is not UTF-8: byte {error.start} is 0x{body[error.start]:02x}"
        ) from None
    text = _LAST_COMMA.sub(r"\1", _COMMENT.sub(r"\1", text))
    depth = _depth(text)
    if depth > _DEEPEST:
        raise InvalidNotificationError(
            f"the notification is nested {depth} levels deep; {_DEEPEST} are the most"
        )
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidNotificationError(f"the notification is no JSON: {error}") from None


def _depth(text: str) -> int:
    depth = deepest = 0
    for token in _BRACKET.finditer(text):
        depth += (token[1] is not None) - (token[2] is not None)
        deepest = max(deepest, depth)
    return deepest


def _object(value: object, path: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise InvalidNotificationError(f"{path} is {_shown(value)}; an object was expected")
    return value


def _task_id(data: Mapping[str, object]) -> TaskId:
    value = data.get("taskId")
    match value:
        case bool():
            pass
        case int():
            return value
        case str() if value and value.isprintable() and len(value) <= _LONGEST_TASK_ID:
            return value
        case _:
            pass
    raise InvalidNotificationError(
        f"$.eventData.taskId is {_shown(value)}; a task id (number or text) was expected"
    )


def _shown(value: object) -> str:
    match value:
        case None:
            return "missing"
        case dict() | list():
            return f"{'an object' if isinstance(value, dict) else 'an array'} of {len(value)}"
        case _:
            return printable(repr(value))
