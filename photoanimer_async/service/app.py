"""The `aiohttp.web` application: the API page's interfaces, `mySubscription`, and result files.

Paths and parameters are those of the API page, under `/api/v1`. `assembly` creates the parts that
the handlers use when the application starts.
"""

import asyncio
import functools
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from aiohttp import web

from photoanimer_async.service.api_path import API_PREFIX
from photoanimer_async.service.app_keys import ACCEPTANCE, ACCESS, FOLDER, QUEUE, SETTINGS, STORE
from photoanimer_async.service.assembly import running_parts, stop_rendering
from photoanimer_async.service.error_codes import (
    API_KEY,
    IMAGE_UNREACHABLE,
    NO_SUCH_PATH,
    PARAMETER_INVALID,
    TASK_UNKNOWN,
    RequestRefusedError,
)
from photoanimer_async.service.http.browser_guard import CrossOriginAccess, own_hosts_only
from photoanimer_async.service.http.documentation import add_documentation
from photoanimer_async.service.http.envelope import task_info
from photoanimer_async.service.http.health import HEALTH, HealthCheck, add_health
from photoanimer_async.service.http.parameters import (
    SIGNED_PARAMETERS,
    SUBMIT_PARAMETERS,
    parse_submission,
    parse_task_id,
    shown_argument,
)
from photoanimer_async.service.http.responses import answer, envelope_errors
from photoanimer_async.service.http.result_files import ResultResponse
from photoanimer_async.service.rendering.renderer import Renderer
from photoanimer_async.service.settings import ServiceSettings
from photoanimer_async.service.storing.accounts import Account
from photoanimer_async.service.storing.data_folder import RESULT_NAME, DataFolder
from photoanimer_async.service.tasks import Task, TaskStatus

if TYPE_CHECKING:  # faults are for tests; prometheus_client is in the extra `local` only
    from photoanimer_async.service.faults import FaultInjector
    from photoanimer_async.service.http.metrics import Metrics

_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_NO_SIGNATURES: Final = (
    "signed requests (uid, signExpireTime, sign) are not offered: a signature can only be checked "
    "with the key itself, and this service keeps no keys, only their digests; send the key in the "
    "header APIKEY"
)
_DATE: Final = "%Y-%m-%d %H:%M:%S"


def create_app(
    settings: ServiceSettings,
    *,
    renderer: Renderer | None = None,
    faults: "FaultInjector | None" = None,
    metrics: "Metrics | None" = None,
    on_end: Callable[[int], object] | None = None,
) -> web.Application:
    """Return the service as an `aiohttp.web` application.

    Args:
        settings: the settings of the service.
        renderer: makes the videos; by default, the engine in worker processes. A renderer that
            is passed in is not closed.
        faults: scripted faults, for tests; by default none.
        metrics: metrics for Prometheus; by default none.
        on_end: called with the id of each task that has ended, once that is on disk.

    Raises, when the application starts:
        SetupError: the data folder cannot be used, the engine is not installed, or the service
            would be open to everybody on the network.
    """
    own_hosts = own_hosts_only(_has_no_keys, settings.public_url)
    app = web.Application(
        middlewares=[envelope_errors(own_hosts if settings.is_on_loopback else None)]
    )
    CrossOriginAccess(settings.allow_origins).add_to(app)
    if faults is not None:
        app.middlewares.insert(0, faults.middleware)
        app.on_shutdown.append(faults.stop)
    if metrics is not None:
        app.middlewares.insert(0, metrics.middleware)
    app[SETTINGS] = settings
    app[FOLDER] = DataFolder(settings.data_dir)
    interfaces = _Interfaces(app)
    for method, path, handler in (
        ("GET", "/faceDriven/submitTaskByUrl", interfaces.submit),
        ("GET", "/faceDriven/getTaskInfo", interfaces.get_task_info),
        ("POST", "/faceDriven/cancelTask", interfaces.cancel_task),
        ("GET", "/mySubscription", interfaces.my_subscription),
    ):
        app.router.add_route(method, API_PREFIX + path, handler)
        # Some callers join a base URL and a path with two slashes, or append one.
        app.router.add_route(method, _with_any_slashes(API_PREFIX + path), handler)
    app.router.add_get(f"/results/{{name:{RESULT_NAME}}}", interfaces.result)
    add_documentation(app, API_PREFIX)
    app[HEALTH] = HealthCheck(app)
    add_health(app, app)
    app.cleanup_ctx.append(
        functools.partial(
            running_parts, renderer=renderer, faults=faults, metrics=metrics, on_end=on_end
        )
    )
    app.cleanup_ctx.append(app[HEALTH].running)
    app.on_shutdown.append(stop_rendering)
    return app


class _Interfaces:
    """The handlers of one application.

    They know it, since finding it by `request.app` costs a poll a noticeable part of its time.
    """

    def __init__(self, app: web.Application) -> None:
        self._app = app

    async def submit(self, request: web.Request) -> web.Response:
        """API page, Interface 1."""
        account = await self._authorize(request)
        submission = parse_submission(request.query)
        try:
            task = await self._app[ACCEPTANCE].accept(
                submission, account, self._own_origin(request)
            )
        except RequestRefusedError as error:
            if error.code is IMAGE_UNREACHABLE and set(request.query) - SUBMIT_PARAMETERS:
                raise RequestRefusedError(
                    error.code,
                    f"{error.message}; the request also has parameters of other names: if they "
                    "belong to imageUrl, it has to be percent-encoded",
                ) from error
            raise
        return answer(task.task_id)

    async def get_task_info(self, request: web.Request) -> web.Response:
        """API page, Interface 3."""
        return self._task_answer(request, await self._own_task(request))

    async def cancel_task(self, request: web.Request) -> web.Response:
        """Cancel a task, and return its state, as getTaskInfo does; the API page has no such thing.

        A task that has ended stays as it is, so that the request can be repeated.
        """
        task = await self._own_task(request)
        if await self._app[STORE].cancel(task):
            self._app[QUEUE].cancel(task)
        return self._task_answer(request, await self._app[STORE].get(task.task_id) or task)

    async def _own_task(self, request: web.Request) -> Task:
        account = await self._authorize(request)
        task_id = parse_task_id(request.query)
        task = await self._app[STORE].get(task_id)
        if task is None or task.account != account.number:
            raise RequestRefusedError(TASK_UNKNOWN, f"there is no task with taskId {task_id}")
        return task

    def _task_answer(self, request: web.Request, task: Task) -> web.Response:
        # Most polls find a task still processing, which has no links and so needs no origin.
        is_finished = task.status is TaskStatus.FINISHED
        return answer(task_info(task, self._origin(request) if is_finished else ""))

    async def my_subscription(self, request: web.Request) -> web.Response:
        """Return the account's balance; for an account without limit, a constant."""
        account = await self._authorize(request)
        left = await self._app[STORE].balance(account.number)
        now = datetime.now(UTC)
        start = now.replace(day=1, hour=0, minute=0, second=0)
        expire = (start + timedelta(days=32)).replace(day=1)
        balance = {
            "monthBalance": 0.0,
            "imageBalance": 0.0,
            "videoBalance": self._app[SETTINGS].video_balance if left is None else left,
            "monthStartDate": start.strftime(_DATE),
            "monthExpireDate": expire.strftime(_DATE),
        }
        return answer(balance)

    async def result(self, request: web.Request) -> web.StreamResponse:
        """Return a video or a GIF; its link is all that is needed."""
        path = self._app[FOLDER].result(request.match_info["name"])
        if not await asyncio.to_thread(path.is_file):
            raise RequestRefusedError(NO_SUCH_PATH, "there is no such result")
        return ResultResponse(path, headers={"X-Content-Type-Options": "nosniff"})

    async def _authorize(self, request: web.Request) -> Account:
        keys = request.headers.getall("APIKEY", [])
        key = keys[0].strip() if keys else None
        if len(keys) > 1 and any(other.strip() != key for other in keys):
            raise RequestRefusedError(API_KEY, "the header APIKEY is given with different values")
        if not key and SIGNED_PARAMETERS & request.query.keys():
            raise RequestRefusedError(API_KEY, _NO_SIGNATURES)
        return await self._app[ACCESS].authorize(key)

    def _own_origin(self, request: web.Request) -> str:
        """Return scheme and host for links in notifications: the public URL, or our own address.

        A caller chooses the Host of a request, and must not choose where others follow a link to.
        """
        settings = self._app[SETTINGS]
        if settings.public_url is not None:
            return settings.public_url
        address = (
            None if request.transport is None else request.transport.get_extra_info("sockname")
        )
        host, port, *_ = address or (settings.host, settings.port)
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def _origin(self, request: web.Request) -> str:
        """Return scheme and host for links in an answer: of the public URL or the request."""
        public_url = self._app[SETTINGS].public_url
        if public_url is not None:
            return public_url
        if not _HOST.fullmatch(request.host):
            raise RequestRefusedError(
                PARAMETER_INVALID,
                f"the header Host is {shown_argument(request.host)!r}; it must be a host, "
                "with or without a port",
            )
        return f"{request.scheme}://{request.host}"


def _with_any_slashes(path: str) -> str:
    """Return the pattern of a path with more slashes between its parts or at its end."""
    parts = path.removeprefix("/").split("/")
    slashed = "".join(f"/{{_{number}:/*}}{part}" for number, part in enumerate(parts))
    return f"{slashed}{{_:/*}}"


def _has_no_keys(request: web.Request) -> bool:
    return request.app[ACCESS].is_open
