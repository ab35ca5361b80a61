"""Removal of expired results, and later of their tasks.

Rows are removed in small batches, so that submits do not wait long for the database. A result's
file is removed before its row changes: after an interruption it is removed again. Then the database
gives back the space of what was deleted, the photos of ended tasks among it.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from photoanimer_async.service.settings import ServiceSettings
from photoanimer_async.service.shortages import log_trouble
from photoanimer_async.service.storing.data_folder import DataFolder
from photoanimer_async.service.storing.database import Database
from photoanimer_async.service.storing.task_store import TaskStore
from photoanimer_async.service.tasks import Task

_logger = logging.getLogger(__name__)
_BATCH: Final = 200


class Expiry:
    """Removes results and tasks that are older than the settings allow, and gives back space."""

    def __init__(
        self, settings: ServiceSettings, database: Database, store: TaskStore, folder: DataFolder
    ) -> None:
        self._settings = settings
        self._database = database
        self._store = store
        self._folder = folder

    async def run(self) -> None:
        """Sweep every `sweep_seconds` until cancelled."""
        while True:
            try:
                await self.sweep(time.time())
            except Exception as error:  # noqa: BLE001 - logged, and tried again
                log_trouble(_logger, error, "event=not_swept")
            await asyncio.sleep(self._settings.sweep_seconds)

    async def sweep(self, now: float) -> None:
        """Remove everything that has expired.

        Args:
            now: seconds since 1970.
        """
        results = tasks = 0
        if (kept := self._settings.keep_results_seconds) is not None:
            while expired := await self._store.with_results_before(int(now - kept), _BATCH):
                await asyncio.to_thread(self._remove_results, expired)
                await self._store.mark_results_removed(expired)
                results += len(expired)
        if (kept := self._settings.keep_tasks_seconds) is not None:
            while removed := await self._store.remove_ended_before(int(now - kept), _BATCH):
                tasks += removed
        if results or tasks:
            _logger.info("event=swept results=%d tasks=%d", results, tasks)
        await self._database.give_back_space()

    def _remove_results(self, tasks: list[Task]) -> None:
        for task in tasks:
            self._folder.remove_results(task)


@asynccontextmanager
async def running_expiry(
    settings: ServiceSettings, database: Database, store: TaskStore, folder: DataFolder
) -> AsyncIterator[None]:
    """Remove expired results and tasks for the duration of the block."""
    sweeping = asyncio.create_task(Expiry(settings, database, store, folder).run())
    try:
        yield
    finally:
        sweeping.cancel()
        await asyncio.wait([sweeping])
