"""The API page as values: requests to send, each with how its answer is read into a model.

The API page is the contract. What other sources show of the API (other field names, more states,
ids that are strings) is accepted too. Every `parse_` function raises `ApiError` if the service
answers with an error, and `UnexpectedResponseError` if the answer does not follow the API page; see
`answers`.
"""

import logging
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from math import isfinite
from string import ascii_letters, digits
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from attrs import define, field

from photoanimer_async.api.answers import (
    Answer,
    Id,
    Link,
    Number,
    Text,
    envelope_data,
    is_task_id,
    read_fields,
    unexpected,
)
from photoanimer_async.api.submit_answers import accepted_task_id
from photoanimer_async.errors import ApiError, InvalidRequestError, UnexpectedResponseError
from photoanimer_async.models import (
    AnimationOptions,
    Balance,
    OutputFormat,
    TaskId,
    TaskInfo,
    TaskStatus,
)
from photoanimer_async.redaction import URL_SCHEMES, encodable, is_url, printable

_T = TypeVar("_T")

_log = logging.getLogger(__name__)


class Operation(StrEnum):
    """The calls of the API, named by the last part of their paths."""

    SUBMIT = "submitTaskByUrl"
    GET_TASK_INFO = "getTaskInfo"
    GET_BALANCE = "mySubscription"


@define
class Request(Generic[_T]):
    """One GET request, and how its answer is read.

    Attributes:
        operation: the call.
        path: below the base URL.
        query: encoded.
        parse: reads the answer; raises `ApiError` and `UnexpectedResponseError`.
    """

    operation: Operation
    path: str
    query: str = field(repr=False)
    parse: Callable[[Answer], _T]


# --- requests ---


def build_submit(image_url: str, options: AnimationOptions) -> Request[TaskId]:
    """Return the request that submits a photo (API page, Interface 1).

    Args:
        image_url: sent exactly as it is, whatever characters it contains.
        options: how to animate the photo.

    Raises:
        InvalidRequestError: a URL is not an http(s) URL.
    """
    _require_url("image_url", image_url)
    query = f"imageUrl={encoded(image_url)}&templateId={options.template:d}"
    if options.voice_url is not None:
        _require_url("voice_url", options.voice_url)
        query += f"&voiceUrl={encoded(options.voice_url)}"
    if options.output_format is not OutputFormat.MP4:
        query += f"&outputFormat={options.output_format}"
    return Request(Operation.SUBMIT, "/faceDriven/submitTaskByUrl", query, parse_submit)


def build_get_task_info(task_id: TaskId) -> Request[TaskInfo]:
    """Return the request that asks for a task's state (API page, Interface 3).

    Args:
        task_id: one that `require_task_id` has passed.
    """
    shown = encoded(task_id) if isinstance(task_id, str) else str(task_id)
    parse = partial(parse_get_task_info, task_id=task_id)
    return Request(Operation.GET_TASK_INFO, "/faceDriven/getTaskInfo", f"taskId={shown}", parse)


def build_get_balance() -> Request[Balance]:
    """Return the request that asks for the account's balance.

    It is documented on the vendor's page of account calls, not on the API page.
    """
    return Request(Operation.GET_BALANCE, "/mySubscription", "", parse_get_balance)


def encoded(value: str) -> str:
    """Return a value for a query; no character is exempt from quoting, so that it arrives as it is.

    As `urllib.parse.quote(value, "")`, which takes some microseconds for a URL.
    """
    return value.translate(_ESCAPES) if value.isascii() else quote(value, "")


_UNRESERVED = frozenset(f"{ascii_letters}{digits}-._~")
_ESCAPES = {code: f"%{code:02X}" for code in range(128) if chr(code) not in _UNRESERVED}


def _require_url(name: str, url: object) -> None:
    if isinstance(url, str) and url.isascii() and url.startswith(URL_SCHEMES):
        return
    if not isinstance(url, str) or not is_url(url) or url != encodable(url):
        raise InvalidRequestError(
            f"{name} must be an http or https URL, not {printable(repr(url))}"
        )


# --- answers ---


@define
class _TaskData:
    status: Number
    taskId: Id | None = None
    resultUrl: Link | None = None
    previewUrl: Link | None = None
    gifUrl: Link | None = None
    failCode: Any = None
    failReason: Any = None
    percentage: Any = None


@define
class _BalanceData:
    videoBalance: float | None = None
    monthBalance: float | None = None
    imageBalance: float | None = None
    monthStartDate: Text | None = None
    monthExpireDate: Text | None = None


def parse_submit(answer: Answer) -> TaskId:
    """Return the new task's id: a number of 15 digits, from compatible services also a string.

    An id that can be read is returned whatever else is wrong with the answer, unless it says
    clearly that the submit was refused.
    """
    try:
        task_id: TaskId = read_fields(answer, envelope_data(answer), Id, "$.data")  # type: ignore[assignment] # the hook of `Id` returns an int or a str
    except (ApiError, UnexpectedResponseError) as error:
        found = accepted_task_id(answer, error)
        if found is None:
            raise
        _log.warning("task %s has been submitted, although %s", found, error)
        return found
    return task_id


def parse_get_task_info(answer: Answer, task_id: TaskId) -> TaskInfo:
    """Return the state of the task with this id.

    An answer about another task, and a finished task without a link, do not follow the API page.
    """
    data = envelope_data(answer)
    found = read_fields(answer, data, _TaskData, "$.data")
    if found.taskId is not None and str(found.taskId) != str(task_id):
        raise unexpected(answer, f"it is about task {found.taskId}, not {task_id} @ $.data.taskId")
    code, reason, percentage = found.failCode, found.failReason, found.percentage
    info = TaskInfo(
        task_id=task_id,
        status=_STATUS.get(found.status, TaskStatus.PROCESSING),
        result_url=found.resultUrl or found.previewUrl or None,
        gif_url=found.gifUrl or None,
        fail_code=None if code is None else _fail_code(answer, code),
        fail_reason=answer.redacted(reason) if isinstance(reason, str) else None,
        percentage=None if percentage is None else _progress(percentage),
        raw=data,
    )
    if info.status is TaskStatus.FINISHED and not (info.result_url or info.gif_url):
        raise unexpected(answer, "the task is finished, but there is no link @ $.data.resultUrl")
    return info


def _progress(percentage: object) -> float | None:
    if isinstance(percentage, bool) or not isinstance(percentage, int | float):
        return None
    return percentage if 0 <= percentage <= 100 else None  # noqa: PLR2004 - per cent


def _finite(number: float | None) -> float | None:
    return number if number is not None and isfinite(number) else None  # JSON of others has NaN


def _fail_code(answer: Answer, code: object) -> int | str | None:
    if isinstance(code, str):
        return answer.redacted(code)
    return code if isinstance(code, int) and is_task_id(code) else None


_STATUS = {1: TaskStatus.FINISHED, 2: TaskStatus.FAILED}


def parse_get_balance(answer: Answer) -> Balance:
    """Return what is left on the account."""
    found = read_fields(answer, envelope_data(answer), _BalanceData, "$.data")
    return Balance(
        video=_finite(found.videoBalance),
        month=_finite(found.monthBalance),
        image=_finite(found.imageBalance),
        month_start=found.monthStartDate,
        month_expire=found.monthExpireDate,
    )
