"""Check a photo's URL before it is submitted, with one HEAD request to the photo's server.

A photo is refused only for a definite answer. Many servers refuse HEAD, above all for URLs that are
signed for GET, so such an answer is ignored. The API key is not sent.
"""

import asyncio
import re
from collections.abc import Callable

import aiohttp
from aiohttp import hdrs

from photoanimer_async.errors import PreparationError
from photoanimer_async.photos.header import PictureFlawError
from photoanimer_async.photos.links import exact_url, open_link
from photoanimer_async.photos.opening import named_in_errors
from photoanimer_async.photos.rules import MAX_BYTES
from photoanimer_async.redaction import printable

_AT_ONCE = 16
_SECONDS = 15.0
_TIMEOUT = aiohttp.ClientTimeout(total=_SECONDS, sock_connect=10.0)
_MAX_REDIRECTS = 5
_HTTP_OK = 200
_NOT_FOUND = frozenset({404, 410})
_SERVER_ERRORS = range(500, 600)
_NOT_IMPLEMENTED = 501
_ACCEPTED_TYPE = r"image/(png|p?jpe?g|jpg|(x-)?(ms-)?bmp|webp)|(application|binary)/octet-stream"


class UrlChecker:
    """Asks the hosts of photo URLs whether the photo is there and fit, a few at a time.

    Args:
        session: returns the session to use.
    """

    def __init__(self, session: Callable[[], aiohttp.ClientSession]) -> None:
        self._session = session
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def check(self, url: str) -> None:
        """Send a HEAD request to the URL's host.

        Raises:
            InvalidPhotoError: the photo is not there, or not fit.
            PreparationError: its host does not answer.
        """
        async with self._slots:
            with named_in_errors(url):
                await check_url(self._session(), url)


async def check_url(session: aiohttp.ClientSession, url: str) -> None:
    """Ask a photo's server whether the photo exists and is acceptable.

    Args:
        session: sends one HEAD request, and one for each of at most five redirects.
        url: an http(s) URL.

    Raises:
        PictureFlawError: the server has no such photo (404, 410), or states another content
            type, an empty body or 15 MB and more.
        PreparationError: the server does not answer, or answers with HTTP 5xx.
    """
    try:
        async with (
            asyncio.timeout(_SECONDS),
            await open_link(
                session,
                exact_url(url),
                method=hdrs.METH_HEAD,
                headers={hdrs.ACCEPT_ENCODING: "identity"},
                timeout=_TIMEOUT,
                max_redirects=_MAX_REDIRECTS,
            ) as response,
        ):
            _require_photo(response)
    except ValueError:
        raise PictureFlawError("the URL is malformed") from None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise PreparationError(f"its server does not answer: {_reason(error)}") from None


def _require_photo(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status in _NOT_FOUND:
        raise PictureFlawError(f"its server has no such photo (HTTP status {status})")
    if status in _SERVER_ERRORS and status != _NOT_IMPLEMENTED:
        raise PreparationError(f"its server cannot send it now (HTTP status {status})")
    if status != _HTTP_OK:
        return
    kind = response.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()
    if kind and not re.fullmatch(_ACCEPTED_TYPE, kind):
        raise PictureFlawError(
            f"its server says that it is {printable(kind)}; allowed are PNG, JPEG, BMP and WEBP"
        )
    size = response.content_length
    if size == 0:
        raise PictureFlawError("its server says that it is empty")
    if size is not None and size >= MAX_BYTES:
        raise PictureFlawError(
            f"its server says that it has {size / 2**20:.1f} MB; allowed is less than "
            f"{MAX_BYTES // 2**20} MB"
        )


def _reason(error: Exception) -> str:
    """Return why there is no answer; aiohttp's own texts can contain the URL with its query."""
    match error:
        case TimeoutError():
            return "timed out"
        case aiohttp.TooManyRedirects():
            return f"more than {_MAX_REDIRECTS} redirects"
        case aiohttp.ClientConnectorDNSError():
            return "unknown host name"
        case aiohttp.ClientConnectorError():
            return "connection failed"
        case _:
            return "connection lost"
