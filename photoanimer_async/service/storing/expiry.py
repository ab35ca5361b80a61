"""Removing what has expired: results first, tasks later.

A little at a time, so that submits never wait long for the database, and files before the row
that names them: what is interrupted is done again.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from photoanimer_async.service.settings import ServiceSettings
from photoanimer_async.service.storing.data_folder import DataFolder
from photoanimer_async.service.storing.task_store import TaskStore
from photoanimer_async.service.tasks import Task

_logger = logging.getLogger(__name__)
_AT_ONCE: Final = 200


class Expiry:
    """Removes results and tasks when their time has come."""

    def __init__(self, settings: ServiceSettings, store: TaskStore, folder: DataFolder) -> None:
        self._settings = settings
        self._store = store
        self._folder = folder

    async def run(self) -> None:
        """Sweep again and again, for ever."""
        while True:
            try:
                await self.sweep(time.time())
            except (OSError, sqlite3.Error):
                _logger.exception("event=not_swept")
            await asyncio.sleep(self._settings.sweep_seconds)

    async def sweep(self, now: float) -> None:
        """Remove everything that has expired.

        Args:
            now: seconds since 1970.
        """
        results = tasks = 0
        if (kept := self._settings.keep_results_seconds) is not None:
            while old := await self._store.with_old_results(int(now - kept), _AT_ONCE):
                await asyncio.to_thread(self._discard, old)
                await self._store.forget_results(old)
                results += len(old)
        if (kept := self._settings.keep_tasks_seconds) is not None:
            while forgotten := await self._store.forget_tasks(int(now - kept), _AT_ONCE):
                tasks += forgotten
        if results or tasks:
            _logger.info("event=swept results=%d tasks=%d", results, tasks)

    def _discard(self, tasks: list[Task]) -> None:
        for task in tasks:
            self._folder.discard_results(task)


@asynccontextmanager
async def running_expiry(
    settings: ServiceSettings, store: TaskStore, folder: DataFolder
) -> AsyncIterator[None]:
    """Sweeps for as long as the block lasts."""
    sweeping = asyncio.create_task(Expiry(settings, store, folder).run())
    try:
        yield
    finally:
        sweeping.cancel()
        await asyncio.wait([sweeping])
