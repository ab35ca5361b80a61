"""A look at a photo's URL before it is submitted: one HEAD, to the photo's own host.

Only what a host says for certain is held against a photo. Many refuse HEAD, above all to URLs
that are signed for GET: from that nothing follows. The API key is not sent along.
"""

import re
from urllib.parse import quote, urlsplit, urlunsplit

import aiohttp
from aiohttp import hdrs
from yarl import URL

from photoanimer_async.errors import PreparationError
from photoanimer_async.photos.check import MAX_BYTES
from photoanimer_async.photos.header import PictureFlawError
from photoanimer_async.redaction import printable

_SECONDS = 15.0
_CONNECT_SECONDS = 10.0
_REDIRECTS = 5
_HTTP_OK = 200
_GONE = frozenset({404, 410})
_SERVER_FAULTS = range(500, 600)
_NOT_IMPLEMENTED = 501
_TAKEN = re.compile(
    r"image/(png|p?jpe?g|jpg|(x-)?(ms-)?bmp|webp)|(application|binary)/octet-stream"
)
# What a URL may hold as it is (RFC 3986); with "%", so that nothing is escaped twice.
_URL_CHARACTERS = "!#$%&'()*+,-./:;=?@[]_~"


async def check_url(session: aiohttp.ClientSession, url: str) -> None:
    """Asks a photo's host whether it is there, and is what the service takes.

    Args:
        session: is used for one HEAD, and for those that redirects lead to.
        url: http or https.

    Raises:
        PictureFlawError: the host has no such photo, or says that it is of another kind or too
            large.
        PreparationError: the host does not answer, or can not now.
    """
    try:
        async with session.head(
            _encoded(url),
            allow_redirects=True,
            max_redirects=_REDIRECTS + 1,
            raise_for_status=False,
            headers={hdrs.ACCEPT_ENCODING: "identity"},
            timeout=aiohttp.ClientTimeout(total=_SECONDS, sock_connect=_CONNECT_SECONDS),
            middlewares=(),
        ) as response:
            _require_photo(response)
    except ValueError:
        raise PictureFlawError("the URL is malformed") from None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise PreparationError(f"its host was asked for it, but {_reason(error)}") from error


def _encoded(url: str) -> URL:
    """The URL as it is, so that signed ones hold; only what no URL may hold is escaped."""
    parts = urlsplit(url)
    origin = URL(f"{parts.scheme}://{parts.netloc}").origin()
    target = quote(urlunsplit(("", "", parts.path or "/", parts.query, "")), safe=_URL_CHARACTERS)
    return URL(f"{origin}{target}", encoded=True)


def _require_photo(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status in _GONE:
        raise PictureFlawError(f"its host has no such photo (HTTP status {status})")
    if status in _SERVER_FAULTS and status != _NOT_IMPLEMENTED:
        raise PreparationError(f"its host can not give it now (HTTP status {status})")
    if status != _HTTP_OK:
        return
    kind = response.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()
    if kind and not _TAKEN.fullmatch(kind):
        raise PictureFlawError(
            f"its host says that it is {printable(kind)}; allowed are PNG, JPEG, BMP and WEBP"
        )
    size = response.content_length
    if size == 0:
        raise PictureFlawError("its host says that it is empty")
    if size is not None and size >= MAX_BYTES:
        raise PictureFlawError(
            f"its host says that it has {size / 2**20:.1f} MB; allowed is less than "
            f"{MAX_BYTES // 2**20} MB"
        )


def _reason(error: Exception) -> str:
    """Why there is no answer. aiohttp's own texts can hold the URL with its query."""
    match error:
        case TimeoutError():
            return "it took too long"
        case aiohttp.TooManyRedirects():
            return f"it redirects more than {_REDIRECTS} times"
        case aiohttp.ClientConnectorDNSError():
            return "its name is not known"
        case aiohttp.ClientConnectorError():
            return "there is no connection to it"
        case _:
            return "it broke off the answer"
