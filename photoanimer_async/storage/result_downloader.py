"""The result of a finished task, requested under new links while they do not work.

A finished task has been paid for, so its result is worth patience: a link that does not work (HTTP
404 while a store copies the file, an expired signature, a server that is down) is requested from
the service again and again, for some minutes.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

from attrs import evolve

from photoanimer_async.api.retry import RetryPolicy
from photoanimer_async.api.transport import Transport
from photoanimer_async.errors import (
    DownloadError,
    InvalidRequestError,
    PhotoAnimerError,
    TaskFailedError,
)
from photoanimer_async.models import Location, OutputFormat, TaskId, TaskInfo, TaskStatus
from photoanimer_async.storage.download import download
from photoanimer_async.storage.download_errors import may_pass
from photoanimer_async.storage.result_store import Destination

_LocationT = TypeVar("_LocationT", bound=Location)
_log = logging.getLogger(__name__)

PATIENCE_SECONDS = 300.0
"""How long new links of one result are requested."""

_MORE_TRIES = 4
"""New links are requested so many times as often as one is tried: 20 times by default."""
_DOWNLOADS = 16
"""Downloads at once; they share the connections with polls and submits."""
_DOWNLOAD_SECONDS = 600.0
"""For one link with its retries: a result has a few MB."""


class ResultDownloader:
    """Downloads results, a bounded number at a time.

    Args:
        transport: has the session that downloads use.
        poll: polls a task at once, for its present link.
        retry: how often, and after which waits, one link is tried; new links of a task are tried
            four times as often, for at most five minutes.
        rng: for jitter.
    """

    def __init__(
        self,
        transport: Transport,
        poll: Callable[[TaskId], Awaitable[TaskInfo]],
        *,
        retry: RetryPolicy,
        rng: Random,
    ) -> None:
        self._transport = transport
        self._poll = poll
        self._retry = retry
        self._renewals = evolve(retry, tries=_MORE_TRIES * retry.tries)
        self._rng = rng
        self._slots = asyncio.Semaphore(_DOWNLOADS)

    async def save(
        self, info: TaskInfo, destination: Destination[_LocationT], output_format: str
    ) -> _LocationT:
        """Save the result of a finished task; request new links while they do not work.

        Args:
            info: the finished task.
            destination: the target; its suffix becomes that of the result.
            output_format: `mp4`, or `gif` for the GIF if there is one.

        Returns:
            The location of the result.

        Raises:
            TaskFailedError: the task failed.
            InvalidRequestError: the task has no result yet.
            DownloadError: the result is gone, or cannot be written.
        """
        failures = 0
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                link, suffix = _link_and_suffix(info, output_format)
                async with self._slots:
                    return await download(
                        self._transport.session,
                        link,
                        destination,
                        suffix=suffix,
                        timeout=_DOWNLOAD_SECONDS,
                        retry=self._retry,
                    )
            except DownloadError as error:
                if not may_pass(error):
                    raise
                # An old link of a resumed batch has expired: a new one is requested at once.
                wait = self._renewals.wait(failures, error, self._rng) if failures else 0.0
                failures += 1
                if failures >= self._renewals.tries or time.monotonic() + wait > deadline:
                    raise
                _log.info("task %s: %s; requesting its link again", info.task_id, error)
            await asyncio.sleep(wait)
            try:
                info = await self._poll(info.task_id)
            except PhotoAnimerError as error:
                _log.info("task %s: %s", info.task_id, error)  # the link that is known is used on


def _link_and_suffix(info: TaskInfo, output_format: str) -> tuple[str, str]:
    if info.gif_url and (output_format == OutputFormat.GIF or not info.result_url):
        return info.gif_url, ".gif"
    if info.result_url:
        return info.result_url, ".mp4"
    if info.status is TaskStatus.FAILED:
        raise TaskFailedError(info)
    if info.status is TaskStatus.FINISHED:
        text = f"task {info.task_id} has finished, but the service gives no link to its result"
        raise DownloadError(text, expired=True)
    raise InvalidRequestError(f"task {info.task_id} has no result yet: wait for it first")
