"""What a failure of aiohttp means: whether the request may have been sent, and why it failed.

Errors of aiohttp are not chained, since their texts contain the whole URL of the request, and with
it the signed URL of a photo.
"""

import os
import ssl

import aiohttp

from photoanimer_async.errors import NoAnswerError, NotSentError, PhotoAnimerError
from photoanimer_async.redaction import shown_url

PROXY_AUTHENTICATION_REQUIRED = 407
"""The HTTP status of a proxy that does not accept its user or password."""

PROVABLY_NOT_SENT = (
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
)
"""aiohttp's errors for requests that got no connection to the service."""

_UNSENT = "the request had no connection yet: it was not sent"


class ConnectionLostError(Exception):
    """The connection failed after it was made. Not a `ClientError`: aiohttp would resend."""


_OF_AIOHTTP = (aiohttp.ClientError, TimeoutError, ConnectionLostError)
"""Errors that are not chained."""


def mark_unsent(cancellation: BaseException) -> None:
    """Note in the cancellation of a request that it had no connection yet; see `is_unsent`."""
    cancellation.add_note(_UNSENT)


def is_unsent(error: BaseException) -> bool:
    """Return whether a request that was cancelled had no connection yet."""
    return _UNSENT in getattr(error, "__notes__", ())


def failure_of(
    operation: str, base_url: str, error: BaseException, *, may_have_left: bool
) -> PhotoAnimerError:
    """Return the error for a request that got no answer.

    Args:
        operation: the name of the call, for the text.
        base_url: the service's, for the text.
        error: what aiohttp, or foreign code in its session, raised.
        may_have_left: whether the request had a connection.

    Returns:
        A `NotSentError` if it was provably not sent, else a `NoAnswerError`.
    """
    where, reason = shown_url(base_url), reason_of(error)
    failure: PhotoAnimerError
    if getattr(error, "status", 0) == PROXY_AUTHENTICATION_REQUIRED:
        return refused_by_proxy(operation)
    if isinstance(error, PROVABLY_NOT_SENT) or not may_have_left:
        failure = NotSentError(f"{operation}: no connection to {where}: {reason}")
        failure.is_permanent = isinstance(error, aiohttp.ClientConnectorCertificateError)
    else:
        failure = NoAnswerError(f"{operation}: no answer from {where}: {reason}")
    if isinstance(error, aiohttp.ClientConnectorError):
        failure.__cause__ = error.os_error
    elif not isinstance(error, _OF_AIOHTTP):
        failure.__cause__ = error
    return failure


def refused_by_proxy(operation: str) -> NotSentError:
    """Return the error for a request that a proxy refused with HTTP status 407."""
    error = NotSentError(f"{operation}: the proxy does not accept its user or password")
    error.is_permanent = True
    return error


def session_closed(operation: str) -> NotSentError:
    """Return the error for a request over a session of the user's that is closed."""
    error = NotSentError(f"{operation}: not sent: the session that was passed in is closed")
    error.is_permanent = True
    return error


def reason_of(error: BaseException) -> str:
    """Return why a request failed, or why its answer is cut off, in some words without any URL."""
    reason = type(error).__name__
    match error:
        case aiohttp.ClientConnectorCertificateError():
            reason = "the server's certificate is not trusted"
        case aiohttp.ClientConnectorError():
            reason = connection_failure(error)
        case aiohttp.ClientHttpProxyError():
            reason = f"the proxy refused it with HTTP status {error.status}"
        case TimeoutError():
            reason = "timed out"
        case ConnectionLostError():
            reason = f"the connection was lost ({error})"
        case _:
            pass
    return reason


def connection_failure(error: aiohttp.ClientConnectorError) -> str:
    """Return why a connection failed, such as `connection refused`.

    asyncio's own text is `Connect call failed ('127.0.0.1', 80)`.
    """
    cause = error.os_error
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "unknown host name"
    if not isinstance(cause, ssl.SSLError) and isinstance(cause.errno, int) and cause.errno > 0:
        return os.strerror(cause.errno).lower()
    return cause.strerror or "connection failed"
