"""An account at the service, for the ways that photos take: submit, wait, save, look at a URL."""

import asyncio
from typing import TypeVar

from photoanimer_async.api.calls import Api, Submission
from photoanimer_async.api.transport import Transport
from photoanimer_async.errors import (
    DownloadError,
    InvalidRequestError,
    TaskFailedError,
)
from photoanimer_async.models import Location, OutputFormat, TaskId, TaskInfo, TaskStatus
from photoanimer_async.photos.url_check import check_url
from photoanimer_async.polling.policies import kind_of
from photoanimer_async.polling.scheduler import PollScheduler
from photoanimer_async.storage.download import download
from photoanimer_async.storage.result_store import Destination

_LocationT = TypeVar("_LocationT", bound=Location)

_DOWNLOADS = 16
_URL_CHECKS = 16
_DOWNLOAD_SECONDS = 600.0


class Account:
    """What all calls of one client share.

    Args:
        transport: one connection pool, open as long as the client.
        api: the calls, at their rates.
        scheduler: waits for tasks.
    """

    def __init__(self, transport: Transport, api: Api, scheduler: PollScheduler) -> None:
        self.scheduler = scheduler
        self._transport = transport
        self._api = api
        self._download_slots = asyncio.Semaphore(_DOWNLOADS)
        self._url_checks = asyncio.Semaphore(_URL_CHECKS)

    @property
    def base_url(self) -> str:
        """Where the service is."""
        return self._transport.base_url

    async def submit(self, submission: Submission) -> TaskId:
        """Makes attempts at a submit until it is accepted, as far as they may be made.

        Raises:
            PhotoAnimerError: as `PhotoAnimerClient.submit`, and what the submission raises.
        """
        task_id = await self._api.submit(submission)
        self.scheduler.submitted(task_id, kind_of(submission.options))
        return task_id

    async def save(
        self, info: TaskInfo, destination: Destination[_LocationT], output_format: str
    ) -> _LocationT:
        """Saves the result of a finished task; a link that has expired is asked for again, once.

        Raises:
            PhotoAnimerError: as `PhotoAnimerClient.download`.
        """
        async with self._download_slots:
            try:
                return await self._save_once(info, destination, output_format)
            except DownloadError as error:
                if not error.expired:
                    raise
            again = await self.scheduler.wait(info.task_id)
            return await self._save_once(again, destination, output_format)

    async def check_url(self, url: str) -> None:
        """Has the host of a photo's URL asked if the photo is there, and fit.

        Raises:
            InvalidPhotoError: it is not.
        """
        async with self._url_checks:
            await check_url(self._transport.session, url)

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
