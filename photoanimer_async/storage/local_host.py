"""An image host that serves photos from this process.

How it works. The HTTP server runs while the host is entered, and every publication enters it:
so it starts with the first photo and stops after the last. Entering the host around all of them
saves the restarts in between; a client keeps a server that a photo has started until it is closed.

A photo's path is a random token of 32 bytes that works like a password: it gives access to the
photo. All other paths and methods get the same 404. Only the last part of a path counts, so that
a proxy in front may keep or strip the path of `public_url`.
"""

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp import hdrs
from attrs import define

from photoanimer_async.errors import HostingError, InvalidRequestError
from photoanimer_async.models import Photo
from photoanimer_async.photos.cancellation import ThreadStep, finish_despite_cancel
from photoanimer_async.photos.check import detect_media_format
from photoanimer_async.photos.shortage import is_shortage
from photoanimer_async.redaction import is_url, shown_url

if TYPE_CHECKING:
    import aiohttp.web

_TOKEN_BYTES = 32
_SHUTDOWN_SECONDS = 1.0
_READ_SECONDS = 20.0
_READ_PAUSE = 0.1


@define
class _Publication:
    content: bytes | Path
    content_type: str
    fetches: int = 0


class LocalImageHost:
    """Serves photos from this process: on this machine, or to the internet through a tunnel.

        host = LocalImageHost(public_url="https://abc.tunnel.example", port=8765)
        async with host, PhotoAnimerClient(host=host) as client:
            await client.animate("grandma.jpg", save_to="out/")

    It belongs to one event loop. Entering it is optional, but keeps one server, and so one
    port, from the first photo to the last.

    Args:
        public_url: the URL at which a tunnel or a reverse proxy makes this server reachable;
            without it, photos' URLs name the server itself and work on this machine only.
        host: the address to listen on.
        port: the port; 0 for any free one.

    Raises:
        InvalidRequestError: `public_url` is no plain http(s) URL, or is missing where `host`
            means all addresses (0.0.0.0).
    """

    def __init__(
        self, *, public_url: str | None = None, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        if public_url is not None:
            _require_plain_url(public_url)
        elif _is_unspecified(host):
            raise InvalidRequestError(f"with host {host}, public_url must be given too")
        self._public_url = public_url.rstrip("/") if public_url is not None else None
        self._host = host
        self._port = port
        self._publications: dict[str, _Publication] = {}
        self._users = 0
        self._lock = asyncio.Lock()
        self._runner: aiohttp.web.AppRunner | None = None
        self._base_url = ""

    async def __aenter__(self) -> Self:
        self._users += 1
        if self._runner is None:
            try:
                # A cancellation waits: asyncio would lose a server that has just begun to listen.
                await ThreadStep(self._start())
            except BaseException:
                await self._leave()
                raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._leave()

    @asynccontextmanager
    async def kept_open(self) -> AsyncIterator[None]:
        """Keep the server, once a photo has started it, until the end of the block."""
        self._users += 1
        try:
            yield
        finally:
            await self._leave()

    async def _leave(self) -> None:
        self._users -= 1
        if not self._users:
            await finish_despite_cancel(self._stop())

    async def _stop(self) -> None:
        """Stop the server, unless a photo has come meanwhile; takes two seconds at most."""
        async with self._lock:
            if self._runner is not None and not self._users:
                runner, self._runner = self._runner, None
                await runner.cleanup()

    @asynccontextmanager
    async def publish(self, photo: Photo) -> AsyncIterator[str]:
        """Serve a photo under a new URL until the end of the block.

        A file is read each time it is fetched; content is kept in memory.

        Args:
            photo: the path or the content of a photo, or the path of a voice.

        Raises:
            InvalidPhotoError: a URL, or not a photo that the service takes.
            HostingError: the server cannot be started.
        """
        publication, suffix = await asyncio.to_thread(_inspect, photo)
        token = secrets.token_urlsafe(_TOKEN_BYTES) + suffix
        async with self:
            self._publications[token] = publication
            try:
                yield f"{self._base_url}/{token}"
            finally:
                del self._publications[token]

    def fetches(self, url: str) -> int:
        """Return how often a published photo was requested so far (GET or HEAD).

        Raises:
            HostingError: the URL was not published here or was withdrawn: the number is then
                unknown, not 0.
        """
        publication = self._publications.get(_token(urlsplit(url).path))
        if publication is None:
            raise HostingError("the URL is not published here, or no longer")
        return publication.fetches

    async def _start(self) -> None:
        """Start the server, unless it runs."""
        async with self._lock:
            if self._runner is None:
                self._runner = await self._new_runner()

    async def _new_runner(self) -> "aiohttp.web.AppRunner":
        import aiohttp.web  # noqa: PLC0415 - a client whose photos have URLs needs none of it

        application = aiohttp.web.Application()
        application.router.add_route(hdrs.METH_ANY, "/{path:.*}", self._serve)
        runner = aiohttp.web.AppRunner(
            application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS
        )
        try:
            await runner.setup()
            await aiohttp.web.TCPSite(runner, self._host, self._port).start()
        except BaseException as error:
            await runner.cleanup()
            if not isinstance(error, OSError):
                raise
            reason = os.strerror(error.errno) if error.errno else "no such address"
            raise HostingError(
                f"photos cannot be served on {self._host} port {self._port}: {reason}"
            ) from error
        address, port = runner.addresses[0][:2]
        host = f"[{address}]" if ":" in address else address
        self._base_url = self._public_url or f"http://{host}:{port}"
        return runner

    async def _serve(self, request: "aiohttp.web.Request") -> "aiohttp.web.StreamResponse":
        publication = self._publications.get(_token(request.path))
        if publication is None or request.method not in {hdrs.METH_GET, hdrs.METH_HEAD}:
            raise aiohttp.web.HTTPNotFound
        publication.fetches += 1
        # A cache in front could serve the photo after it has been withdrawn.
        headers: dict[str, str] = {
            hdrs.CONTENT_TYPE: publication.content_type,
            hdrs.CACHE_CONTROL: "no-store",
        }
        return _content_response(request, await _read(publication.content), headers)


async def _read(content: bytes | Path) -> bytes:
    """Return a photo's content; a shortage of open files is given time to pass.

    Without the photo its task would fail, and be paid for.
    """
    if isinstance(content, bytes):
        return content
    deadline = time.monotonic() + _READ_SECONDS
    while True:
        try:
            return await asyncio.to_thread(content.read_bytes)
        except OSError as error:
            if not is_shortage(error):
                raise aiohttp.web.HTTPNotFound from None
            if time.monotonic() > deadline:
                raise aiohttp.web.HTTPServiceUnavailable from None
        await asyncio.sleep(_READ_PAUSE)


def _content_response(
    request: "aiohttp.web.Request", content: bytes, headers: dict[str, str]
) -> "aiohttp.web.Response":
    size = len(content)
    headers[hdrs.ACCEPT_RANGES] = "bytes"
    if hdrs.RANGE not in request.headers:
        return aiohttp.web.Response(body=content, headers=headers)
    try:
        start, stop, _ = request.http_range.indices(size)
    except ValueError:
        start = stop = size
    if start >= stop:
        return aiohttp.web.Response(status=416, headers={hdrs.CONTENT_RANGE: f"bytes */{size}"})
    headers[hdrs.CONTENT_RANGE] = f"bytes {start}-{stop - 1}/{size}"
    return aiohttp.web.Response(status=206, body=content[start:stop], headers=headers)


def _token(path: str) -> str:
    return path.rpartition("/")[2]


def _inspect(photo: Photo) -> tuple[_Publication, str]:
    """Return what is served for a photo, and the suffix of its URL. Blocking."""
    kind = detect_media_format(photo)
    content = photo if isinstance(photo, bytes) else Path(photo).absolute()
    return _Publication(content, kind.content_type), kind.suffix


def _require_plain_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        plain = bool(parts.hostname) and not (parts.query or parts.fragment or parts.username)
    except ValueError:
        plain = False
    if not plain or not is_url(url):
        raise InvalidRequestError(
            f"public_url must be an http or https URL without user and query, not {shown_url(url)}"
        )


def _is_unspecified(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return not host
