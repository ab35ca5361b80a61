"""What the failure of a download means: whether a retry may help, and the error to raise."""

import errno

import aiohttp

from photoanimer_async.api.send_errors import connection_failure
from photoanimer_async.errors import DownloadError
from photoanimer_async.photos.shortage import find_shortage

MAX_REDIRECTS = 5

PERMANENT_ERRORS = (
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
    aiohttp.TooManyRedirects,
    aiohttp.ClientConnectorCertificateError,
)
TRANSIENT_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)


class UnavailableError(DownloadError):
    """The server of the link did not send the result this time, in all attempts."""


class TransientError(Exception):
    """An attempt failed for a reason that may have passed by the next one."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def may_pass(error: DownloadError) -> bool:
    """Return whether a new link of the task may work where this one did not."""
    shortage = find_shortage(error)
    if shortage is not None:
        # Files are closed as other jobs end; a disk has to be cleared by the user.
        return isinstance(shortage, OSError) and shortage.errno in {errno.EMFILE, errno.ENFILE}
    return error.expired or isinstance(error, UnavailableError)


def reason_of(error: BaseException) -> str:
    """Return why a request failed; aiohttp's own texts can contain the whole URL."""
    match error:
        case aiohttp.TooManyRedirects():
            return f"more than {MAX_REDIRECTS} redirects"
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return "it redirects to something that is not an http or https URL"
        case aiohttp.ClientConnectorCertificateError():
            return "the server's certificate is not valid"
        case aiohttp.ClientConnectorError():
            return f"no connection: {connection_failure(error)}"
        case TimeoutError():
            return "the server stopped sending"
        case _:
            return f"the connection was lost ({type(error).__name__})"
