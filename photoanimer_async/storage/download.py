"""The download from one link, which ends up complete or not at all.

How it works. The bytes are streamed to a `Destination`. After a dropped connection, the download
continues where it stopped if the server gave a validator (`Range` with `If-Range`), and starts
again otherwise, or if the rest is of another version. A partial download is kept within one call
only: a result has a few MB and a short-lived link. What is neither a video nor a GIF by its first
bytes is refused: the servers of expired links send pages. A complete result gets its final name; a
failed download leaves nothing behind.
"""

import asyncio
import re
import time
import zlib
from contextlib import suppress
from random import Random
from typing import TypeVar

import aiohttp
from aiohttp import ClientResponse, ClientTimeout, hdrs
from attrs import define, field, frozen
from yarl import URL

from photoanimer_async.api.retry import RetryPolicy
from photoanimer_async.api.retry_after import parse_retry_after
from photoanimer_async.errors import (
    DownloadError,
)
from photoanimer_async.models import Location
from photoanimer_async.photos.links import exact_url, open_link
from photoanimer_async.redaction import printable, shown_url
from photoanimer_async.storage.decompression import CODINGS, Decompressor
from photoanimer_async.storage.download_errors import (
    MAX_REDIRECTS,
    PERMANENT_ERRORS,
    TRANSIENT_ERRORS,
    TransientError,
    UnavailableError,
    reason_of,
)
from photoanimer_async.storage.result_store import Destination

_LocationT = TypeVar("_LocationT", bound=Location)

MAX_RESULT_BYTES = 2**30
"""More than any video of a few seconds has."""

_BATCH_BYTES = 256 * 1024
_SOCKET_TIMEOUT = ClientTimeout(total=None, sock_connect=10.0, sock_read=30.0)
_EXPIRED = frozenset({403, 404, 410})
_TRANSIENT = frozenset({408, 416, 425, 429})
_HEAD_BYTES = 8
_CONTENT_RANGE = r"bytes (\d{1,19})-\d{1,19}/(\d{1,19}|\*)"


async def download(
    session: aiohttp.ClientSession,
    url: str,
    destination: Destination[_LocationT],
    *,
    suffix: str = ".mp4",
    timeout: float | None,
    retry: RetryPolicy | None = None,
    max_bytes: int = MAX_RESULT_BYTES,
) -> _LocationT:
    """Download a result with retries. No API key is sent, and no middleware is applied.

    Args:
        session: used, and not closed.
        url: the link, exactly as the service gave it.
        destination: the target; an existing result is never overwritten.
        suffix: that of the result, `.mp4` or `.gif`.
        timeout: seconds for the whole download with its retries; `None` for no limit.
        retry: the number of attempts and the waits between them.
        max_bytes: larger results are refused.

    Returns:
        The final location: the destination's, or a numbered name beside it if that was taken.

    Raises:
        DownloadError: it cannot be downloaded or written; `expired` if a new link may help.
            Nothing is left at the destination.
    """
    transfer = _Transfer(session, url, destination, max_bytes)
    try:
        await destination.begin(suffix)
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
        except TransientError as error:
            failures += 1
            if failures >= retry.tries:
                reason = f"{transfer.name}: {error} (tried {failures} times)"
                raise UnavailableError(reason) from error
            await asyncio.sleep(retry.wait(failures, error, rng))


@define
class _Transfer:
    """The state of one download over all its attempts."""

    session: aiohttp.ClientSession
    url: str = field(repr=shown_url)
    destination: Destination[Location]
    max_bytes: int
    received: int = 0
    total: int | None = None
    version: "_Version | None" = None
    head: bytes = b""
    content_type: str = ""
    decoder: Decompressor | None = None

    @property
    def name(self) -> str:
        """The link as errors show it."""
        return shown_url(self.url)

    async def attempt(self) -> None:
        """Send one request for the bytes that are still missing.

        Raises:
            TransientError: the next attempt may succeed.
            DownloadError: it would not.
        """
        headers: dict[str, str] = {hdrs.ACCEPT_ENCODING: "identity"}
        if self.received and self.version and self.version.validator:
            headers[hdrs.RANGE] = f"bytes={self.received}-"
            headers[hdrs.IF_RANGE] = self.version.validator
        try:
            async with await open_link(
                self.session,
                _link(self.url),
                headers=headers,
                timeout=_SOCKET_TIMEOUT,
                max_redirects=MAX_REDIRECTS,
                decompress=False,
            ) as response:
                self._start(response)
                await self._receive(response)
        except PERMANENT_ERRORS as error:
            raise DownloadError(f"{self.name}: {reason_of(error)}") from None
        except TRANSIENT_ERRORS as error:
            # Not chained: aiohttp's texts contain the whole URL.
            raise TransientError(reason_of(error)) from getattr(error, "os_error", None)
        self._require_complete()

    def _require_complete(self) -> None:
        if self.total is not None and self.received != self.total:
            raise TransientError(f"it ended after {self.received} of {self.total} bytes")
        if self.decoder is not None and not self.decoder.is_complete:
            raise TransientError("its compressed content is incomplete")
        if not self.received:
            raise TransientError("it is empty")
        self._require_video()

    def _start(self, response: ClientResponse) -> None:
        self._require_content(response)
        self.content_type = response.content_type
        version = _Version.of(response)
        coding = response.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower()
        if response.status == 206:  # noqa: PLR2004 - Partial Content
            content_range = re.fullmatch(
                _CONTENT_RANGE, response.headers.get(hdrs.CONTENT_RANGE, "")
            )
            if content_range is None or int(content_range[1]) != self.received or self.decoder:
                self.version = None
                raise TransientError("the server sent another range than requested")
            total = None if content_range[2] == "*" else int(content_range[2])
            is_other = version.contradicts(self.version) or _differ(total, self.total)
            if self.received and is_other:
                self.version = None
                raise TransientError("the result has changed meanwhile")
            self.total = self.total if total is None else total
        else:
            self.received = 0
            self.head = b""
            self.decoder = Decompressor() if coding in CODINGS else None
            self.total = None if self.decoder else response.content_length
            self.version = None if self.decoder else version
        self._require_size(self.total or 0)

    def _require_content(self, response: ClientResponse) -> None:
        status = response.status
        if status in _EXPIRED:
            raise DownloadError(
                f"{self.name}: the link has expired (HTTP status {status})", expired=True
            )
        if status in _TRANSIENT or status >= 500:  # noqa: PLR2004 - server errors
            self.version = None if status == 416 else self.version  # noqa: PLR2004 - its range
            retry_after = response.headers.get(hdrs.RETRY_AFTER, "")
            raise TransientError(
                f"HTTP status {status}", retry_after=parse_retry_after(retry_after, time.time())
            )
        if status not in {200, 206}:
            raise DownloadError(f"{self.name}: HTTP status {status}")

    def _require_video(self) -> None:
        # By the content: servers name types wrongly, and this has been paid for.
        if self.head[4:8] != b"ftyp" and not self.head.startswith((b"GIF87a", b"GIF89a")):
            named = printable(self.content_type)
            named = "other content" if named.startswith(("video/", "image/")) else named
            raise DownloadError(
                f"{self.name}: the link leads to {named}, not to a video", expired=True
            )

    def _require_size(self, size: int) -> None:
        if size > self.max_bytes:
            raise DownloadError(f"{self.name}: larger than {self.max_bytes} bytes")

    async def _receive(self, response: ClientResponse) -> None:
        batch = bytearray()
        try:
            async for chunk in response.content.iter_any():
                for part in self.decoder.decompress(chunk) if self.decoder else (chunk,):
                    batch += part
                    self._require_size(self.received + len(batch))
                    if len(batch) >= _BATCH_BYTES:
                        await self._write(batch)
                        batch = bytearray()
        except TRANSIENT_ERRORS:
            await self._write(batch)
            raise
        except zlib.error as error:
            raise TransientError("its compressed content is damaged") from error
        await self._write(batch)

    async def _write(self, batch: bytearray) -> None:
        if len(self.head) < _HEAD_BYTES:
            self.head += batch[: _HEAD_BYTES - len(self.head)]
            if len(self.head) == _HEAD_BYTES:
                self._require_video()
        await self.destination.write(self.received, batch)
        self.received += len(batch)


@frozen
class _Version:
    """What tells one version of a result from another."""

    etag: str | None
    last_modified: str | None

    @classmethod
    def of(cls, response: ClientResponse) -> "_Version":
        headers = response.headers
        return cls(headers.get(hdrs.ETAG), headers.get(hdrs.LAST_MODIFIED))

    @property
    def validator(self) -> str | None:
        """The value for `If-Range`: a strong ETag, else the date of the last change."""
        return self.etag if self.etag and self.etag.startswith('"') else self.last_modified

    def contradicts(self, other: "_Version | None") -> bool:
        """Whether the two are known to be different; a server may leave out either value."""
        return other is not None and (
            _differ(self.etag, other.etag) or _differ(self.last_modified, other.last_modified)
        )


def _differ(value: object, other: object) -> bool:
    return value is not None and other is not None and value != other


def _link(url: str) -> URL:
    with suppress(ValueError):
        link = exact_url(url)
        if link.scheme in {"http", "https"} and link.host:
            return link
    raise DownloadError(f"the result's link is not an http or https URL: {shown_url(url)}")
