"""The download of a result, which ends up complete or not at all.

How it works. The bytes are streamed to a `Destination`. After a dropped connection, the download
continues where it stopped if the server gave a validator (`Range` with `If-Range`), and starts
again otherwise. A complete result gets its final name; a failed download leaves nothing behind.

A partial download is kept within one call only: a result has a few MB and a short-lived link.
"""

import asyncio
import re
import time
from contextlib import suppress
from random import Random
from typing import TypeVar

import aiohttp
from aiohttp import ClientResponse, ClientTimeout, hdrs
from attrs import define
from yarl import URL

from photoanimer_async.api.retry import RetryPolicy
from photoanimer_async.api.retry_after import parse_retry_after
from photoanimer_async.api.transport import HEADER_LIMITS
from photoanimer_async.errors import DownloadError
from photoanimer_async.models import Location
from photoanimer_async.redaction import is_url, shown_url
from photoanimer_async.storage.result_store import Destination

_LocationT = TypeVar("_LocationT", bound=Location)

MAX_RESULT_BYTES = 2**30
"""More than any video of a few seconds has."""

_BATCH_BYTES = 256 * 1024
_SOCKET_TIMEOUT = ClientTimeout(total=None, sock_connect=10.0, sock_read=30.0)
_MAX_REDIRECTS = 5
_EXPIRED = frozenset({403, 404, 410})
_TRANSIENT = frozenset({408, 416, 425, 429})
_ERROR_PAGES = frozenset({"text/html", "text/xml", "application/json", "application/xml"})
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_PERMANENT_ERRORS = (
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
    aiohttp.TooManyRedirects,
    aiohttp.ClientConnectorCertificateError,
)
_TRANSIENT_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)


class _TransientError(Exception):
    """An attempt failed for a reason that may have passed by the next one."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


async def download(
    session: aiohttp.ClientSession,
    url: str,
    destination: Destination[_LocationT],
    *,
    timeout: float | None,
    retry: RetryPolicy | None = None,
    max_bytes: int = MAX_RESULT_BYTES,
) -> _LocationT:
    """Download a result to a destination, with retries.

    No API key is sent, and no middleware of the session is applied.

    Args:
        session: used, and not closed.
        url: the link, exactly as the service gave it.
        destination: the target; an existing result is never overwritten.
        timeout: seconds for the whole download with its retries; `None` for no limit.
        retry: the number of attempts and the waits between them.
        max_bytes: larger results are refused.

    Returns:
        The final location: the destination's, or a numbered name beside it if that was taken.

    Raises:
        DownloadError: the result cannot be downloaded or written; `expired` if a new link may
            help. Nothing is left at the destination.
    """
    transfer = _Transfer(session, _link(url), shown_url(url), destination, max_bytes)
    try:
        await destination.begin()
        try:
            async with asyncio.timeout(timeout):
                await _transfer_with_retries(transfer, retry or RetryPolicy())
        except TimeoutError:
            raise DownloadError(f"{transfer.name}: not complete after {timeout:g} s") from None
        return await destination.commit()
    except BaseException:
        with suppress(DownloadError):
            await destination.discard()
        raise


async def _transfer_with_retries(transfer: "_Transfer", retry: RetryPolicy) -> None:
    rng = Random()  # noqa: S311 - jitter, no secret
    failures = 0
    while True:
        try:
            return await transfer.attempt()
        except _TransientError as error:
            failures += 1
            if failures >= retry.tries:
                raise DownloadError(f"{transfer.name}: {error} (tried {failures} times)") from error
            await asyncio.sleep(retry.wait(failures, error, rng))


@define
class _Transfer:
    """The state of one download over all its attempts."""

    session: aiohttp.ClientSession
    url: URL
    name: str
    destination: Destination[Location]
    max_bytes: int
    received: int = 0
    total: int | None = None
    validator: str | None = None

    async def attempt(self) -> None:
        """Send one request for the bytes that are still missing.

        Raises:
            _TransientError: the next attempt may succeed.
            DownloadError: it would not.
        """
        headers = {hdrs.ACCEPT_ENCODING: "identity"}
        if self.received and self.validator:
            headers |= {hdrs.RANGE: f"bytes={self.received}-", hdrs.IF_RANGE: self.validator}
        try:
            async with self.session.get(
                self.url,
                headers=headers,
                max_redirects=_MAX_REDIRECTS,
                raise_for_status=False,
                timeout=_SOCKET_TIMEOUT,
                middlewares=(),
                **HEADER_LIMITS,
            ) as response:
                self._start(response)
                await self._receive(response)
        except _PERMANENT_ERRORS as error:
            raise DownloadError(f"{self.name}: {_reason(error)}") from None
        except _TRANSIENT_ERRORS as error:
            # Not chained: aiohttp's texts contain the whole URL.
            raise _TransientError(_reason(error)) from None
        if self.total is not None and self.received != self.total:
            raise _TransientError(f"it ended after {self.received} of {self.total} bytes")
        if not self.received:
            raise _TransientError("it is empty")

    def _start(self, response: ClientResponse) -> None:
        self._require_content(response)
        if response.status == 206:  # noqa: PLR2004 - Partial Content
            content_range = _CONTENT_RANGE.fullmatch(response.headers.get(hdrs.CONTENT_RANGE, ""))
            if content_range is None or int(content_range[1]) != self.received:
                self.validator = None
                raise _TransientError("the server sent another range than requested")
            self.total = None if content_range[2] == "*" else int(content_range[2])
        else:
            self.received = 0
            coded = hdrs.CONTENT_ENCODING in response.headers
            self.total = None if coded else response.content_length
            self.validator = None if coded else _validator(response)
        self._require_size(self.total or 0)

    def _require_content(self, response: ClientResponse) -> None:
        status = response.status
        if status in _EXPIRED:
            raise DownloadError(
                f"{self.name}: the link has expired (HTTP status {status})", expired=True
            )
        if status in _TRANSIENT or status >= 500:  # noqa: PLR2004 - server errors
            self.validator = None if status == 416 else self.validator  # noqa: PLR2004 - its range
            retry_after = response.headers.get(hdrs.RETRY_AFTER, "")
            raise _TransientError(
                f"HTTP status {status}", retry_after=parse_retry_after(retry_after, time.time())
            )
        if status not in {200, 206}:
            raise DownloadError(f"{self.name}: HTTP status {status}")
        if response.content_type in _ERROR_PAGES:
            raise DownloadError(
                f"{self.name}: the link leads to {response.content_type}, not to a video",
                expired=True,
            )

    def _require_size(self, size: int) -> None:
        if size > self.max_bytes:
            raise DownloadError(f"{self.name}: larger than {self.max_bytes} bytes")

    async def _receive(self, response: ClientResponse) -> None:
        batch = bytearray()
        try:
            async for chunk in response.content.iter_any():
                batch += chunk
                self._require_size(self.received + len(batch))
                if len(batch) >= _BATCH_BYTES:
                    await self._write(batch)
                    batch = bytearray()
        except _TRANSIENT_ERRORS:
            await self._write(batch)
            raise
        await self._write(batch)

    async def _write(self, batch: bytearray) -> None:
        await self.destination.write(self.received, batch)
        self.received += len(batch)


def _link(url: str) -> URL:
    """Return the URL unchanged, or quoted if it cannot be sent as it is."""
    try:
        link = URL(url, encoded=url.isascii() and url.isprintable() and " " not in url)
        if is_url(url) and link.host:
            return link
    except ValueError:
        pass
    raise DownloadError(f"the result's link is not an http or https URL: {shown_url(url)}")


def _validator(response: ClientResponse) -> str | None:
    """Return the value for `If-Range`: a strong ETag, else the date of the last change."""
    etag = response.headers.get(hdrs.ETAG, "")
    return etag if etag.startswith('"') else response.headers.get(hdrs.LAST_MODIFIED)


def _reason(error: BaseException) -> str:
    match error:
        case aiohttp.TooManyRedirects():
            return f"more than {_MAX_REDIRECTS} redirects"
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return "it redirects to something that is not an http or https URL"
        case aiohttp.ClientConnectorCertificateError():
            return "the server's certificate is not valid"
        case aiohttp.ClientConnectorError():
            return f"no connection: {error.os_error.strerror or 'unknown host'}"
        case TimeoutError():
            return "the server stopped sending"
        case _:
            return f"the connection was lost ({type(error).__name__})"
