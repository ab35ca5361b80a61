"""Fetching the photo and the voice that a submit points to.

A file is read as a stream and given up as soon as it is too large; time and redirects are
bounded; nothing of the environment (proxies, .netrc) has a say. Where connections may go, of
a redirect as well, is for `addresses` to say.
"""

import asyncio
import os
import string
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import quote

import aiohttp
from attrs import frozen
from yarl import URL

from photoanimer_async.service.fetching.addresses import (
    AddressRules,
    ForbiddenAddressError,
    guarded_connector,
)
from photoanimer_async.service.fetching.resolver import ThreadedResolver

_SCHEMES: Final = frozenset({"http", "https"})
_CONNECT_SECONDS: Final = 10.0
_CHUNK: Final = 64 * 1024
_MIB: Final = 1024 * 1024
# What a URL may hold as it is (RFC 3986); with "%", so that nothing is escaped twice.
_URL_CHARACTERS: Final = string.punctuation.translate(str.maketrans("", "", '"<>\\^`{|}'))


class FetchError(Exception):
    """A file could not be had; the text says why, without the URL."""


class UnsuitableUrlError(FetchError):
    """It is no http or https URL, or holds a user or password. Nothing was sent."""


class FileTooLargeError(FetchError):
    """The file is not smaller than the limit. It was not read to its end."""


@frozen
class FetchLimits:
    """What one fetch may cost.

    Attributes:
        seconds: from the first connection to the last byte.
        redirects: how many are followed.
        at_once: how many files are fetched at the same time.
    """

    seconds: float
    redirects: int
    at_once: int


class Fetcher:
    """Fetches files over http and https; made by `open_fetcher`."""

    def __init__(self, session: aiohttp.ClientSession, limits: FetchLimits) -> None:
        self._session = session
        self._limits = limits
        self._places = asyncio.Semaphore(limits.at_once)

    async def fetch(self, url: str, *, size_limit: int, accept: str) -> bytes:
        """The file behind a URL.

        Args:
            url: as the caller gave it, decoded once from the query.
            size_limit: the file must have fewer bytes than this.
            accept: the media types to ask for.

        Raises:
            FileTooLargeError: it has as many bytes or more.
            UnsuitableUrlError: it is no http or https URL, or holds a user or password.
            FetchError: no connection, none allowed, no HTTP 200, too slow, cut short.
        """
        target = parse_url(url)
        async with self._places:
            try:
                return await self._get(target, size_limit, accept)
            except (aiohttp.ClientError, TimeoutError) as error:
                raise FetchError(self._reason(error)) from error

    async def _get(self, url: URL, size_limit: int, accept: str) -> bytes:
        async with self._session.get(
            url,
            headers={"Accept": accept, "Accept-Encoding": "identity"},
            max_redirects=self._limits.redirects + 1,
        ) as response:
            if response.status != 200:  # noqa: PLR2004 - HTTP's own number
                raise FetchError(f"its server answers with HTTP status {response.status}")
            if (response.content_length or 0) >= size_limit:
                raise FileTooLargeError(_too_large(size_limit, response.content_length))
            content = bytearray()
            async for chunk in response.content.iter_chunked(_CHUNK):
                content += chunk
                if len(content) >= size_limit:
                    raise FileTooLargeError(_too_large(size_limit))
            return bytes(content)

    def _reason(self, error: Exception) -> str:
        """Why a fetch failed. aiohttp's own texts can hold the URL with its query."""
        match error:
            case aiohttp.ConnectionTimeoutError():
                reason = f"no connection within {_CONNECT_SECONDS:g} s"
            case TimeoutError():
                reason = f"it did not arrive within {self._limits.seconds:g} s"
            case aiohttp.TooManyRedirects():
                reason = f"it redirects more than {self._limits.redirects} times"
            case aiohttp.RedirectClientError():
                reason = "it redirects to something that is no http or https URL"
            case aiohttp.InvalidURL():
                reason = "it is not a URL"
            case aiohttp.ClientConnectorError():
                reason = _why_no_connection(error)
            case _:
                reason = "its server broke off the answer"
        return reason


@asynccontextmanager
async def open_fetcher(limits: FetchLimits, rules: AddressRules) -> AsyncIterator[Fetcher]:
    """A fetcher, and its connections closed at the end."""
    resolver = ThreadedResolver(limits.at_once)
    try:
        async with aiohttp.ClientSession(
            connector=guarded_connector(rules, resolver=resolver),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "photoanimer-async local service"},
            timeout=aiohttp.ClientTimeout(total=limits.seconds, sock_connect=_CONNECT_SECONDS),
            trust_env=False,
        ) as session:
            yield Fetcher(session, limits)
    finally:
        await resolver.close()


def parse_url(url: str) -> URL:
    """The URL as it is, so that signed ones hold; only what no URL may hold is escaped.

    Raises:
        UnsuitableUrlError: it is no http or https URL, or holds a user or password.
    """
    try:
        parsed = URL(quote(url, safe=_URL_CHARACTERS), encoded=True) if url.isascii() else URL(url)
        host = parsed.host
    except ValueError:
        raise UnsuitableUrlError("it is not a URL") from None
    if parsed.scheme.lower() not in _SCHEMES:
        found = f"its scheme is {parsed.scheme[:20]!r}" if parsed.scheme else "it has no scheme"
        raise UnsuitableUrlError(f"{found}; allowed are http and https")
    if not host:
        raise UnsuitableUrlError("it names no host")
    if parsed.raw_user is not None or parsed.raw_password is not None:
        raise UnsuitableUrlError("it holds a user or password, which is not sent on")
    return parsed


def _why_no_connection(error: aiohttp.ClientConnectorError) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "its host is not known"
        case aiohttp.ClientSSLError():
            return "its server's TLS certificate or handshake is not accepted"
        case aiohttp.ClientConnectorError(os_error=ForbiddenAddressError()):
            return "its host has an address that this service does not fetch from (--allow-network)"
        case aiohttp.ClientConnectorError(os_error=OSError(errno=int(number))) if number > 0:
            return f"no connection: {os.strerror(number)}"
        case _:
            return "no connection"


def _too_large(size_limit: int, found: int | None = None) -> str:
    said = f"it has {found / _MIB:.1f} MB; " if found is not None else ""
    return f"{said}the file has to be under {size_limit / _MIB:g} MB"
