"""The service put together: which part is made of which, and who of them is told of what.

The parts are opened when the application starts, each after those that it needs, and closed in
reverse when it has stopped. What goes wrong on purpose and what is counted are put around those
parts that meet the world outside: the fetcher, the renderer, and the sender of notifications.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from photoanimer_async.service.acceptance import Acceptance, FileSource
from photoanimer_async.service.access import AccessControl, open_access_control
from photoanimer_async.service.app_keys import (
    ACCEPTANCE,
    ACCESS,
    DATABASE,
    FOLDER,
    QUEUE,
    RENDERER,
    SETTINGS,
    STORE,
)
from photoanimer_async.service.error_codes import SetupError
from photoanimer_async.service.faults import FaultInjector
from photoanimer_async.service.fetching.fetcher import FetchLimits, open_fetcher
from photoanimer_async.service.notifying.notifier import AT_ONCE, Outcome, running_notifier
from photoanimer_async.service.notifying.webhooks import Sender, open_sender
from photoanimer_async.service.rendering.process_renderer import ProcessRenderer
from photoanimer_async.service.rendering.render_queue import RenderQueue
from photoanimer_async.service.rendering.renderer import Renderer
from photoanimer_async.service.settings import ServiceSettings
from photoanimer_async.service.storing import outbox
from photoanimer_async.service.storing.accounts import OWN_ACCOUNT
from photoanimer_async.service.storing.data_folder import DataFolder, FolderLock
from photoanimer_async.service.storing.database import open_database
from photoanimer_async.service.storing.expiry import running_expiry
from photoanimer_async.service.storing.task_store import TaskStore

if TYPE_CHECKING:  # it needs prometheus_client, which those who do without need not have
    from photoanimer_async.service.http.metrics import Metrics

_logger = logging.getLogger(__name__)


@asynccontextmanager
async def running_parts(
    app: web.Application,
    *,
    renderer: Renderer | None,
    faults: FaultInjector | None,
    metrics: "Metrics | None",
) -> AsyncIterator[None]:
    """Put the parts of a service into its application, where `parts` says how to find them.

    Args:
        app: has `SETTINGS` and `FOLDER`.
        renderer: what makes the videos; by default, what the settings say.
        faults: what goes wrong, if anything does.
        metrics: what counts, if anything does.

    Raises:
        SetupError: the data folder can not be used, the engine is not installed, or the
            service would be open to everybody on the network.
    """
    settings, folder = app[SETTINGS], app[FOLDER]
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        await enter(_taken(folder, settings))
        database = await enter(open_database(folder.database))
        admission = await enter(open_access_control(settings.keys, database))
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
        fetcher: FileSource = await enter(open_fetcher(limits, settings.fetch_rules))
        sender: Sender = await enter(open_sender(settings.fetch_rules, at_once=AT_ONCE))
        report: Callable[[Outcome], object] = _ignore
        if renderer is None:
            renderer = await enter(await asyncio.to_thread(_configured_renderer, settings))
        app[RENDERER] = renderer
        if faults is not None:
            fetcher = faults.wrap_fetcher(fetcher)
            renderer = faults.wrap_renderer(renderer)
            sender = faults.wrap_sender(sender)
        if metrics is not None:
            fetcher = metrics.wrap_fetcher(fetcher)
            renderer = metrics.wrap_renderer(renderer)
            report = metrics.notified
        notifier = await enter(
            running_notifier(
                database,
                sender,
                settings.notify_schedule,
                report=report,
                drain_seconds=settings.drain_seconds,
            )
        )
        queue = await enter(
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
        queue.requeue(open_tasks)
        await enter(running_expiry(settings, store, folder))
        app[DATABASE] = database
        app[STORE] = store
        app[ACCESS] = admission
        app[QUEUE] = queue
        app[ACCEPTANCE] = Acceptance(settings, fetcher, store, queue)
        _logger.info(
            "event=started data=%s open=%s requeued=%d",
            settings.data_dir,
            admission.is_open,
            len(open_tasks),
        )
        yield


async def stop_rendering(app: web.Application) -> None:
    """Begin no other render, while requests under way are still answered."""
    app[QUEUE].stop()


@asynccontextmanager
async def _taken(folder: DataFolder, settings: ServiceSettings) -> AsyncIterator[None]:
    """Make the folder, and hold its lock."""
    try:
        await asyncio.to_thread(folder.create)
        lock = await asyncio.to_thread(FolderLock, folder.lock)
    except OSError as error:
        raise SetupError(f"{settings.data_dir} can not be used: {error.strerror}") from error
    try:
        yield
    finally:
        await asyncio.to_thread(lock.release)


def _configured_renderer(settings: ServiceSettings) -> AbstractAsyncContextManager[Renderer]:
    """Return the renderer that the settings name, to be entered; importing Dask takes a second.

    Raises:
        SetupError: Dask is not installed.
    """
    if settings.dask is None:
        return ProcessRenderer(
            settings.workers,
            render_seconds=settings.render_seconds,
            options=settings.render_options,
            memory=settings.render_memory,
        )
    try:
        from photoanimer_async.service.rendering.dask_renderer import (  # noqa: PLC0415 - an extra
            DaskRenderer,
        )
    except ModuleNotFoundError as error:
        raise SetupError(
            f"rendering on a Dask cluster needs {error.name}, which is not installed: "
            "pip install 'photoanimer-async[dask,local]'"
        ) from error
    return DaskRenderer(
        settings.dask,
        shared=settings.dask_shared,
        render_seconds=settings.render_seconds,
        options=settings.render_options,
        memory=settings.render_memory,
    )


def _require_keys(settings: ServiceSettings, admission: AccessControl) -> None:
    if admission.is_open and not (settings.is_on_loopback or settings.open_to_network):
        raise SetupError(
            "without keys the service is open to everybody, so that host must be a loopback "
            f"address such as 127.0.0.1, not {settings.host!r}; give somebody a key first "
            "(photoanimer serve keys add NAME), or choose open_to_network (--open-to-network)"
        )


def _ignore(_: Outcome) -> None:
    """Count nothing."""
