"""The last step of a job: save what a finished task's links lead to.

How it works. A finished task has been paid for, so its result is worth patience: a link that does
not work (HTTP 404 while a store copies the file, an expired signature, a server that is down) is
requested from the service again and again, for some minutes.
"""

import asyncio
import errno
import logging
import time
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
from photoanimer_async.models import Location, OutputFormat, TaskInfo, TaskStatus
from photoanimer_async.photos.shortage import find_shortage
from photoanimer_async.polling.scheduler import PollScheduler
from photoanimer_async.storage.download import UnavailableError, download
from photoanimer_async.storage.result_store import Destination

_LocationT = TypeVar("_LocationT", bound=Location)
_log = logging.getLogger(__name__)

_DOWNLOADS = 16
_DOWNLOAD_SECONDS = 600.0
_PATIENCE_SECONDS = 300.0
_PATIENCE = 4
"""Links are tried so many times as often as the policy allows: 20 times by default."""


class ResultDownloader:
    """Downloads results, a bounded number at a time.

    Args:
        transport: has the session that downloads use.
        scheduler: polls tasks for new links.
        retry: how often, and after which waits, one link is tried; new links of a task are tried
            four times as often, for at most five minutes.
        rng: for jitter.
    """

    def __init__(
        self, transport: Transport, scheduler: PollScheduler, *, retry: RetryPolicy, rng: Random
    ) -> None:
        self._transport = transport
        self._scheduler = scheduler
        self._retry = retry
        self._renewals = evolve(retry, tries=_PATIENCE * retry.tries)
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
            DownloadError: the result is gone, or cannot be written. `task_id` is the task.
        """
        try:
            return await self._save_patiently(info, destination, output_format)
        except PhotoAnimerError as error:
            error.task_id = info.task_id
            raise

    async def _save_patiently(
        self, info: TaskInfo, destination: Destination[_LocationT], output_format: str
    ) -> _LocationT:
        failures = 0
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                async with self._slots:
                    return await self._save_once(info, destination, output_format)
            except DownloadError as error:
                if not _may_pass(error):
                    raise
                # An old link of a resumed batch has expired: a new one is requested at once.
                wait = self._renewals.wait(failures, error, self._rng) if failures else 0.0
                failures += 1
                if failures >= self._renewals.tries or time.monotonic() + wait > deadline:
                    raise
                _log.info("task %s: %s; requesting its link again", info.task_id, error)
            await asyncio.sleep(wait)
            info = await self._renewed(info)

    async def _renewed(self, info: TaskInfo) -> TaskInfo:
        """Return the task with its present link; as it was if it cannot be polled."""
        self._scheduler.notify(info.task_id)
        try:
            return await self._scheduler.wait(info.task_id, timeout=_PATIENCE_SECONDS)
        except PhotoAnimerError as error:
            _log.info("task %s: %s", info.task_id, error)
            return info

    async def _save_once(
        self, info: TaskInfo, destination: Destination[_LocationT], output_format: str
    ) -> _LocationT:
        link, suffix = _link_and_suffix(info, output_format)
        return await download(
            self._transport.session,
            link,
            destination.with_suffix(suffix),
            timeout=_DOWNLOAD_SECONDS,
            retry=self._retry,
        )


def _may_pass(error: DownloadError) -> bool:
    shortage = find_shortage(error)
    if shortage is not None:
        # Files are closed as other jobs end; a disk has to be cleared by the user.
        return isinstance(shortage, OSError) and shortage.errno in {errno.EMFILE, errno.ENFILE}
    return error.expired or isinstance(error, UnavailableError)


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
