"""Creates the parts of a service, connects them, and closes them.

The parts are opened when the application starts, each after those that it needs, and closed in
reverse order when it has stopped. Scripted faults and metrics wrap the parts that reach outside
the service: the fetcher, the renderer, and the sender of notifications.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web
from attrs import define

from photoanimer_async.photos.cancellation import ThreadStep
from photoanimer_async.redaction import shown_error
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
from photoanimer_async.service.fair_shares import AccountWeights, FairSlots
from photoanimer_async.service.fetching.fetcher import FetchLimits, open_fetcher
from photoanimer_async.service.notifying.notifier import (
    AT_ONCE,
    DeliveryOutcome,
    Notifier,
    running_notifier,
)
from photoanimer_async.service.notifying.webhooks import Sender, open_sender
from photoanimer_async.service.rendering.process_renderer import ProcessRenderer
from photoanimer_async.service.rendering.render_queue import RenderQueue
from photoanimer_async.service.rendering.renderer import Renderer
from photoanimer_async.service.settings import ServiceSettings
from photoanimer_async.service.storing import outbox
from photoanimer_async.service.storing.accounts import OWN_ACCOUNT
from photoanimer_async.service.storing.data_folder import DataFolder, FolderLock
from photoanimer_async.service.storing.database import Database, open_database
from photoanimer_async.service.storing.expiry import running_expiry
from photoanimer_async.service.storing.task_store import TaskStore

if TYPE_CHECKING:  # faults are for tests; prometheus_client is in the extra `local` only
    from photoanimer_async.service.faults import FaultInjector
    from photoanimer_async.service.http.metrics import Metrics

_logger = logging.getLogger(__name__)


@define
class _OuterParts:
    """The parts that reach outside the service."""

    fetcher: FileSource
    renderer: Renderer
    sender: Sender

    def wrap(self, faults: "FaultInjector | None", metrics: "Metrics | None") -> None:
        """Let scripted faults and metrics stand between the service and these parts."""
        if faults is not None:
            self.fetcher = faults.wrap_fetcher(self.fetcher)
            self.renderer = faults.wrap_renderer(self.renderer)
            self.sender = faults.wrap_sender(self.sender)
        if metrics is not None:
            self.fetcher = metrics.wrap_fetcher(self.fetcher)
            self.renderer = metrics.wrap_renderer(self.renderer)


@asynccontextmanager
async def running_parts(
    app: web.Application,
    *,
    renderer: Renderer | None,
    faults: "FaultInjector | None",
    metrics: "Metrics | None",
    on_end: Callable[[int], object] | None,
) -> AsyncIterator[None]:
    """Run the parts of a service; they are in the application under their `app_keys`.

    Args:
        app: an application with `SETTINGS` and `FOLDER`.
        renderer: makes the videos; by default, the one that the settings name.
        faults: scripted faults.
        metrics: metrics for Prometheus.
        on_end: called with the id of a task whose end is on disk.

    Raises:
        SetupError: the data folder cannot be used, the engine is not installed, or the service
            would be open to everybody on the network.
    """
    settings, folder = app[SETTINGS], app[FOLDER]
    async with AsyncExitStack() as stack:
        weights = AccountWeights(settings.weights)
        database, access = await _open_database_and_access(stack, settings, folder, weights)
        store = TaskStore(database, settings.charging, longest_voice=settings.voice_seconds)
        await asyncio.to_thread(folder.sweep)
        outer = await _open_outer_parts(stack, settings, folder, renderer)
        app[RENDERER] = outer.renderer
        outer.wrap(faults, metrics)
        notifier = await stack.enter_async_context(
            running_notifier(
                database,
                outer.sender,
                settings.notify_schedule,
                on_attempt=_ignore if metrics is None else metrics.count_notification,
                drain_seconds=settings.drain_seconds,
            )
        )
        queue = await stack.enter_async_context(
            RenderQueue(
                store,
                folder,
                outer.renderer,
                _on_end(notifier, on_end),
                on_failed_work=access.count_failed_work,
                weights=weights,
                workers=settings.workers,
                limit=settings.queue_limit,
                drain_seconds=settings.drain_seconds,
            )
        )
        open_tasks = await store.open_tasks()
        queue.requeue(open_tasks)
        await stack.enter_async_context(running_expiry(settings, database, store, folder))
        app[DATABASE] = database
        app[STORE] = store
        app[ACCESS] = access
        app[QUEUE] = queue
        downloads = FairSlots(settings.fetches, weights)
        app[ACCEPTANCE] = Acceptance(settings, outer.fetcher, store, queue, downloads)
        _logger.info(
            "event=started data=%s open=%s requeued=%d",
            settings.data_dir,
            access.is_open,
            len(open_tasks),
        )
        yield


def _on_end(notifier: Notifier, also: Callable[[int], object] | None) -> Callable[[int], None]:
    def on_end(task_id: int) -> None:
        notifier.wake()
        if also is not None:
            try:
                also(task_id)
            except Exception as error:  # the fault of the caller, which stops no task
                fault = shown_error(error)
                _logger.warning("task=%d event=on_end_failed", task_id, exc_info=fault)

    return on_end


async def stop_rendering(app: web.Application) -> None:
    """Start no more renders, while open requests are still answered."""
    app[QUEUE].stop()


async def _open_database_and_access(
    stack: AsyncExitStack,
    settings: ServiceSettings,
    folder: DataFolder,
    weights: AccountWeights,
) -> tuple[Database, AccessControl]:
    await stack.enter_async_context(_locked(folder, settings))
    database = await stack.enter_async_context(open_database(folder.database))
    access = await stack.enter_async_context(open_access_control(settings.keys, database, weights))
    if access.is_open and not (settings.is_on_loopback or settings.open_to_network):
        raise SetupError(
            "without keys the service is open to everybody, so host must be a loopback address "
            f"such as 127.0.0.1, not {settings.host!r}; add a key first "
            "(photoanimer serve keys add NAME), or set open_to_network (--open-to-network)"
        )
    await database.write(
        lambda connection: outbox.set_address(
            connection, OWN_ACCOUNT, settings.notify_url, settings.notify_secret
        )
    )
    return database, access


async def _open_outer_parts(
    stack: AsyncExitStack,
    settings: ServiceSettings,
    folder: DataFolder,
    renderer: Renderer | None,
) -> _OuterParts:
    limits = FetchLimits(
        seconds=settings.fetch_seconds,
        redirects=settings.fetch_redirects,
        lookups=settings.fetches,
    )
    fetcher = await stack.enter_async_context(
        open_fetcher(limits, settings.fetch_rules, folder.inputs)
    )
    sender = await stack.enter_async_context(open_sender(settings.fetch_rules, at_once=AT_ONCE))
    if renderer is None:
        chosen = await asyncio.to_thread(_configured_renderer, settings)
        renderer = await stack.enter_async_context(chosen)
    return _OuterParts(fetcher, renderer, sender)


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


@asynccontextmanager
async def _locked(folder: DataFolder, settings: ServiceSettings) -> AsyncIterator[None]:
    """Create the data folder, and hold its lock."""
    lock = FolderLock(folder.lock)
    try:
        try:
            await asyncio.to_thread(folder.create)
            await ThreadStep(asyncio.to_thread(lock.acquire))
        except OSError as error:
            raise SetupError(f"{settings.data_dir} cannot be used: {error.strerror}") from error
        yield
    finally:
        await ThreadStep(asyncio.to_thread(lock.release))


def _ignore(_: DeliveryOutcome) -> None:
    """Count nothing."""
