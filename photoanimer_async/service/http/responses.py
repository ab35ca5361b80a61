"""Answers in envelopes, for success and for every error.

Errors in a request have HTTP status 200, as the vendor's do. An unknown path, a wrong method, too
many requests and internal errors have the HTTP status for it.
"""

import asyncio
import json
import logging
import math
import re
from collections.abc import Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from photoanimer_async.service.error_codes import (
    INTERNAL,
    NO_STORAGE,
    NO_SUCH_METHOD,
    NO_SUCH_PATH,
    RequestRefusedError,
)
from photoanimer_async.service.http.envelope import failure, success
from photoanimer_async.service.shortages import is_shortage, reason_of
from photoanimer_async.service.throttled_log import ThrottledLog

_logger = logging.getLogger(__name__)
_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

ERROR_CODE: Final = web.ResponseKey("error_code", str)
"""The key of the error code's name in a response that is an error."""

_RETRY_SECONDS: Final = 5.0
_TOO_MANY: Final = 429
_REFUSAL_SECONDS: Final = 0.1
_MORE_SLASHES: Final = re.compile(r"\{_\d*\}")  # see `app`
_JSON: Final = "application/json; charset=utf-8"


def answer(data: object) -> web.Response:
    """Return a successful answer."""
    return web.Response(body=_encode(success(data)).encode(), headers={"Content-Type": _JSON})


def envelope_errors(check: Callable[[web.Request], None] | None = None) -> Middleware:
    """Return a middleware that turns every error into an answer in an envelope.

    Args:
        check: raises a `RequestRefusedError` for requests that are not allowed, before they are
            handled. A middleware of its own would cost each request twice as much.
    """
    log = ThrottledLog(_logger)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if check is not None:
                check(request)
            return await handler(request)
        except RequestRefusedError as error:
            if error.code.http_status == _TOO_MANY:
                # A caller that repeats a request as fast as it can would keep others waiting.
                await asyncio.sleep(_REFUSAL_SECONDS)
            return _refusal(request, error, log)
        except Exception as error:  # noqa: BLE001 - logged or answered
            return _failure(request, error, log)

    return middleware


def _failure(request: web.Request, error: Exception, log: ThrottledLog) -> web.Response:
    """Return the answer to an error that no handler has foreseen."""
    match error:
        case web.HTTPNotFound():
            message = f"there is nothing at {request.path[:120]!r}"
            return _refusal(request, RequestRefusedError(NO_SUCH_PATH, message), log)
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            message = f"the method is {error.method}; allowed is {allowed}"
            response = _refusal(request, RequestRefusedError(NO_SUCH_METHOD, message), log)
            response.headers["Allow"] = allowed
            return response
        case _ if is_shortage(error):
            why = reason_of(error)
            log.event(logging.WARNING, "event=shortage route=%s why=%r", route_of(request), why)
            message = f"nothing can be stored now ({why}); nothing was charged"
            refused = RequestRefusedError(NO_STORAGE, message, retry_after=_RETRY_SECONDS)
            return _refusal(request, refused, log)
        case _:
            log.event(
                logging.ERROR,
                "event=internal_error route=%s kind=%s",
                route_of(request),
                type(error).__name__,
                error=error,
            )
            message = "an internal error; see the service's log"
            return _refusal(request, RequestRefusedError(INTERNAL, message), log)


def _refusal(request: web.Request, error: RequestRefusedError, log: ThrottledLog) -> web.Response:
    code = error.code
    log.event(logging.INFO, "event=refused route=%s code=%s", route_of(request), code.name)
    response = web.Response(
        body=_encode(failure(code, error.message)).encode(),
        status=code.http_status,
        headers={"Content-Type": _JSON},
    )
    response[ERROR_CODE] = code.name
    if error.retry_after is not None:
        # The header has whole seconds only (RFC 9110, 10.2.3).
        response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    return response


def route_of(request: web.Request) -> str:
    """Return the route's pattern, for logs and metrics: the path may contain a result's token."""
    resource = request.match_info.route.resource
    return "none" if resource is None else _MORE_SLASHES.sub("", resource.canonical)
