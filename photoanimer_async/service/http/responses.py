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
            return _refusal(request, error)
        except Exception as error:  # noqa: BLE001 - logged or answered
            return _failure(request, error)

    return middleware


def _failure(request: web.Request, error: Exception) -> web.Response:
    """Return the answer to an error that no handler has foreseen."""
    match error:
        case web.HTTPNotFound():
            message = f"there is nothing at {request.path[:120]!r}"
            return _refusal(request, RequestRefusedError(NO_SUCH_PATH, message))
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            message = f"the method is {error.method}; allowed is {allowed}"
            response = _refusal(request, RequestRefusedError(NO_SUCH_METHOD, message))
            response.headers["Allow"] = allowed
            return response
        case _ if is_shortage(error):
            _logger.warning("event=shortage route=%s why=%s", route_of(request), reason_of(error))
            message = f"nothing can be stored now ({reason_of(error)}); nothing was charged"
            return _refusal(
                request, RequestRefusedError(NO_STORAGE, message, retry_after=_RETRY_SECONDS)
            )
        case _:
            _logger.error("event=internal_error route=%s", route_of(request), exc_info=error)
            message = "an internal error; see the service's log"
            return _refusal(request, RequestRefusedError(INTERNAL, message))


def _refusal(request: web.Request, error: RequestRefusedError) -> web.Response:
    code = error.code
    _logger.info("event=refused route=%s code=%s", route_of(request), code.name)
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
