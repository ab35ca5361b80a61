"""The body of a notification (API page, Interface 2).

A notification has no signature, so nothing in it is proven. Only the task id is kept, as a hint
which task to poll. The posted link is dropped here, so that it cannot reach anyone.
"""

import json
import re
from collections.abc import Mapping

from attrs import frozen

from photoanimer_async.api.answers import is_task_id
from photoanimer_async.errors import InvalidNotificationError
from photoanimer_async.models import TaskId
from photoanimer_async.redaction import printable

MAX_NOTIFICATION_BYTES = 16 * 1024
"""Larger notifications are refused. The page's example has less than 200 bytes."""

EVENT_FINISHED = "EVENT_FACE_DRIVEN_TASK_FINISHED"
"""The only event on the API page."""

_MAX_DEPTH = 8
_MAX_TASK_ID_LENGTH = 128

# Each pattern consumes a whole string at a time, even an unterminated one: every pass is linear.
_STRING = r'"(?:[^"\\]++|\\.)*+"?'
_COMMENT = re.compile(rf"({_STRING})|//[^\n]*", re.DOTALL)
_LAST_COMMA = re.compile(rf"({_STRING})|,(?=\s*[}}\]])", re.DOTALL)
_BRACKET = re.compile(rf"{_STRING}|([\[{{])|([\]}}])", re.DOTALL)


@frozen
class TaskNotification:
    """An unconfirmed message that a task has ended; getTaskInfo confirms it.

    Attributes:
        task_id: the task.
    """

    task_id: TaskId


def parse_notification(body: bytes) -> TaskNotification:
    """Return the task that a notification names (API page, Interface 2).

    The page's own example is not JSON: it has a trailing comma and a comment. Both are
    accepted.

    Args:
        body: the posted bytes, at most 16 KiB of UTF-8.

    Raises:
        InvalidNotificationError: too large, nested too deeply, not a JSON object, of another
            event, or without a task id. The message says which, and what was found.
    """
    if len(body) > MAX_NOTIFICATION_BYTES:
        raise InvalidNotificationError(
            f"the notification has {len(body)} bytes; {MAX_NOTIFICATION_BYTES} are the most"
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
    if depth > _MAX_DEPTH:
        raise InvalidNotificationError(
            f"the notification is nested {depth} levels deep; {_MAX_DEPTH} are the most"
        )
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidNotificationError(f"the notification is not JSON: {error}") from None


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
        case int() | str() if is_task_id(value) and len(str(value)) <= _MAX_TASK_ID_LENGTH:
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
