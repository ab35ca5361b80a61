"""Background work that outlives the request that started it."""

import asyncio
import logging
from collections.abc import Coroutine
from types import TracebackType
from typing import Self

_log = logging.getLogger(__name__)


class BackgroundTasks:
    """An owner of asyncio tasks that are cancelled when its block ends.

    Unlike in an `asyncio.TaskGroup`, an exception in one task is logged and affects no other.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def start(self, work: Coroutine[None, None, None], name: str | None = None) -> None:
        """Run a coroutine in a task of its own, which `stop` finds by its name."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._discard)

    async def stop(self, name: str) -> bool:
        """Cancel the task with this name and wait for its end; return whether it was running."""
        named = [task for task in self._tasks if task.get_name() == name]
        for task in named:
            task.cancel()
        if named:
            await asyncio.wait(named)
        return bool(named)

    def _discard(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a background task of the studio failed", exc_info=error)
