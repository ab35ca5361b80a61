"""Download of the photo and the voice that a submit names, within limits.

A file is read as a stream, and the download stops as soon as the file is too large. Time
and redirects are bounded too. `guarded_session` decides where connections may go, and the caller
how many downloads there are at the same time.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp
from attrs import frozen
from yarl import URL

from photoanimer_async.photos.links import exact_url, open_link
from photoanimer_async.service.fetching.addresses import AddressRules
from photoanimer_async.service.fetching.guarded_session import (
    CONNECT_SECONDS,
    ForbiddenAddressError,
    guarded_session,
)
from photoanimer_async.service.fetching.received_file import ReceivedFile

_SCHEMES: Final = frozenset({"http", "https"})
_CHUNK: Final = 64 * 1024
_MIB: Final = 1024 * 1024


class FetchError(Exception):
    """A download failed. The message says why, and does not contain the URL."""


class UnsuitableUrlError(FetchError):
    """The URL is not http or https, or contains a user or password. No request was sent."""


class FileTooLargeError(FetchError):
    """The file reaches the size limit. The rest of it was not read."""


@frozen
class FetchLimits:
    """Limits of downloads.

    Attributes:
        seconds: the longest that a download may take, from its first connection to the last byte.
        redirects: how many redirects are followed.
        lookups: number of DNS lookups at the same time.
    """

    seconds: float
    redirects: int
    lookups: int


class Fetcher:
    """Downloads files over http and https; create it with `open_fetcher`.

    async with open_fetcher(limits, AddressRules()) as fetcher:
        photo = await fetcher.fetch(url, size_limit=15 * 1024 * 1024, accept="image/*")
    """

    def __init__(
        self, session: aiohttp.ClientSession, limits: FetchLimits, folder: Path | None
    ) -> None:
        self._session = session
        self._limits = limits
        self._folder = folder

    async def fetch(self, url: str, *, size_limit: int, accept: str) -> ReceivedFile:
        """Return the file at a URL; the caller closes it.

        Args:
            url: the URL as the client sent it, decoded once from the query.
            size_limit: the file must have fewer bytes than this.
            accept: the value of the header Accept.

        Raises:
            FileTooLargeError: the file has `size_limit` bytes or more.
            UnsuitableUrlError: the URL is not http or https, or contains a user or password.
            FetchError: no connection, a forbidden address, a status other than 200, a timeout, or
                a response that ends early.
            OSError: the disk is full, or this process has too many open files.
        """
        target = parse_url(url)
        try:
            async with asyncio.timeout(self._limits.seconds):
                return await self._get(target, size_limit, accept)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise FetchError(self._reason(error)) from error

    async def _get(self, url: URL, size_limit: int, accept: str) -> ReceivedFile:
        async with await open_link(
            self._session,
            url,
            headers={"Accept": accept, "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS),
            max_redirects=self._limits.redirects,
        ) as response:
            if response.status != 200:  # noqa: PLR2004 - HTTP's own number
                raise FetchError(f"its server answers with HTTP status {response.status}")
            if (response.content_length or 0) >= size_limit:
                raise FileTooLargeError(_too_large(size_limit, response.content_length))
            file = ReceivedFile(self._folder)
            try:
                await _receive(response, file, size_limit)
            except BaseException:
                file.close()
                raise
            return file

    def _reason(self, error: Exception) -> str:
        """Return why a download failed; aiohttp's own messages can contain the URL's query."""
        match error:
            case aiohttp.ConnectionTimeoutError():
                reason = f"no connection within {CONNECT_SECONDS:g} s"
            case TimeoutError():
                reason = f"it did not arrive within {self._limits.seconds:g} s"
            case aiohttp.TooManyRedirects():
                reason = f"it redirects more than {self._limits.redirects} times"
            case aiohttp.RedirectClientError():
                reason = "it redirects to a URL that is not http or https"
            case aiohttp.InvalidURL():
                reason = "it is not a URL"
            case aiohttp.ClientConnectorError():
                reason = _connection_failure(error)
            case _:
                reason = "its server did not complete the answer"
        return reason


async def _receive(response: aiohttp.ClientResponse, file: ReceivedFile, size_limit: int) -> None:
    async for chunk in response.content.iter_chunked(_CHUNK):
        if file.size + len(chunk) >= size_limit:
            raise FileTooLargeError(_too_large(size_limit))
        await file.write(chunk)


@asynccontextmanager
async def open_fetcher(
    limits: FetchLimits, rules: AddressRules, folder: Path | None = None
) -> AsyncIterator[Fetcher]:
    """Open a fetcher; its connections are closed at the end of the block.

    Args:
        limits: the limits of downloads.
        rules: the addresses that may be connected to.
        folder: takes large files; by default the system's folder for temporary files.
    """
    async with guarded_session(rules, seconds=limits.seconds, lookups=limits.lookups) as session:
        yield Fetcher(session, limits, folder)


def parse_url(url: str) -> URL:
    """Parse a URL without changing it, so that signatures stay valid.

    Only characters that no URL may contain are escaped.

    Raises:
        UnsuitableUrlError: the URL is not http or https, or contains a user or password.
    """
    try:
        parsed = exact_url(url)
        host = parsed.host
    except ValueError:
        raise UnsuitableUrlError("it is not a URL") from None
    if parsed.scheme.lower() not in _SCHEMES:
        found = f"its scheme is {parsed.scheme[:20]!r}" if parsed.scheme else "it has no scheme"
        raise UnsuitableUrlError(f"{found}; allowed are http and https")
    if not host:
        raise UnsuitableUrlError("it has no host")
    if parsed.raw_user is not None or parsed.raw_password is not None:
        raise UnsuitableUrlError("it contains a user or password, which are not sent")
    return parsed


def _connection_failure(error: aiohttp.ClientConnectorError) -> str:
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
    size = f"it has {found / _MIB:.1f} MB; " if found is not None else ""
    return f"{size}the file has to be under {size_limit / _MIB:g} MB"
