"""The queue of accepted tasks before the renderer.

A fixed number of consumers take tasks, from one account after another, and of an account in the
order of their acceptance. They render them and store their end; after that the task's notification
may be sent. A task that is interrupted (the
service stops, the process dies) stays open in the database and is queued again at the next
start. Rendering it twice gives the same files under the same names.

A task that its owner cancels has ended in the database before the queue hears of it. It leaves
the queue, or its render is stopped; whoever holds the task then, the queue or a consumer, gives
its place back.

If the disk is full, the database locked, or this machine short of something else, tasks wait:
each is put back and tried again after a pause, until it ends.

The number of open tasks is limited, and every account has its share of the places. A submit
reserves a place before it fetches anything, and releases it if no task comes of it; a task keeps
its place until its end.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from photoanimer_async.service.error_codes import (
    QUEUE_FULL,
    RENDERING_FAILED,
    RenderFailedError,
    RequestRefusedError,
)
from photoanimer_async.service.fair_shares import AccountWeights, FairShares
from photoanimer_async.service.rendering.fair_queue import FairQueue
from photoanimer_async.service.rendering.renderer import (
    Renderer,
    RendererFaultError,
    RenderJob,
)
from photoanimer_async.service.shortages import is_shortage, log_trouble, reason_of
from photoanimer_async.service.storing.data_folder import DataFolder
from photoanimer_async.service.storing.task_store import TaskStore
from photoanimer_async.service.tasks import Task

_logger = logging.getLogger(__name__)
_FIRST_ESTIMATE: Final = 5.0
_WEIGHT_OF_LATEST: Final = 0.2
_COPIES_AT_ONCE: Final = 2
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 10.0


class _CancelledError(Exception):
    """The owner of a task has cancelled it."""


class RenderQueue:
    """Renders accepted tasks. Use it as an async context manager.

    Leaving the context waits for running renders until `drain_seconds` after `stop`, then cancels
    the rest.

    Args:
        store: the tasks.
        folder: where the renderer finds photos and writes results.
        renderer: makes the videos.
        on_end: called with the id of a task whose end is on disk.
        on_failed_work: called with an account and the processor seconds of its failed task.
        weights: the accounts' weights.
        workers: number of tasks that are rendered at the same time.
        limit: the largest number of open tasks.
        drain_seconds: how long running renders may continue after `stop`.
    """

    def __init__(
        self,
        store: TaskStore,
        folder: DataFolder,
        renderer: Renderer,
        on_end: Callable[[int], object],
        *,
        on_failed_work: Callable[[int, float], object],
        weights: AccountWeights,
        workers: int,
        limit: int,
        drain_seconds: float,
    ) -> None:
        self._store = store
        self._folder = folder
        self._renderer = renderer
        self._on_end = on_end
        self._on_failed_work = on_failed_work
        self._workers = workers
        self._drain_seconds = drain_seconds
        self._waiting: FairQueue[Task] = FairQueue(weights.weight)
        self._places = FairShares(limit, weights)
        self._copying = asyncio.Semaphore(_COPIES_AT_ONCE)
        self._rendering = 0
        self._render_seconds = _FIRST_ESTIMATE
        self._consumers: asyncio.Task[None] | None = None
        self._drain_deadline: float | None = None
        self._stopping = asyncio.Event()
        self._shortage: str | None = None
        self._renders: dict[int, asyncio.Timeout] = {}

    async def __aenter__(self) -> Self:
        self._consumers = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        left = self.stop() - asyncio.get_running_loop().time()
        if self._consumers is not None:
            await asyncio.wait([self._consumers], timeout=max(left, 0.0))
            self._consumers.cancel()
            await asyncio.wait([self._consumers])

    @property
    def open_tasks(self) -> int:
        """Number of tasks that have not ended, including those that are being accepted."""
        return self._places.taken

    @property
    def rendering(self) -> int:
        """Number of tasks that are being rendered, or whose end is being stored."""
        return self._rendering

    @property
    def shortage(self) -> str | None:
        """What this machine is short of, so that tasks wait; `None` if no task does."""
        return self._shortage

    @property
    def is_draining(self) -> bool:
        """Whether `stop` was called."""
        return self._drain_deadline is not None

    def reserve(self, account: int) -> None:
        """Reserve a place for a task that is being accepted.

        Raises:
            RequestRefusedError: the number of open tasks is at its limit, or the account's is at
                its share.
        """
        if not self._places.try_take(account):
            own, limit = self._places.taken_by(account), "the limit"
            if not self._places.is_full:
                limit = "the share of this API key"
            raise RequestRefusedError(
                QUEUE_FULL,
                f"{own} tasks of this API key and {self.open_tasks} in all are open, which is "
                f"{limit}; try again later",
                retry_after=self._render_seconds / self._workers,
            )

    def release(self, account: int) -> None:
        """Release a reserved place, because its task was not accepted."""
        self._places.give_back(account)

    def put(self, task: Task) -> None:
        """Queue a stored task that has a reserved place; after `stop` the next start renders it."""
        self._waiting.put(task.account, task)

    def cancel(self, task: Task) -> None:
        """Stop the work on a task whose end is stored, and free its place."""
        if self._waiting.remove(task.account, task):
            self._places.give_back(task.account)
        elif task.task_id in self._renders:
            self._renders[task.task_id].reschedule(asyncio.get_running_loop().time())
        self._on_end(task.task_id)
        _logger.info("task=%d event=cancelled", task.task_id)

    def requeue(self, tasks: Sequence[Task]) -> None:
        """Queue the tasks that were open when the service stopped."""
        for task in tasks:
            self._places.take(task.account)
            self.put(task)

    def stop(self) -> float:
        """Start no more renders; return the loop's time at which running ones are cancelled."""
        if self._drain_deadline is None:
            self._drain_deadline = asyncio.get_running_loop().time() + self._drain_seconds
            _logger.info(
                "event=stopping under_way=%d waiting=%d drain_seconds=%g",
                self._rendering,
                len(self._waiting),
                self._drain_seconds,
            )
            self._stopping.set()
            self._waiting.close()
        return self._drain_deadline

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._consume())

    async def _consume(self) -> None:
        pause = _FIRST_PAUSE
        while (task := await self._waiting.get()) is not None:
            self._rendering += 1
            try:
                await self._process(task)
            except Exception as error:  # noqa: BLE001 - logged; not the photo's fault
                self._log_shortage(task, error)
            else:
                self._places.give_back(task.account)
                self._shortage = None
                pause = _FIRST_PAUSE
                continue
            finally:
                self._rendering -= 1
            await self._remove_inputs(task)  # they may be what takes up the space
            self.put(task)
            await self._rest(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _rest(self, pause: float) -> None:
        """Sleep, but not when the queue stops."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), pause)

    def _log_shortage(self, task: Task, error: Exception) -> None:
        self._shortage = reason_of(error)
        log_trouble(_logger, error, "task=%d event=put_back", task.task_id)

    async def _process(self, task: Task) -> None:
        """Render a task and store its end.

        Raises:
            Exception: something of this machine failed; the task has not ended.
        """
        _logger.debug("task=%d event=rendering", task.task_id)
        began = time.monotonic()
        try:
            seconds = await self._render_until_cancelled(task)
        except _CancelledError:
            self._on_failed_work(task.account, time.monotonic() - began)
            await asyncio.to_thread(self._folder.remove_results, task)
        except RenderFailedError as failure:
            self._on_failed_work(task.account, failure.processor_seconds)
            number, reason = failure.code.number, failure.reason
            await self._store_end(task, lambda: self._store.fail(task, number, reason))
            _logger.info("task=%d event=failed code=%s", task.task_id, failure.code.name)
        else:
            voice_seconds = seconds if task.voice else None
            if await self._store_end(task, lambda: self._store.finish(task, voice_seconds)):
                _logger.info("task=%d event=finished", task.task_id)
            else:  # cancelled meanwhile
                await asyncio.to_thread(self._folder.remove_results, task)
        self._on_end(task.task_id)
        await self._remove_inputs(task)

    async def _remove_inputs(self, task: Task) -> None:
        with suppress(Exception):  # the next start removes what is left
            await asyncio.to_thread(self._folder.remove_inputs, task.task_id)

    async def _store_end(self, task: Task, store: Callable[[], Awaitable[bool]]) -> bool:
        """Store the end of a task, and repeat it while the database cannot, unless stopped.

        Returns:
            Whether the task was open.
        """
        pause = _FIRST_PAUSE
        while True:
            try:
                return await store()
            except sqlite3.Error as error:
                if self.is_draining:
                    raise
                self._log_shortage(task, error)
            await self._rest(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _render_until_cancelled(self, task: Task) -> float | None:
        """Render a task as `_render`, and stop when `cancel` is called.

        Raises:
            _CancelledError: it was.
        """
        scope = asyncio.timeout(None)  # expires when `cancel` reschedules it
        self._renders[task.task_id] = scope
        try:
            async with scope:
                return await self._render(task)
        except TimeoutError:
            if scope.expired():
                raise _CancelledError from None
            raise
        finally:
            del self._renders[task.task_id]

    async def _render(self, task: Task) -> float | None:
        """Render a task and return the length of its video, if the renderer reports it.

        Raises:
            RenderFailedError: the task has failed.
            Exception: something of this machine failed.
        """
        if not await self._write_inputs(task):
            raise RenderFailedError(RENDERING_FAILED, "the photo is lost")
        started = time.monotonic()
        try:
            seconds = await self._renderer.render(self._job(task))
            await asyncio.to_thread(self._folder.sync_results, task)
        except RenderFailedError:
            raise
        except Exception as error:
            if is_shortage(error):
                raise
            _logger.exception("task=%d event=renderer_fault", task.task_id)
            used = error.processor_seconds if isinstance(error, RendererFaultError) else 0.0
            raise RenderFailedError(
                RENDERING_FAILED, "the renderer has a fault", processor_seconds=used
            ) from error
        latest = time.monotonic() - started
        self._render_seconds += _WEIGHT_OF_LATEST * (latest - self._render_seconds)
        return seconds

    async def _write_inputs(self, task: Task) -> bool:
        """Write the task's photo and voice to files; return whether the database has them.

        They are in memory only during this call, not during the render, and for a few tasks at a
        time.
        """
        async with self._copying:
            inputs = await self._store.inputs(task.task_id)
            if inputs is None:
                return False
            await asyncio.to_thread(
                self._folder.write_inputs, task.task_id, inputs.photo, inputs.voice
            )
        return True

    def _job(self, task: Task) -> RenderJob:
        return RenderJob(
            task_id=task.task_id,
            template=task.template,
            photo=self._folder.photo(task.task_id),
            voice=self._folder.voice(task.task_id) if task.voice else None,
            mp4=self._folder.mp4(task),
            gif=self._folder.gif(task) if task.gif else None,
        )
