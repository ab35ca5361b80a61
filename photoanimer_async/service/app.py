"""The HTTP side: the page's three interfaces, `mySubscription`, and the result files.

Paths and parameters are the API page's, under `/api/v1`. Errors in what is asked for come as
an envelope with HTTP status 200, as the vendor sends them; an unknown path, a wrong method
and a fault of the service have the HTTP status for it and an envelope as well.
"""

import asyncio
import hmac
import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from photoanimer_async.service.acceptance import Acceptance
from photoanimer_async.service.envelope import failure, success, task_info
from photoanimer_async.service.errors import (
    API_KEY,
    IMAGE_UNREACHABLE,
    INTERNAL,
    NO_SUCH_METHOD,
    NO_SUCH_PATH,
    PARAMETER_INVALID,
    TASK_UNKNOWN,
    ErrorCode,
    RequestRefusedError,
    SetupError,
)
from photoanimer_async.service.fetch import FetchLimits, open_fetcher
from photoanimer_async.service.folder import RESULT_NAME, DataFolder
from photoanimer_async.service.notify import open_notifier
from photoanimer_async.service.parameters import (
    SUBMIT_PARAMETERS,
    parse_submission,
    parse_task_id,
    shown_argument,
)
from photoanimer_async.service.render_queue import RenderQueue
from photoanimer_async.service.rendering import Renderer
from photoanimer_async.service.results import ResultResponse
from photoanimer_async.service.settings import ServiceSettings
from photoanimer_async.service.store import TaskStore, open_store
from photoanimer_async.service.workers import ProcessRenderer

_logger = logging.getLogger(__name__)

API_PREFIX: Final = "/api/v1"

_SETTINGS: Final = web.AppKey("settings", ServiceSettings)
_FOLDER: Final = web.AppKey("folder", DataFolder)
_STORE: Final = web.AppKey("store", TaskStore)
_ACCEPTANCE: Final = web.AppKey("acceptance", Acceptance)

_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_DATE: Final = "%Y-%m-%d %H:%M:%S"


def create_app(settings: ServiceSettings, *, renderer: Renderer | None = None) -> web.Application:
    """The service as an `aiohttp.web` application.

    Args:
        settings: how it is set up.
        renderer: what makes the videos; the engine in worker processes by default. One that
            is handed in is the caller's to close.

    Raises, when the application starts:
        SetupError: the data folder can not be used, or the engine is not installed.
    """
    app = web.Application(middlewares=[_envelope_errors])
    app[_SETTINGS] = settings
    app[_FOLDER] = DataFolder(settings.data_dir)
    # aiohttp would answer HEAD with the GET, and a submit is a GET that does something.
    for path, handler in (
        ("/faceDriven/submitTaskByUrl", _submit),
        ("/faceDriven/getTaskInfo", _get_task_info),
        ("/mySubscription", _my_subscription),
    ):
        app.router.add_get(API_PREFIX + path, handler, allow_head=False)
    app.router.add_get(f"/results/{{name:{RESULT_NAME}}}", _result)

    async def lifetime(app: web.Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await _start(app, stack, renderer)
            yield

    app.cleanup_ctx.append(lifetime)
    return app


async def _start(app: web.Application, stack: AsyncExitStack, renderer: Renderer | None) -> None:
    settings, folder = app[_SETTINGS], app[_FOLDER]
    try:
        await asyncio.to_thread(folder.create)
    except OSError as error:
        raise SetupError(f"{settings.data_dir} can not be used: {error.strerror}") from error
    store = await stack.enter_async_context(open_store(folder.database))
    open_tasks = await store.open_tasks()
    await asyncio.to_thread(folder.sweep, {task.task_id for task in open_tasks})
    limits = FetchLimits(
        seconds=settings.fetch_seconds,
        redirects=settings.fetch_redirects,
        at_once=settings.fetches,
    )
    fetcher = await stack.enter_async_context(open_fetcher(limits, settings.fetch_rules))
    notifier = await stack.enter_async_context(open_notifier(settings.notify_url))
    if renderer is None:
        renderer = await stack.enter_async_context(
            ProcessRenderer(
                settings.workers,
                render_seconds=settings.render_seconds,
                options=settings.render_options,
                memory=settings.render_memory,
            )
        )
    queue = await stack.enter_async_context(
        RenderQueue(store, folder, renderer, notifier, settings.workers)
    )
    for task in open_tasks:
        queue.put(task)
    app[_STORE] = store
    app[_ACCEPTANCE] = Acceptance(settings, fetcher, folder, store, queue)
    _logger.info("event=started data=%s requeued=%d", settings.data_dir, len(open_tasks))


async def _submit(request: web.Request) -> web.Response:
    """API page, Interface 1."""
    _check_key(request)
    submission = parse_submission(request.query)
    try:
        task = await request.app[_ACCEPTANCE].accept(submission, _origin(request))
    except RequestRefusedError as error:
        stray = set(request.query) - SUBMIT_PARAMETERS
        if error.code is IMAGE_UNREACHABLE and stray:
            raise RequestRefusedError(
                error.code,
                f"{error.message}; the request also has parameters of other names: if they "
                "belong to imageUrl, it has to be percent-encoded",
            ) from error
        raise
    return _json(success(task.task_id))


async def _get_task_info(request: web.Request) -> web.Response:
    """API page, Interface 3."""
    _check_key(request)
    task_id = parse_task_id(request.query)
    task = await request.app[_STORE].get(task_id)
    if task is None:
        raise RequestRefusedError(TASK_UNKNOWN, f"there is no task with taskId {task_id}")
    return _json(success(task_info(task, _origin(request))))


async def _my_subscription(request: web.Request) -> web.Response:
    """What is left: a constant, as this service charges nothing."""
    _check_key(request)
    now = datetime.now(UTC)
    start = now.replace(day=1, hour=0, minute=0, second=0)
    expire = (start + timedelta(days=32)).replace(day=1)
    balance = {
        "monthBalance": 0.0,
        "imageBalance": 0.0,
        "videoBalance": request.app[_SETTINGS].video_balance,
        "monthStartDate": start.strftime(_DATE),
        "monthExpireDate": expire.strftime(_DATE),
    }
    return _json(success(balance))


async def _result(request: web.Request) -> web.StreamResponse:
    """A video or a GIF, to whoever has its link."""
    path = request.app[_FOLDER].result(request.match_info["name"])
    if not await asyncio.to_thread(path.is_file):
        raise RequestRefusedError(NO_SUCH_PATH, "there is no such result")
    return ResultResponse(path, headers={"X-Content-Type-Options": "nosniff"})


def _check_key(request: web.Request) -> None:
    given = request.headers.get("APIKEY", "").strip()
    if not given:
        found = "empty" if "APIKEY" in request.headers else "missing"
        raise RequestRefusedError(API_KEY, f"the header APIKEY is {found}; it holds the API key")
    keys = request.app[_SETTINGS].keys
    # Every key is compared, and in constant time, so that the time tells nothing.
    if keys is not None and not sum(
        hmac.compare_digest(given.encode(errors="surrogateescape"), key.encode()) for key in keys
    ):
        raise RequestRefusedError(API_KEY, "the API key in the header APIKEY is not accepted")


def _origin(request: web.Request) -> str:
    """Scheme and host that links start with: the public URL, or where the request came to."""
    public_url = request.app[_SETTINGS].public_url
    if public_url is not None:
        return public_url
    if not _HOST.fullmatch(request.host):
        raise RequestRefusedError(
            PARAMETER_INVALID,
            f"the header Host is {shown_argument(request.host)!r}; it has to be a host, "
            "with a port or without",
        )
    return f"{request.scheme}://{request.host}"


@web.middleware
async def _envelope_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error in an envelope."""
    try:
        return await handler(request)
    except RequestRefusedError as error:
        return _refusal(request, error.code, error.message)
    except web.HTTPNotFound:
        return _refusal(request, NO_SUCH_PATH, f"there is nothing at {request.path[:120]!r}")
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        answer = _refusal(
            request, NO_SUCH_METHOD, f"the method is {error.method}; allowed is {allowed}"
        )
        answer.headers["Allow"] = allowed
        return answer
    except Exception:
        _logger.exception("event=fault route=%s", _route(request))
        return _refusal(request, INTERNAL, "the service has a fault; its log says more")


def _refusal(request: web.Request, code: ErrorCode, message: str) -> web.Response:
    _logger.info("event=refused route=%s code=%s", _route(request), code.name)
    return _json(failure(code, message), status=code.http_status)


def _route(request: web.Request) -> str:
    """The route's pattern: a path can hold a result's token."""
    resource = request.match_info.route.resource
    return "none" if resource is None else resource.canonical


def _json(envelope: dict[str, object], status: int = 200) -> web.Response:
    return web.json_response(envelope, status=status, dumps=_dumps)


def _dumps(envelope: object) -> str:
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":"))
