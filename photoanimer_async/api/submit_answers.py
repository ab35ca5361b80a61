"""What an answer to a submit means for money: refused, accepted, or not known.

The API page does not say how errors look, so this is the one rule for all of them. A code from 400
to 599 in the envelope counts as the HTTP status that it names, before the real one.

| answer                                                           | meaning         |
|------------------------------------------------------------------|-----------------|
| a task id that can be read, and no refusal                       | accepted        |
| code or status 429, or a text such as "too many requests"        | refused for now |
| code or status 503, with an envelope                             | refused for now |
| a code for the key, the credits, the request or the photo        | refused         |
| code or status 400 to 499 but 408, with or without an envelope   | refused         |
| any other code but 0, with an HTTP status below 500              | refused         |
| code or status 408, and 500 to 599 but 503                       | not known       |
| status 500 to 599 without an envelope                            | not known       |
| no answer, half an answer, a redirect, HTML, code 0 without an id | not known      |
"""

import re
from enum import Enum, auto

from photoanimer_async.api.answers import Answer, is_task_id
from photoanimer_async.errors import (
    ApiError,
    AuthenticationError,
    InsufficientCreditsError,
    RateLimitedError,
    RefusedRequestError,
    UnexpectedResponseError,
)
from photoanimer_async.models import TaskId

_REFUSALS = (AuthenticationError, InsufficientCreditsError, RefusedRequestError)
_REQUEST_TIMEOUT = 408
_UNAVAILABLE = 503
_HTTP_ERRORS = range(400, 600)
_SERVER_ERRORS = range(500, 600)
_ID_NAMES = ("taskId", "task_id", "id")
_MIN_ID = 100_000
_MAX_EXACT_FLOAT = 2**53
_ID_TEXT = r"\d{6,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{16,}"
_CODE_IN_TEXT = r'"code"\s*:\s*"?(-?\d+)'
# With what follows it, so that a number that is cut off is not taken for the whole.
_ID_IN_TEXT = r'"(?:taskId|data)"\s*:\s*(?:"([^"\\]+)"|(\d+))\s*[,}\]\r\n]'


class Meaning(Enum):
    """What an error means for the submit that it answers."""

    REFUSED = auto()
    REFUSED_FOR_NOW = auto()
    NOT_KNOWN = auto()


def meaning_of(error: ApiError | UnexpectedResponseError) -> Meaning:
    """Return what an error means for the submit; see the module's table."""
    if isinstance(error, UnexpectedResponseError):
        return Meaning.NOT_KNOWN
    if isinstance(error, RateLimitedError):
        return Meaning.REFUSED_FOR_NOW
    if isinstance(error, _REFUSALS):
        return Meaning.REFUSED
    status = error.code if error.code in _HTTP_ERRORS else error.http_status
    if status == _UNAVAILABLE:
        return Meaning.REFUSED_FOR_NOW
    if status == _REQUEST_TIMEOUT or status in _SERVER_ERRORS:
        return Meaning.NOT_KNOWN
    return Meaning.REFUSED


def accepted_task_id(answer: Answer, error: ApiError | UnexpectedResponseError) -> TaskId | None:
    """Return the task id in an answer that could not be read otherwise; `None` if there is none.

    Args:
        answer: the answer to a submit.
        error: what is wrong with it.
    """
    code = error.code if isinstance(error, ApiError) else None
    if isinstance(error, (RateLimitedError, *_REFUSALS)) and code != 0:
        return None
    content = answer.content
    if isinstance(content, dict):
        # Without code 0 it may be a number that is no id, so it has to look like one.
        is_success = content.get("code") == 0 or content.get("code") == "0"
        return _task_id(content.get("data", content), is_success=is_success)
    return _task_id_in_text(answer.body.decode(errors="replace"))


def _task_id(value: object, *, is_success: bool) -> TaskId | None:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        value = next((value[name] for name in _ID_NAMES if name in value), None)
    if isinstance(value, float) and value.is_integer() and abs(value) < _MAX_EXACT_FLOAT:
        value = int(value)
    if not isinstance(value, int | str) or not is_task_id(value):
        return None
    looks_right = (
        value >= _MIN_ID
        if isinstance(value, int)
        else bool(re.fullmatch(_ID_TEXT, value, re.IGNORECASE))
    )
    return value if is_success or looks_right else None


def _task_id_in_text(text: str) -> TaskId | None:
    """Return the id in JSON that is cut off or damaged."""
    code, found = re.search(_CODE_IN_TEXT, text), re.search(_ID_IN_TEXT, text)
    if found is None:
        return None
    is_success = code is not None and int(code[1]) == 0
    value = found[1] or int(found[2])
    if isinstance(value, str) and not re.fullmatch(_ID_TEXT, value, re.IGNORECASE):
        return None
    return _task_id(value, is_success=is_success)
