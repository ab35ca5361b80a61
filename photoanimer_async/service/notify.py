"""Telling an address that a task has finished (API page, Interface 2).

The body is the page's. The page says nothing of failures, so none are sent, and nothing of
retries: an answer that is no 2xx, or none at all, is followed by a few more attempts. What is
still to be sent when the service stops is dropped, as a notification is a hint and
getTaskInfo is the truth.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from photoanimer_async.redaction import shown_origin
from photoanimer_async.service.envelope import finished_event
from photoanimer_async.service.tasks import Task

_logger = logging.getLogger(__name__)
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10.0)
_AT_ONCE: Final = 8

RETRY_DELAYS: Final = (1.0, 5.0, 25.0)
"""Seconds between the attempts to deliver one notification."""


class Notifier:
    """Posts notifications to one address; made by `open_notifier`."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._under_way: set[asyncio.Task[None]] = set()

    def announce(self, task: Task) -> None:
        """Start to deliver the news that a task has finished."""
        delivery = asyncio.create_task(self._deliver(task))
        self._under_way.add(delivery)
        delivery.add_done_callback(self._under_way.discard)

    async def stop(self) -> None:
        """Drop what is not delivered yet."""
        dropped = list(self._under_way)
        for delivery in dropped:
            delivery.cancel()
        await asyncio.gather(*dropped, return_exceptions=True)

    async def _deliver(self, task: Task) -> None:
        for delay in (*RETRY_DELAYS, None):
            async with self._places:
                outcome = await self._post(task)
            if outcome is None:
                _logger.info("task=%d event=notified", task.task_id)
                return
            _logger.warning(
                "task=%d event=not_notified host=%s why=%s retry_after=%s",
                task.task_id,
                shown_origin(self._url),
                outcome,
                delay,
            )
            if delay is not None:
                await asyncio.sleep(delay)

    async def _post(self, task: Task) -> str | None:
        """Why the notification was not taken, or `None` if it was."""
        try:
            async with self._session.post(
                self._url, json=finished_event(task), allow_redirects=False
            ) as response:
                return None if response.ok and response.status < 300 else f"http_{response.status}"  # noqa: PLR2004 - 2xx
        except (aiohttp.ClientError, TimeoutError) as error:
            return type(error).__name__


class NobodyToTell:
    """The announcer of a service without an address for notifications."""

    def announce(self, task: Task) -> None:
        """Do nothing."""


@asynccontextmanager
async def open_notifier(url: str | None) -> AsyncIterator[Notifier | NobodyToTell]:
    """What announces finished tasks to `url`, if there is one."""
    if url is None:
        yield NobodyToTell()
        return
    async with aiohttp.ClientSession(
        timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
    ) as session:
        notifier = Notifier(session, url)
        try:
            yield notifier
        finally:
            await notifier.stop()
