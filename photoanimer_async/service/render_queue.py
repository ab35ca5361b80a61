"""Accepted tasks on their way through the renderer.

A fixed number of consumers take tasks in the order of their acceptance. However a render
ends, the end is in the database before anybody is told. A task that is interrupted (the
service stops, the process dies) stays open there, and is queued again at the next start:
rendering it twice gives the same files under the same names.
"""

import asyncio
import logging
from types import TracebackType
from typing import Protocol, Self

from photoanimer_async.service.errors import RENDERING_FAILED, RenderFailedError
from photoanimer_async.service.folder import DataFolder
from photoanimer_async.service.rendering import Renderer, RenderJob
from photoanimer_async.service.store import TaskStore
from photoanimer_async.service.tasks import Task

_logger = logging.getLogger(__name__)


class Announcer(Protocol):
    """Is told of every task that has finished."""

    def announce(self, task: Task) -> None:
        """Take note, without waiting for anybody."""
        ...


class RenderQueue:
    """Renders tasks, `workers` at a time. Use as an async context manager."""

    def __init__(
        self,
        store: TaskStore,
        folder: DataFolder,
        renderer: Renderer,
        announcer: Announcer,
        workers: int,
    ) -> None:
        self._store = store
        self._folder = folder
        self._renderer = renderer
        self._announcer = announcer
        self._workers = workers
        self._tasks: asyncio.Queue[Task] = asyncio.Queue()
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    def put(self, task: Task) -> None:
        """Queue a task that is in the database."""
        self._tasks.put_nowait(task)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._consume())

    async def _consume(self) -> None:
        while True:
            task = await self._tasks.get()
            try:
                await self._bring_to_end(task)
            except Exception:
                # The database or the disk fails: the task stays open, the others go on.
                _logger.exception("task=%d event=stuck", task.task_id)

    async def _bring_to_end(self, task: Task) -> None:
        _logger.debug("task=%d event=rendering", task.task_id)
        failure = await self._render(task)
        if failure is None:
            await self._store.finish(task.task_id)
            _logger.info("task=%d event=finished", task.task_id)
            self._announcer.announce(task)
        else:
            await self._store.fail(task.task_id, failure.code.number, failure.reason)
            _logger.info("task=%d event=failed code=%s", task.task_id, failure.code.name)
        await asyncio.to_thread(self._folder.discard_inputs, task.task_id)

    async def _render(self, task: Task) -> RenderFailedError | None:
        try:
            await self._renderer.render(self._job(task))
        except RenderFailedError as failure:
            return failure
        except Exception:
            _logger.exception("task=%d event=renderer_fault", task.task_id)
            return RenderFailedError(RENDERING_FAILED, "the renderer has a fault")
        return None

    def _job(self, task: Task) -> RenderJob:
        return RenderJob(
            task_id=task.task_id,
            template=task.template,
            photo=self._folder.photo(task.task_id),
            voice=self._folder.voice(task.task_id) if task.voice else None,
            mp4=self._folder.mp4(task),
            gif=self._folder.gif(task) if task.gif else None,
        )
