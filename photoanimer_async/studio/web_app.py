"""The studio as an `aiohttp.web` application."""

import asyncio
import logging
from collections.abc import AsyncIterator

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from photoanimer_async import PhotoAnimerClient
from photoanimer_async.studio.events import EventRoutes
from photoanimer_async.studio.files import FileRoutes
from photoanimer_async.studio.guard import Guard, add_headers
from photoanimer_async.studio.page_files import INDEX, PageFile, load_page
from photoanimer_async.studio.refused import RefusedError
from photoanimer_async.studio.routes import ApiRoutes
from photoanimer_async.studio.studio import Studio
from photoanimer_async.studio.studio_settings import StudioSettings

_log = logging.getLogger(__name__)


def create_app(client: PhotoAnimerClient, settings: StudioSettings) -> web.Application:
    """A studio that has its clips made by a client.

    Args:
        client: an open one; it is used, and not closed.
        settings: how the studio is set up.

    Raises, when the application starts:
        PhotoAnimerError: the folder can not be used, or another studio is at work in it.
    """
    guard = Guard(settings)
    studio = Studio(client, settings)
    page: dict[str, PageFile] = {}
    app = web.Application(middlewares=[guard.middleware(), _tell_refusals])
    app.on_response_prepare.append(add_headers)

    async def lifetime(_: web.Application) -> AsyncIterator[None]:
        page.update(await asyncio.to_thread(load_page))
        async with studio:
            yield

    async def let_listeners_go(_: web.Application) -> None:
        studio.album.feed.close()

    async def index(_: web.Request) -> web.Response:
        return _page_response(page[INDEX])

    async def page_file(request: web.Request) -> web.Response:
        file = page.get(request.match_info["name"])
        if file is None:
            raise web.HTTPNotFound
        return _page_response(file)

    async def enter(request: web.Request) -> web.Response:
        return guard.enter(request.match_info["token"])

    app.cleanup_ctx.append(lifetime)
    app.on_shutdown.append(let_listeners_go)
    app.router.add_get("/", index)
    app.router.add_get("/page/{name}", page_file)
    app.router.add_get("/enter/{token}", enter)
    for routes in (ApiRoutes(studio), FileRoutes(studio), EventRoutes(studio)):
        app.router.add_routes(routes.table())
    return app


def _page_response(file: PageFile) -> web.Response:
    # A page from before an update must not speak to a server from after it.
    return web.Response(
        text=file.content, content_type=file.content_type, headers={hdrs.CACHE_CONTROL: "no-cache"}
    )


@web.middleware
async def _tell_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers every refusal, and every fault, as JSON."""
    try:
        return await handler(request)
    except RefusedError as error:
        return web.json_response({"error": str(error)}, status=error.status)
    except (web.HTTPException, ConnectionError):  # the latter: the browser has gone
        raise
    except Exception:  # noqa: BLE001 - logged in full; the other requests may be fine
        resource = request.match_info.route.resource
        _log.exception("a fault at %s", resource.canonical if resource else "no route")
        return web.json_response(
            {"error": "The studio has a fault; its log says more."}, status=500
        )
