"""The last step of a job: save what a finished task's links lead to."""

import asyncio
from typing import TypeVar

from photoanimer_async.api.transport import Transport
from photoanimer_async.errors import DownloadError, InvalidRequestError, TaskFailedError
from photoanimer_async.models import Location, OutputFormat, TaskInfo, TaskStatus
from photoanimer_async.polling.scheduler import PollScheduler
from photoanimer_async.storage.download import download
from photoanimer_async.storage.result_store import Destination

_LocationT = TypeVar("_LocationT", bound=Location)

_DOWNLOADS = 16
_DOWNLOAD_SECONDS = 600.0


class ResultDownloader:
    """Downloads results, a bounded number at a time.

    Args:
        transport: has the session that downloads use.
        scheduler: asks for a new link when one has expired.
    """

    def __init__(self, transport: Transport, scheduler: PollScheduler) -> None:
        self._transport = transport
        self._scheduler = scheduler
        self._slots = asyncio.Semaphore(_DOWNLOADS)

    async def save(
        self, info: TaskInfo, destination: Destination[_LocationT], output_format: str
    ) -> _LocationT:
        """Save the result of a finished task; ask once for a new link if it has expired.

        Args:
            info: the finished task.
            destination: where to; its suffix becomes that of the result.
            output_format: `mp4`, or `gif` for the GIF if there is one.

        Returns:
            Where the result is.

        Raises:
            TaskFailedError: the task failed.
            InvalidRequestError: the task has no result yet.
            DownloadError: the result is gone, or cannot be written.
        """
        async with self._slots:
            try:
                return await self._save_once(info, destination, output_format)
            except DownloadError as error:
                if not error.expired:
                    raise
            renewed = await self._scheduler.wait(info.task_id)
            return await self._save_once(renewed, destination, output_format)

    async def _save_once(
        self, info: TaskInfo, destination: Destination[_LocationT], output_format: str
    ) -> _LocationT:
        link, suffix = _link_and_suffix(info, output_format)
        return await download(
            self._transport.session,
            link,
            destination.with_suffix(suffix),
            timeout=_DOWNLOAD_SECONDS,
        )


def _link_and_suffix(info: TaskInfo, output_format: str) -> tuple[str, str]:
    if info.gif_url and (output_format == OutputFormat.GIF or not info.result_url):
        return info.gif_url, ".gif"
    if info.result_url:
        return info.result_url, ".mp4"
    if info.status is TaskStatus.FAILED:
        raise TaskFailedError(info)
    raise InvalidRequestError(f"task {info.task_id} has no result yet: wait for it first")
