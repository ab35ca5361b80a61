"""Requests out, envelopes in: the Photo Animer API as values.

The API page is the contract; what is known beyond it is accepted where it does no harm.
Every answer goes one of three ways:

* an envelope with `code` 0: its `data` becomes a model;
* an envelope with another code, or a plain HTTP error in the 400s: an `ApiError`;
* anything else (HTML, half a body, a redirect, a field that is missing or of another type):
  an `UnexpectedResponseError` that names the place as a JSON path.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from functools import cache
from typing import Any, NewType, TypeVar

import cattrs
from attrs import field, frozen

from photoanimer_async.errors import (
    ApiError,
    AuthenticationError,
    InsufficientCreditsError,
    InvalidRequestError,
    RateLimitedError,
    RefusedRequestError,
    ServiceUnavailableError,
    UnexpectedResponseError,
)
from photoanimer_async.models import (
    AnimationOptions,
    Balance,
    OutputFormat,
    TaskId,
    TaskInfo,
    TaskStatus,
)
from photoanimer_async.redaction import (
    is_url,
    printable,
    shown_url,
    without_queries,
    without_secret,
)

_T = TypeVar("_T")
_LONGEST_RETRY_AFTER = 86_400.0


class Operation(StrEnum):
    """The API's calls, by the last part of their paths."""

    SUBMIT = "submitTaskByUrl"
    GET_TASK_INFO = "getTaskInfo"
    GET_BALANCE = "mySubscription"


@frozen
class Request:
    """One GET: the path below the base URL, and the query before any encoding."""

    operation: Operation
    path: str
    params: Mapping[str, str]


@frozen
class Answer:
    """One HTTP answer.

    Attributes:
        status: the HTTP status.
        headers: by their names in lower case, or in a mapping that does not tell cases apart.
        body: as it came.
        received_at: when, in seconds since the epoch.
        secret: the API key that the request carried, which no error may show.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    received_at: float
    secret: str = field(default="", repr=False)


# --- requests ---


def build_submit(image_url: str, options: AnimationOptions) -> Request:
    """Interface 1 of the API page. `image_url` goes out exactly as it is, whatever is in it.

    Raises:
        InvalidRequestError: a URL that is not http or https.
    """
    params = {
        "imageUrl": _checked_url("image_url", image_url),
        "templateId": str(options.template.value),
    }
    if options.voice_url is not None:
        params["voiceUrl"] = _checked_url("voice_url", options.voice_url)
    if options.output_format is not OutputFormat.MP4:
        params["outputFormat"] = options.output_format.value
    return Request(Operation.SUBMIT, "/faceDriven/submitTaskByUrl", params)


def build_get_task_info(task_id: TaskId) -> Request:
    """Interface 3 of the API page.

    Raises:
        InvalidRequestError: neither a whole number nor a text.
    """
    if not _is_task_id(task_id):
        raise InvalidRequestError(
            f"task_id is {printable(repr(task_id))}; it must be the number or text that submit gave"
        )
    return Request(Operation.GET_TASK_INFO, "/faceDriven/getTaskInfo", {"taskId": str(task_id)})


def build_get_balance() -> Request:
    """The vendor's subscription call (documented beside the Photo Animer page)."""
    return Request(Operation.GET_BALANCE, "/mySubscription", {})


def _checked_url(name: str, url: object) -> str:
    if not isinstance(url, str) or not is_url(url):
        raise InvalidRequestError(
            f"{name} must be an http or https URL, not {printable(repr(url))}"
        )
    return url


def _is_task_id(value: object) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool) and value != ""


# --- answers ---

_Number = NewType("_Number", int)
_Text = NewType("_Text", str)
_Link = NewType("_Link", str)
_Id = NewType("_Id", object)


@frozen
class _Envelope:
    code: _Number
    data: Any = None
    msg: Any = None
    requestId: Any = None  # noqa: N815 - the wire's own name, which error paths show


@frozen
class _TaskData:
    status: _Number
    taskId: _Id | None = None  # noqa: N815
    resultUrl: _Link | None = None  # noqa: N815
    previewUrl: _Link | None = None  # noqa: N815
    gifUrl: _Link | None = None  # noqa: N815
    failCode: Any = None  # noqa: N815
    failReason: Any = None  # noqa: N815
    percentage: Any = None


@frozen
class _BalanceData:
    videoBalance: float | None = None  # noqa: N815
    monthBalance: float | None = None  # noqa: N815
    imageBalance: float | None = None  # noqa: N815
    monthStartDate: _Text | None = None  # noqa: N815
    monthExpireDate: _Text | None = None  # noqa: N815


def _to_number(value: object, _: object) -> int:
    if type(value) is int:
        return value
    if isinstance(value, str) and value.removeprefix("-").isdecimal():
        return int(value)
    raise TypeError(f"a whole number was expected, not {printable(repr(value))}")


def _to_text(value: object, _: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text was expected, not {printable(repr(value))}")
    return value


def _to_link(value: object, _: object) -> str:
    if not isinstance(value, str) or (value and not is_url(value)):
        shown = shown_url(value) if isinstance(value, str) else repr(value)
        raise TypeError(f"an http or https URL was expected, not {printable(shown)}")
    return value


def _to_task_id(value: object, _: object) -> object:
    if not _is_task_id(value):
        raise TypeError(f"a task id (number or text) was expected, not {printable(repr(value))}")
    return value


def _to_link_if_any(value: object, kind: object) -> str | None:
    return None if value is None else _to_link(value, kind)


def _to_task_id_if_any(value: object, kind: object) -> object:
    return None if value is None else _to_task_id(value, kind)


def _converter(*, detailed: bool) -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=detailed)
    converter.register_structure_hook(_Number, _to_number)
    converter.register_structure_hook(_Text, _to_text)
    converter.register_structure_hook(_Link, _to_link)
    converter.register_structure_hook(_Id, _to_task_id)
    # In one step; by itself it would take one more for what may be missing.
    converter.register_structure_hook(_Link | None, _to_link_if_any)
    converter.register_structure_hook(_Id | None, _to_task_id_if_any)
    return converter


_quick = _converter(detailed=False)


@cache
def _precise() -> cattrs.Converter:
    """Tells where a fault is, and takes twice as long; asked once there is one."""
    return _converter(detailed=True)


def parse_submit(answer: Answer) -> TaskId:
    """The task id. It comes as a number of 15 digits, from a compatible service as a text.

    Raises:
        ApiError, UnexpectedResponseError: see the module's first lines.
    """
    data = _open(Operation.SUBMIT, answer)
    task_id: TaskId = _structure(Operation.SUBMIT, answer, data, _Id, "$.data")  # type: ignore[assignment] # the hook gives number or text
    return task_id


def parse_get_task_info(answer: Answer, asked: TaskId) -> TaskInfo:
    """The task's state.

    A finished task without any link, or an answer about another task than the one that was
    `asked` for, is an `UnexpectedResponseError`.

    Raises:
        ApiError, UnexpectedResponseError: see the module's first lines.
    """
    operation = Operation.GET_TASK_INFO
    data = _open(operation, answer)
    found = _structure(operation, answer, data, _TaskData, "$.data")
    if found.taskId is not None and str(found.taskId) != str(asked):
        raise _unexpected(
            operation, answer, f"it is about task {found.taskId}, not {asked} @ $.data.taskId"
        )
    info = TaskInfo(
        task_id=asked,
        status=_STATUS.get(found.status, TaskStatus.PROCESSING),
        result_url=found.resultUrl or found.previewUrl or None,
        gif_url=found.gifUrl or None,
        fail_code=found.failCode if isinstance(found.failCode, int | str) else None,
        fail_reason=_shown(found.failReason, answer) if isinstance(found.failReason, str) else None,
        percentage=found.percentage if isinstance(found.percentage, int | float) else None,
        raw=data,
    )
    if info.status is TaskStatus.FINISHED and not (info.result_url or info.gif_url):
        raise _unexpected(
            operation, answer, "the task is finished, but there is no link @ $.data.resultUrl"
        )
    return info


def parse_get_balance(answer: Answer) -> Balance:
    """What is left on the account.

    Raises:
        ApiError, UnexpectedResponseError: see the module's first lines.
    """
    operation = Operation.GET_BALANCE
    found = _structure(operation, answer, _open(operation, answer), _BalanceData, "$.data")
    return Balance(
        video=found.videoBalance,
        month=found.monthBalance,
        image=found.imageBalance,
        month_start=found.monthStartDate,
        month_expire=found.monthExpireDate,
    )


_STATUS = {1: TaskStatus.FINISHED, 2: TaskStatus.FAILED}

_ERROR_BY_NUMBER: Mapping[int, type[ApiError]] = {
    # Envelope codes that have been seen on the vendor's APIs.
    1100: AuthenticationError,
    4003: AuthenticationError,
    4001: InsufficientCreditsError,
    7001: RefusedRequestError,
    7002: RefusedRequestError,
    9010: RefusedRequestError,
    # Codes of this project's own service: what a request or its photo lacks.
    **dict.fromkeys(
        (*range(40001, 40005), *range(40011, 40014), 40021, 40022), RefusedRequestError
    ),
    # HTTP statuses, which also come as codes.
    400: RefusedRequestError,
    401: AuthenticationError,
    402: InsufficientCreditsError,
    403: AuthenticationError,
    404: RefusedRequestError,
    413: RefusedRequestError,
    414: RefusedRequestError,
    415: RefusedRequestError,
    422: RefusedRequestError,
    429: RateLimitedError,
    500: ServiceUnavailableError,
    502: ServiceUnavailableError,
    503: ServiceUnavailableError,
    504: ServiceUnavailableError,
}


def _open(operation: Operation, answer: Answer) -> Any:
    """The envelope's `data`, if all is well."""
    if 300 <= answer.status < 400:  # noqa: PLR2004 - the class of redirects
        location = answer.headers.get("location", "")
        to = shown_url(location) if is_url(location) else "another path"
        raise _unexpected(
            operation, answer, f"it redirects to {to}, which is not followed; check base_url"
        )
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        content = None
    is_client_error = 400 <= answer.status < 500  # noqa: PLR2004 - likewise
    if not isinstance(content, dict) or (is_client_error and "code" not in content):
        if is_client_error:
            raise _api_error(operation, answer, None)
        raise _unexpected(operation, answer, f"no JSON object, but {_described(answer)}")
    envelope = _structure(operation, answer, content, _Envelope, "$")
    if envelope.code != 0 or is_client_error:
        raise _api_error(operation, answer, envelope)
    if answer.status != 200:  # noqa: PLR2004 - the one status that the page knows
        raise _unexpected(operation, answer, "code 0 with an HTTP error")
    return envelope.data


def _api_error(operation: Operation, answer: Answer, envelope: _Envelope | None) -> ApiError:
    message = envelope.msg if envelope and isinstance(envelope.msg, str) else ""
    request_id = envelope.requestId if envelope and isinstance(envelope.requestId, str) else None
    code = envelope.code if envelope else None
    kind = _ERROR_BY_NUMBER.get(code or 0)
    if kind is None and "insufficient credits" in message.lower():
        kind = InsufficientCreditsError
    if kind is None:
        kind = _ERROR_BY_NUMBER.get(answer.status, ApiError)
    return kind(
        operation=operation.value,
        code=code,
        message=_shown(message, answer),
        http_status=answer.status,
        request_id=request_id,
        retry_after=retry_after(answer),
    )


def retry_after(answer: Answer) -> float | None:
    """Seconds from `Retry-After`, which comes as a number or as a date; at most a day."""
    value = answer.headers.get("retry-after", "").strip()
    if value.isdecimal() and value.isascii():
        return min(float(value), _LONGEST_RETRY_AFTER)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    seconds = (when - datetime.fromtimestamp(answer.received_at, UTC)).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER)


def _structure(
    operation: Operation, answer: Answer, value: object, kind: type[_T], path: str
) -> _T:
    try:
        return _quick.structure(value, kind)
    except Exception:  # noqa: BLE001 - cattrs passes on whatever a hook raises
        return _structure_precisely(operation, answer, value, kind, path)


def _structure_precisely(
    operation: Operation, answer: Answer, value: object, kind: type[_T], path: str
) -> _T:
    try:
        return _precise().structure(value, kind)
    except Exception as error:  # noqa: BLE001 - likewise
        what = "; ".join(cattrs.transform_error(error, path, _described_fault))
        raise _unexpected(operation, answer, what) from None


def _described_fault(error: BaseException, _: type | None) -> str:
    if isinstance(error, KeyError):
        return "required field missing"
    return str(error) or type(error).__name__


def _unexpected(operation: Operation, answer: Answer, what: str) -> UnexpectedResponseError:
    return UnexpectedResponseError(
        f"{operation.value}: an answer that the API page does not allow "
        f"(HTTP status {answer.status}): {_shown(what, answer)}",
        http_status=answer.status,
        retry_after=retry_after(answer),
    )


def _shown(text: str, answer: Answer) -> str:
    return without_queries(without_secret(text, answer.secret))


def _described(answer: Answer) -> str:
    kind = answer.headers.get("content-type", "").split(";")[0].strip() or "no content type"
    return f"{len(answer.body)} bytes of {printable(kind)}"
