"""The HTTP side: the page's three interfaces, `mySubscription`, and the result files.

Paths and parameters are the API page's, under `/api/v1`.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from aiohttp import web

from photoanimer_async.service import outbox
from photoanimer_async.service.acceptance import Acceptance, FileSource
from photoanimer_async.service.accounts import OWN_ACCOUNT, Account
from photoanimer_async.service.admission import Admission, open_admission
from photoanimer_async.service.answers import answer, envelope_errors
from photoanimer_async.service.database import open_database
from photoanimer_async.service.documentation import add_documentation
from photoanimer_async.service.envelope import task_info
from photoanimer_async.service.errors import (
    IMAGE_UNREACHABLE,
    NO_SUCH_PATH,
    PARAMETER_INVALID,
    TASK_UNKNOWN,
    RequestRefusedError,
    SetupError,
)
from photoanimer_async.service.expiry import running_expiry
from photoanimer_async.service.faults import FaultInjector
from photoanimer_async.service.fetch import FetchLimits, open_fetcher
from photoanimer_async.service.folder import RESULT_NAME, DataFolder
from photoanimer_async.service.health import add_health
from photoanimer_async.service.lock import FolderLock
from photoanimer_async.service.notify import AT_ONCE, Outcome, running_notifier
from photoanimer_async.service.parameters import (
    SUBMIT_PARAMETERS,
    parse_submission,
    parse_task_id,
    shown_argument,
)
from photoanimer_async.service.parts import (
    ACCEPTANCE,
    ADMISSION,
    DATABASE,
    FOLDER,
    QUEUE,
    RENDERER,
    SETTINGS,
    STORE,
)
from photoanimer_async.service.render_queue import RenderQueue
from photoanimer_async.service.renderers import renderer_for
from photoanimer_async.service.rendering import Renderer
from photoanimer_async.service.results import ResultResponse
from photoanimer_async.service.settings import ServiceSettings
from photoanimer_async.service.store import TaskStore
from photoanimer_async.service.tasks import TaskStatus
from photoanimer_async.service.webhooks import Sender, open_sender

if TYPE_CHECKING:  # it needs prometheus_client, which those who do without need not have
    from photoanimer_async.service.metrics import Metrics

_logger = logging.getLogger(__name__)

API_PREFIX: Final = "/api/v1"

_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_DATE: Final = "%Y-%m-%d %H:%M:%S"


def create_app(
    settings: ServiceSettings,
    *,
    renderer: Renderer | None = None,
    faults: FaultInjector | None = None,
    metrics: "Metrics | None" = None,
) -> web.Application:
    """The service as an `aiohttp.web` application.

    Args:
        settings: how it is set up.
        renderer: what makes the videos; the engine in worker processes by default. One that
            is handed in is the caller's to close.
        faults: what goes wrong, for tests; by default nothing does.
        metrics: what counts for Prometheus, if anything does.

    Raises, when the application starts:
        SetupError: the data folder can not be used, the engine is not installed, or the
            service would be open to everybody on the network.
    """
    app = web.Application(middlewares=[envelope_errors])
    if faults is not None:
        app.middlewares.insert(0, faults.middleware)
        app.on_shutdown.append(faults.stop)
    if metrics is not None:
        app.middlewares.insert(0, metrics.middleware)
    app[SETTINGS] = settings
    app[FOLDER] = DataFolder(settings.data_dir)
    # aiohttp would answer HEAD with the GET, and a submit is a GET that does something.
    for path, handler in (
        ("/faceDriven/submitTaskByUrl", _submit),
        ("/faceDriven/getTaskInfo", _get_task_info),
        ("/mySubscription", _my_subscription),
    ):
        app.router.add_get(API_PREFIX + path, handler, allow_head=False)
    app.router.add_get(f"/results/{{name:{RESULT_NAME}}}", _result)
    add_documentation(app, API_PREFIX)
    add_health(app, app)

    async def lifetime(app: web.Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await _start(app, stack, renderer, faults, metrics)
            yield

    app.cleanup_ctx.append(lifetime)
    # While requests under way are still answered, no other render begins.
    app.on_shutdown.append(_stop_rendering)
    return app


async def _start(
    app: web.Application,
    stack: AsyncExitStack,
    renderer: Renderer | None,
    faults: FaultInjector | None,
    metrics: "Metrics | None",
) -> None:
    settings, folder = app[SETTINGS], app[FOLDER]
    await _take(folder, settings, stack)
    database = await stack.enter_async_context(open_database(folder.database))
    admission = await stack.enter_async_context(open_admission(settings.keys, database))
    _require_keys(settings, admission)
    await database.write(
        lambda connection: outbox.set_address(
            connection, OWN_ACCOUNT, settings.notify_url, settings.notify_secret
        )
    )
    store = TaskStore(database, settings.charging)
    await asyncio.to_thread(folder.sweep)
    limits = FetchLimits(
        seconds=settings.fetch_seconds,
        redirects=settings.fetch_redirects,
        at_once=settings.fetches,
    )
    fetcher: FileSource = await stack.enter_async_context(
        open_fetcher(limits, settings.fetch_rules)
    )
    sender: Sender = await stack.enter_async_context(
        open_sender(settings.fetch_rules, at_once=AT_ONCE)
    )
    report: Callable[[Outcome], object] = _ignore
    if renderer is None:
        usual = await asyncio.to_thread(renderer_for, settings)
        renderer = await stack.enter_async_context(usual)
    app[RENDERER] = renderer
    if faults is not None:
        fetcher = faults.fetch_with(fetcher)
        renderer = faults.render_with(renderer)
        sender = faults.send_with(sender)
    if metrics is not None:
        fetcher = metrics.fetch_with(fetcher)
        renderer = metrics.render_with(renderer)
        report = metrics.notified
    notifier = await stack.enter_async_context(
        running_notifier(
            database,
            sender,
            settings.notify_schedule,
            report=report,
            drain_seconds=settings.drain_seconds,
        )
    )
    queue = await stack.enter_async_context(
        RenderQueue(
            store,
            folder,
            renderer,
            notifier.wake,
            workers=settings.workers,
            limit=settings.queue_limit,
            drain_seconds=settings.drain_seconds,
        )
    )
    open_tasks = await store.open_tasks()
    queue.put_again(open_tasks)
    await stack.enter_async_context(running_expiry(settings, store, folder))
    app[DATABASE] = database
    app[STORE] = store
    app[ADMISSION] = admission
    app[QUEUE] = queue
    app[ACCEPTANCE] = Acceptance(settings, fetcher, store, queue)
    _logger.info(
        "event=started data=%s open=%s requeued=%d",
        settings.data_dir,
        admission.is_open,
        len(open_tasks),
    )


def _ignore(_: Outcome) -> None:
    """Count nothing."""


async def _take(folder: DataFolder, settings: ServiceSettings, stack: AsyncExitStack) -> None:
    """Make the folder, and hold its lock."""
    try:
        await asyncio.to_thread(folder.create)
        lock = await asyncio.to_thread(FolderLock, folder.lock)
    except OSError as error:
        raise SetupError(f"{settings.data_dir} can not be used: {error.strerror}") from error
    stack.push_async_callback(asyncio.to_thread, lock.release)


def _require_keys(settings: ServiceSettings, admission: Admission) -> None:
    if admission.is_open and not (settings.is_on_loopback or settings.open_to_network):
        raise SetupError(
            "without keys the service is open to everybody, so that host must be a loopback "
            f"address such as 127.0.0.1, not {settings.host!r}; give somebody a key first "
            "(photoanimer serve keys add NAME), or choose open_to_network (--open-to-network)"
        )


async def _stop_rendering(app: web.Application) -> None:
    app[QUEUE].stop()


async def _submit(request: web.Request) -> web.Response:
    """API page, Interface 1."""
    account = _admit(request)
    submission = parse_submission(request.query)
    try:
        task = await request.app[ACCEPTANCE].accept(submission, account, _origin(request))
    except RequestRefusedError as error:
        stray = set(request.query) - SUBMIT_PARAMETERS
        if error.code is IMAGE_UNREACHABLE and stray:
            raise RequestRefusedError(
                error.code,
                f"{error.message}; the request also has parameters of other names: if they "
                "belong to imageUrl, it has to be percent-encoded",
            ) from error
        raise
    return answer(task.task_id)


async def _get_task_info(request: web.Request) -> web.Response:
    """API page, Interface 3."""
    account = _admit(request)
    task_id = parse_task_id(request.query)
    task = await request.app[STORE].get(task_id)
    if task is None or task.account != account.number:
        raise RequestRefusedError(TASK_UNKNOWN, f"there is no task with taskId {task_id}")
    # Most looks find a task that is pending, which has no links.
    is_finished = task.status is TaskStatus.FINISHED
    return answer(task_info(task, _origin(request) if is_finished else ""))


async def _my_subscription(request: web.Request) -> web.Response:
    """What is left of the account's video seconds; a constant, if it is without limit."""
    account = _admit(request)
    left = await request.app[STORE].balance(account.number)
    now = datetime.now(UTC)
    start = now.replace(day=1, hour=0, minute=0, second=0)
    expire = (start + timedelta(days=32)).replace(day=1)
    balance = {
        "monthBalance": 0.0,
        "imageBalance": 0.0,
        "videoBalance": request.app[SETTINGS].video_balance if left is None else left,
        "monthStartDate": start.strftime(_DATE),
        "monthExpireDate": expire.strftime(_DATE),
    }
    return answer(balance)


async def _result(request: web.Request) -> web.StreamResponse:
    """A video or a GIF, to whoever has its link."""
    path = request.app[FOLDER].result(request.match_info["name"])
    if not await asyncio.to_thread(path.is_file):
        raise RequestRefusedError(NO_SUCH_PATH, "there is no such result")
    return ResultResponse(path, headers={"X-Content-Type-Options": "nosniff"})


def _admit(request: web.Request) -> Account:
    now = asyncio.get_running_loop().time()
    return request.app[ADMISSION].admit(request.headers.get("APIKEY"), now)


def _origin(request: web.Request) -> str:
    """Scheme and host that links start with: the public URL, or where the request came to."""
    public_url = request.app[SETTINGS].public_url
    if public_url is not None:
        return public_url
    if not _HOST.fullmatch(request.host):
        raise RequestRefusedError(
            PARAMETER_INVALID,
            f"the header Host is {shown_argument(request.host)!r}; it has to be a host, "
            "with a port or without",
        )
    return f"{request.scheme}://{request.host}"
