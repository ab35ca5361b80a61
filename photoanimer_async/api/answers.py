"""One HTTP answer of the service: the data of its envelope, or the error that it means.

Every answer is one of three things:

* an envelope `{"code": 0, "data": ...}` with HTTP status 200: `envelope_data` returns its data;
* an envelope with another code, or an HTTP status 400 to 499: an `ApiError`;
* anything else (HTML, half a body, a redirect, a field that is missing or of another type): an
  `UnexpectedResponseError`, which names the JSON path of the fault.

Both errors keep the HTTP status and the start of a body that was not understood. Which of them mean
that a submit was refused is written down in `submit_answers`.

Values are read into typed classes by cattrs. cattrs itself converts where it can (`True` becomes 1,
5 becomes "5"); the types defined here accept only the JSON types that the API page or a known
compatible service uses, and a wrong value is named by its path.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NewType, TypeVar

import cattrs
from attrs import define, field

from photoanimer_async.api.body import json_decoder, parsed
from photoanimer_async.api.retry_after import parse_retry_after
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
from photoanimer_async.redaction import (
    URL_SCHEMES,
    encodable,
    is_url,
    printable,
    safe_text,
    shown_url,
    without_queries,
    without_secret,
)

_T = TypeVar("_T")

_MAX_ID_CHARACTERS = 256
_MAX_NUMBER: int = 10**_MAX_ID_CHARACTERS

Number = NewType("Number", int)
"""A whole number, or its decimal digits as a string."""
Text = NewType("Text", str)
"""A string."""
Link = NewType("Link", str)
"""An http(s) URL, or an empty string."""
Id = NewType("Id", object)
"""A task id: a whole number or a string that is not empty; see `is_task_id`."""

_MAX_TEXT = 4000
_MAX_REQUEST_ID = 100
_MAX_EXCERPT = 500
# Error pages repeat the request's query in many forms: plain, percent-encoded, escaped for JSON.
# Patterns are compiled when they are first used: most clients meet none of these answers.
_QUERY = r"(\?|%(?:25)*3f|\\u003f)[^\s\"'<>]+"
_TOO_MANY_REQUESTS = r"too many requests|too frequent|rate.?limit|requests? per second|\bqps\b"

_ERRORS: Mapping[int, type[ApiError]] = {
    # Envelope codes seen on the vendor's APIs.
    1100: AuthenticationError,
    4003: AuthenticationError,
    4001: InsufficientCreditsError,
    7001: RefusedRequestError,
    7002: RefusedRequestError,
    9010: RefusedRequestError,
    # Envelope codes of this project's own service for wrong requests and photos.
    **dict.fromkeys(
        (*range(40001, 40005), *range(40011, 40014), 40021, 40022), RefusedRequestError
    ),
    # HTTP statuses, which some services also use as codes.
    **dict.fromkeys((400, 404, 413, 414, 415, 422), RefusedRequestError),
    **dict.fromkeys((401, 403), AuthenticationError),
    402: InsufficientCreditsError,
    429: RateLimitedError,
    **dict.fromkeys((500, 502, 503, 504), ServiceUnavailableError),
}
"""The error for an envelope code or an HTTP status."""


@define
class Answer:
    """One HTTP answer.

    Attributes:
        operation: the name of the call that it answers, for error texts.
        status: the HTTP status.
        headers: by lower-case names, or in a case-insensitive mapping.
        body: the body's bytes.
        received_at: when it arrived, in seconds since the epoch.
        secret: the API key that the request carried, which no error may show.
        cut: why the body is not whole; empty if it is.
    """

    operation: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    received_at: float
    secret: str = field(default="", repr=False)
    cut: str = ""

    @property
    def retry_after(self) -> float | None:
        """Seconds from the `Retry-After` header, 0 to 86,400; `None` without one."""
        return parse_retry_after(self.headers.get("retry-after", ""), self.received_at)

    def redacted(self, text: str) -> str:
        """Return a text from the answer without the API key and queries of URLs, in one line."""
        # Cut before the search for URLs, which takes long in a long text that is made for it.
        known = without_secret(text, self.secret)[:_MAX_TEXT]
        return safe_text(re.sub(_QUERY, "?…", without_queries(known), flags=re.IGNORECASE))

    @property
    def content(self) -> object:
        """The body's JSON value; `None` if it has none."""
        # Only an escape or a byte beyond ASCII can stand for half a surrogate pair.
        if self.body.isascii() and b"\\u" not in self.body:
            try:
                plain: object = json_decoder.raw_decode(self.body.decode().lstrip())[0]
            except (ValueError, RecursionError):
                plain = None
            if plain is not None:
                return plain
        try:
            return encodable_json(parsed(self.body, self.headers.get("content-type", "")))
        except RecursionError:
            return None

    @property
    def excerpt(self) -> str:
        """The start of the body as text, at most 500 characters, redacted."""
        start = self.body[: 8 * _MAX_EXCERPT].decode(errors="replace").replace("\\/", "/")
        return self.redacted(start)[:_MAX_EXCERPT]


@define
class _Envelope:
    code: Number
    data: Any = None
    msg: Any = None
    requestId: Any = None


def envelope_data(answer: Answer) -> Any:
    """Return the `data` of an answer's envelope.

    Raises:
        ApiError, UnexpectedResponseError: see the module's docstring.
    """
    content = answer.content
    if answer.status == 200 and isinstance(content, dict):  # noqa: PLR2004 - that of the API page
        envelope = read_fields(answer, content, _Envelope, "$")
        if envelope.code != 0:
            raise _api_error(answer, envelope)
        return envelope.data
    if 300 <= answer.status < 400:  # noqa: PLR2004 - the class of redirects
        location = answer.headers.get("location", "")
        target = shown_url(location) if is_url(location) else "another path"
        raise unexpected(answer, f"it redirects to {target}, which is not followed; check base_url")
    is_client_error = 400 <= answer.status < 500  # noqa: PLR2004 - the class of client errors
    if not isinstance(content, dict) or (is_client_error and "code" not in content):
        if is_client_error:
            raise _api_error(answer, None)
        raise unexpected(answer, f"no JSON object, but {_describe_body(answer)}")
    envelope = read_fields(answer, content, _Envelope, "$")
    if envelope.code != 0 or is_client_error:
        raise _api_error(answer, envelope)
    raise unexpected(answer, "code 0 with an HTTP error")


def read_fields(answer: Answer, value: object, kind: type[_T], path: str) -> _T:
    """Return a JSON value of the answer as an instance of a class.

    Args:
        answer: the answer, for errors.
        value: a part of its `content`.
        kind: an attrs class, or one of the types of this module.
        path: the JSON path of the value, such as `$.data`.

    Raises:
        UnexpectedResponseError: a field is missing or has another type; the text ends with its
            path, such as `@ $.data.status`.
    """
    if type(value) is not dict and isinstance(kind, type):  # cattrs would read what it can index
        raise unexpected(answer, f"expected an object, not {printable(repr(value))} @ {path}")
    try:
        found: _T = _hooks[kind](value, kind)
    except Exception:  # noqa: BLE001 - cattrs passes on whatever a hook raises
        raise unexpected(answer, _faults(value, kind, path)) from None
    return found


def unexpected(answer: Answer, fault: str) -> UnexpectedResponseError:
    """Return the error for an answer that does not follow the API page."""
    cut = f"; its body is cut off: {answer.cut}" if answer.cut else ""
    return UnexpectedResponseError(
        f"{answer.operation}: an answer that does not follow the API page "
        f"(HTTP status {answer.status}): {answer.redacted(fault)}{cut}",
        http_status=answer.status,
        retry_after=answer.retry_after,
        body=answer.excerpt,
    )


def _api_error(answer: Answer, envelope: _Envelope | None) -> ApiError:
    message = envelope.msg if envelope and isinstance(envelope.msg, str) else ""
    request_id = envelope.requestId if envelope and isinstance(envelope.requestId, str) else ""
    code = envelope.code if envelope else None
    kind = _ERRORS.get(code or 0)
    if kind is None and "insufficient credits" in message.lower():
        kind = InsufficientCreditsError
    if kind is None and re.search(_TOO_MANY_REQUESTS, message, re.IGNORECASE):
        kind = RateLimitedError
    if kind is None:
        kind = _ERRORS.get(answer.status, ApiError)
    return kind(
        operation=answer.operation,
        code=code,
        message=answer.redacted(message),
        http_status=answer.status,
        request_id=safe_text(answer.redacted(request_id), limit=_MAX_REQUEST_ID) or None,
        retry_after=answer.retry_after,
        body="" if envelope else answer.excerpt,
    )


def _describe_body(answer: Answer) -> str:
    kind = answer.headers.get("content-type", "").split(";")[0].strip() or "no content type"
    start = f", which begin {printable(answer.excerpt)!r}" if answer.body else ""
    return f"{len(answer.body)} bytes of {printable(kind)}{start}"


# --- typed fields ---


class _Hooks(dict[Any, Callable[[Any, Any], Any]]):
    """What cattrs generates for each class, on first use."""

    def __missing__(self, kind: Any) -> Callable[[Any, Any], Any]:
        hook: Callable[[Any, Any], Any] = _converter(detailed=False).get_structure_hook(kind)
        self[kind] = hook
        return hook


_hooks = _Hooks()


def _faults(value: object, kind: type[_T], path: str) -> str:
    """Return what is wrong with a value, and where."""
    try:
        _converter(detailed=True).structure(value, kind)
    except Exception as error:  # noqa: BLE001 - as above
        return "; ".join(cattrs.transform_error(error, path, _describe_fault))
    return f"not understood @ {path}"


def encodable_json(value: object) -> object:
    """Return a value from `json.loads` with every string in it as `redaction.encodable` returns it.

    Raises:
        RecursionError: it is nested too deeply.
    """
    match value:
        case str():
            return encodable(value)
        case list():
            return [encodable_json(item) for item in value]
        case dict():
            return {encodable(name): encodable_json(item) for name, item in value.items()}
        case _:
            return value


def is_task_id(value: object) -> bool:
    """Return whether a value can be a task id: a number, or up to 256 printable characters."""
    if type(value) is int:
        return -_MAX_NUMBER < value < _MAX_NUMBER
    if isinstance(value, str):
        # U+FFFD stands for a character that was lost: the service knows no such id.
        is_whole = value.isprintable() and "\ufffd" not in value
        return is_whole and 0 < len(value) <= _MAX_ID_CHARACTERS
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MAX_NUMBER


def require_task_id(task_id: object) -> None:
    """Raise `InvalidRequestError` if a value cannot be a task id."""
    if not is_task_id(task_id):
        raise InvalidRequestError(
            f"task_id is {printable(repr(task_id))}; it must be the number or string from submit"
        )


def _describe_fault(error: BaseException, _: type | None) -> str:
    if isinstance(error, KeyError):
        return "required field missing"
    return str(error) or type(error).__name__


def _to_number(value: object, _: object) -> int:
    if type(value) is not int and isinstance(value, str) and value.removeprefix("-").isdecimal():
        value = int(value)
    if type(value) is int and -_MAX_NUMBER < value < _MAX_NUMBER:
        return value
    raise TypeError(f"expected a whole number, not {printable(repr(value))}")


def _to_text(value: object, _: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a string, not {printable(repr(value))}")
    return safe_text(value)


def _to_optional_link(value: object, _: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        value = value.strip()
        if not value or value.startswith(URL_SCHEMES) or is_url(value):
            return value
    shown = shown_url(value) if isinstance(value, str) else repr(value)
    raise TypeError(f"expected an http or https URL, not {printable(shown)}")


def _to_id(value: object, _: object) -> object:
    if not is_task_id(value):
        raise TypeError(f"expected a task id (number or string), not {printable(repr(value))}")
    return value


def _to_optional_id(value: object, kind: object) -> object:
    return None if value is None else _to_id(value, kind)


@cache
def _converter(*, detailed: bool) -> cattrs.Converter:
    """Return a converter; one that collects the path of each fault takes twice as long."""
    converter = cattrs.Converter(detailed_validation=detailed)
    converter.register_structure_hook(Number, _to_number)
    converter.register_structure_hook(Text, _to_text)
    converter.register_structure_hook(Id, _to_id)
    # One hook for the optional type: cattrs' own handling of `None` costs one more call.
    converter.register_structure_hook(Link | None, _to_optional_link)
    converter.register_structure_hook(Id | None, _to_optional_id)
    return converter
