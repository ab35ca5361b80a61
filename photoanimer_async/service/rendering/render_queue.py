"""Accepted tasks on their way through the renderer.

A fixed number of consumers take tasks in the order of their acceptance. However a render
ends, the end is in the database before anybody is told. A task that is interrupted (the
service stops, the process dies) stays open there, and is queued again at the next start:
rendering it twice gives the same files under the same names.

There is room for so many open tasks. A submit takes a place before it costs anything, and gives
it back if nothing comes of it; the task keeps it until its end.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

from photoanimer_async.service.error_codes import (
    QUEUE_FULL,
    RENDERING_FAILED,
    RenderFailedError,
    RequestRefusedError,
)
from photoanimer_async.service.rendering.renderer import Renderer, RenderJob
from photoanimer_async.service.storing.data_folder import DataFolder
from photoanimer_async.service.storing.task_store import TaskStore
from photoanimer_async.service.tasks import Task

_logger = logging.getLogger(__name__)
_USUAL_SECONDS: Final = 5.0
_LATEST_SHARE: Final = 0.2


class RenderQueue:
    """Renders tasks. Use as an async context manager.

    Leaving waits for the renders under way until `drain_seconds` after it was stopped, and
    cancels those that take longer.

    Args:
        store: the tasks.
        folder: where the renderer finds photos and puts results.
        renderer: what makes the videos.
        on_end: called when the end of a task is on disk.
        workers: how many tasks are rendered at once.
        limit: how many tasks may be open.
        drain_seconds: how long renders under way are waited for.
    """

    def __init__(
        self,
        store: TaskStore,
        folder: DataFolder,
        renderer: Renderer,
        on_end: Callable[[], object],
        *,
        workers: int,
        limit: int,
        drain_seconds: float,
    ) -> None:
        self._store = store
        self._folder = folder
        self._renderer = renderer
        self._on_end = on_end
        self._workers = workers
        self._limit = limit
        self._drain_seconds = drain_seconds
        self._waiting: asyncio.Queue[Task | None] = asyncio.Queue()
        self._open_tasks = 0
        self._under_way = 0
        self._render_seconds = _USUAL_SECONDS
        self._running: asyncio.Task[None] | None = None
        self._drained_by: float | None = None

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        left = self.stop() - asyncio.get_running_loop().time()
        if self._running is not None:
            await asyncio.wait([self._running], timeout=max(left, 0.0))
            self._running.cancel()
            await asyncio.wait([self._running])

    @property
    def waiting(self) -> int:
        """How many tasks wait for a worker."""
        return 0 if self.is_draining else self._waiting.qsize()

    @property
    def open_tasks(self) -> int:
        """How many tasks are open, with those that are being accepted."""
        return self._open_tasks

    @property
    def is_draining(self) -> bool:
        """Whether it was stopped."""
        return self._drained_by is not None

    def reserve(self) -> None:
        """Take a place for a task that is to be put.

        Raises:
            RequestRefusedError: all places are taken.
        """
        if self._open_tasks >= self._limit:
            raise RequestRefusedError(
                QUEUE_FULL,
                f"{self._open_tasks} tasks are waiting, which is all that there is room for; "
                "try again later",
                retry_after=self._render_seconds / self._workers,
            )
        self._open_tasks += 1

    def release(self) -> None:
        """Give back a place, as no task comes of it."""
        self._open_tasks -= 1

    def put(self, task: Task) -> None:
        """Queue a task that is in the database and has a place."""
        # A task that comes after the stop is rendered after the next start.
        if self._drained_by is None:
            self._waiting.put_nowait(task)

    def requeue(self, tasks: Sequence[Task]) -> None:
        """Queue tasks of an earlier start."""
        self._open_tasks += len(tasks)
        for task in tasks:
            self.put(task)

    def stop(self) -> float:
        """Begin no other task; the loop's time by which those under way are waited for."""
        if self._drained_by is None:
            self._drained_by = asyncio.get_running_loop().time() + self._drain_seconds
            _logger.info(
                "event=stopping under_way=%d waiting=%d drain_seconds=%g",
                self._under_way,
                self._waiting.qsize(),
                self._drain_seconds,
            )
            while not self._waiting.empty():
                self._waiting.get_nowait()
            for _ in range(self._workers):
                self._waiting.put_nowait(None)
        return self._drained_by

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._consume())

    async def _consume(self) -> None:
        while (task := await self._waiting.get()) is not None:
            self._under_way += 1
            try:
                await self._bring_to_end(task)
            except Exception:
                # The database or the disk fails: the task stays open, the others go on.
                _logger.exception("task=%d event=stuck", task.task_id)
            finally:
                self._under_way -= 1
                self._open_tasks -= 1

    async def _bring_to_end(self, task: Task) -> None:
        _logger.debug("task=%d event=rendering", task.task_id)
        failure = await self._render(task)
        if failure is None:
            await self._store.finish(task)
            _logger.info("task=%d event=finished", task.task_id)
        else:
            await self._store.fail(task, failure.code.number, failure.reason)
            _logger.info("task=%d event=failed code=%s", task.task_id, failure.code.name)
        self._on_end()
        await asyncio.to_thread(self._folder.discard_inputs, task.task_id)

    async def _render(self, task: Task) -> RenderFailedError | None:
        if not await self._lay_out(task):
            return RenderFailedError(RENDERING_FAILED, "the photo is lost")
        begun = time.monotonic()
        try:
            await self._renderer.render(self._job(task))
            await asyncio.to_thread(self._folder.sync_results, task)
        except RenderFailedError as failure:
            return failure
        except Exception:
            _logger.exception("task=%d event=renderer_fault", task.task_id)
            return RenderFailedError(RENDERING_FAILED, "the renderer has a fault")
        latest = time.monotonic() - begun
        self._render_seconds += _LATEST_SHARE * (latest - self._render_seconds)
        return None

    async def _lay_out(self, task: Task) -> bool:
        """Put what the task works on where the renderer finds it; whether there was anything."""
        inputs = await self._store.inputs(task.task_id)
        if inputs is None:
            return False
        await asyncio.to_thread(self._folder.lay_out, task.task_id, inputs.photo, inputs.voice)
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
