"""The studio as an `aiohttp.web` application, and as a running server."""

import asyncio
import logging
from collections.abc import AsyncIterator
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

from aiohttp import web
from aiohttp.typedefs import Handler

from photoanimer_async import PhotoAnimerClient
from photoanimer_async.photos.cancellation import ThreadStep
from photoanimer_async.photos.shortage import find_shortage
from photoanimer_async.service.shortages import ShortageError
from photoanimer_async.studio.animators import Animator
from photoanimer_async.studio.api_routes import ApiRoutes
from photoanimer_async.studio.file_routes import MediaRoutes, PageRoutes
from photoanimer_async.studio.refusal_words import shortage_in_words
from photoanimer_async.studio.request_guard import RequestGuard, add_security_headers
from photoanimer_async.studio.studio_actions import Studio
from photoanimer_async.studio.studio_errors import RefusedError
from photoanimer_async.studio.studio_settings import StudioSettings
from photoanimer_async.studio.task_cancelling import TaskCanceller
from photoanimer_async.studio.unread_bodies import UnreadBodies

_log = logging.getLogger(__name__)

_SHUTDOWN_SECONDS: Final = 3.0
_LINGERING_SECONDS: Final = 10.0  # see `unread_bodies`
_WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


def create_app(
    client: PhotoAnimerClient,
    settings: StudioSettings,
    canceller: TaskCanceller | None = None,
    everyone: Animator | None = None,
) -> web.Application:
    """Create a studio's application.

    Args:
        client: an open client, which animates the photos; it is not closed.
        settings: the studio's settings.
        canceller: stops clips that were submitted, if the service offers that.
        everyone: animates all faces of a photo, where the user asks for it.

    Raises, when the application starts:
        PhotoAnimerError: the folder cannot be used, or another studio is using it.
    """
    guard = RequestGuard(settings)
    studio = Studio(client, settings, canceller, everyone)
    page = PageRoutes()
    app = web.Application(middlewares=[guard.middleware(), _errors_as_json])
    app.on_response_prepare.append(add_security_headers)

    async def run_studio(_: web.Application) -> AsyncIterator[None]:
        await asyncio.to_thread(page.load)
        async with studio:
            yield

    async def end_event_streams(_: web.Application) -> None:
        studio.album.feed.close()

    app.cleanup_ctx.append(run_studio)
    app.on_shutdown.append(end_event_streams)
    UnreadBodies().add_to(app)
    app.router.add_get("/enter/{token}", guard.enter)
    for routes in (page, ApiRoutes(studio), MediaRoutes(studio)):
        app.router.add_routes(routes.table())
    return app


class RunningStudio:
    """An async context manager that serves a studio.

    Example:
        >>> async with RunningStudio(client, settings) as studio:  # doctest: +SKIP
        ...     print(studio.url)

    Args:
        client: an open client, which animates the photos; it is not closed.
        settings: the studio's settings.
        canceller: stops clips that were submitted, if the service offers that.
        everyone: animates all faces of a photo, where the user asks for it.

    Raises, when entered:
        PhotoAnimerError: the folder cannot be used, or another studio is using it.
        OSError: cannot listen on the address.
    """

    def __init__(
        self,
        client: PhotoAnimerClient,
        settings: StudioSettings,
        canceller: TaskCanceller | None = None,
        everyone: Animator | None = None,
    ) -> None:
        self._settings = settings
        # No access log: it would contain the token and the names of photos.
        self._runner = web.AppRunner(
            create_app(client, settings, canceller, everyone),
            access_log=None,
            shutdown_timeout=_SHUTDOWN_SECONDS,
            lingering_time=_LINGERING_SECONDS,
        )

    async def __aenter__(self) -> Self:
        try:
            await self._runner.setup()
            site = web.TCPSite(self._runner, self._settings.host, self._settings.port)
            # A cancellation waits: asyncio would lose a server that has just begun to listen.
            await ThreadStep(site.start())
        except BaseException:
            await self._runner.cleanup()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """The URL to open in a browser on this machine, with the token if there is one."""
        host, port = self._runner.addresses[0][:2]
        host = _WILDCARDS.get(host, host)
        origin = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        return origin if self._settings.token is None else f"{origin}enter/{self._settings.token}"


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RefusedError as error:
        return web.json_response({"error": str(error)}, status=error.status)
    except (web.HTTPException, ConnectionError):  # ConnectionError: the browser disconnected
        raise
    except Exception as error:  # noqa: BLE001 - logged; other requests must still be served
        shortage = error if isinstance(error, ShortageError) else find_shortage(error)
        if shortage is not None:
            _log.warning("%s: %s", request.method, shortage)
            text = shortage_in_words(shortage)
            return web.json_response({"error": text}, status=HTTPStatus.INSUFFICIENT_STORAGE)
        resource = request.match_info.route.resource
        path = resource.canonical if resource else "an unknown path"
        _log.exception("%s %s failed unexpectedly", request.method, path)
        return web.json_response(
            {"error": "The studio had an internal error; see its log."}, status=500
        )
