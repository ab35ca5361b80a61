"""One HTTP answer of the service: the data of its envelope, or the error that it means.

Every answer is one of three things:

* an envelope `{"code": 0, "data": ...}` with HTTP status 200: `envelope_data` returns its data;
* an envelope with another code, or an HTTP status 400 to 499: an `ApiError`;
* anything else (HTML, half a body, a redirect, a field that is missing or of another type): an
  `UnexpectedResponseError`, which names the JSON path of the fault.

Both errors keep the HTTP status and the start of a body that was not understood. Which of them mean
that a submit was refused is written down in `retry`.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import field, frozen

from photoanimer_async.api.body import parsed
from photoanimer_async.api.json_fields import (
    FieldError,
    Number,
    as_json,
    encodable_json,
    structure,
)
from photoanimer_async.api.retry_after import parse_retry_after
from photoanimer_async.errors import (
    ApiError,
    AuthenticationError,
    InsufficientCreditsError,
    RateLimitedError,
    RefusedRequestError,
    ServiceUnavailableError,
    UnexpectedResponseError,
)
from photoanimer_async.redaction import (
    is_url,
    printable,
    safe_text,
    shown_url,
    without_queries,
    without_secret,
)

_T = TypeVar("_T")

_MAX_TEXT = 4000
_MAX_REQUEST_ID = 100
_MAX_EXCERPT = 500
# Error pages repeat the request's query in many forms: plain, percent-encoded, escaped for JSON.
_QUERY = re.compile(r"(\?|%(?:25)*3f|\\u003f)[^\s\"'<>]+", re.IGNORECASE)
_TOO_MANY_REQUESTS = re.compile(
    r"too many requests|too frequent|rate.?limit|requests? per second|\bqps\b", re.IGNORECASE
)

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


@frozen
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
    headers: Mapping[str, str]
    body: bytes
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
        return safe_text(_QUERY.sub("?…", without_queries(known)))

    @property
    def content(self) -> object:
        """The body's JSON value; `None` if it has none."""
        # Only an escape or a byte beyond ASCII can stand for half a surrogate pair.
        if self.body.isascii() and b"\\u" not in self.body:
            plain = as_json(self.body.decode())
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


@frozen
class _Envelope:
    code: Number
    data: Any = None
    msg: Any = None
    requestId: Any = None  # noqa: N815 - the JSON name, which error paths show


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
    """Return a JSON value of the answer as an instance of a class; see `structure`.

    Raises:
        UnexpectedResponseError: a field is missing or has another type.
    """
    try:
        return structure(value, kind, path)
    except FieldError as error:
        raise unexpected(answer, str(error)) from None


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
    if kind is None and _TOO_MANY_REQUESTS.search(message):
        kind = RateLimitedError
    if kind is None:
        kind = _ERRORS.get(answer.status, ApiError)
    return kind(
        operation=answer.operation,
        code=code,
        message=answer.redacted(message),
        http_status=answer.status,
        request_id=safe_text(request_id, limit=_MAX_REQUEST_ID) or None,
        retry_after=answer.retry_after,
        body="" if envelope else answer.excerpt,
    )


def _describe_body(answer: Answer) -> str:
    kind = answer.headers.get("content-type", "").split(";")[0].strip() or "no content type"
    start = f", which begin {printable(answer.excerpt)!r}" if answer.body else ""
    return f"{len(answer.body)} bytes of {printable(kind)}{start}"
