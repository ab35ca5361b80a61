"""The first steps of a job: check the photo, or make it fit, and give it a URL for each submit."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import aiohttp
from attrs import evolve, frozen

from photoanimer_async.errors import HostingError
from photoanimer_async.models import AnimationOptions, Evidence, Photo
from photoanimer_async.photos.check import check_photo, inspect_photo, photo_digest
from photoanimer_async.photos.opening import named_in_errors
from photoanimer_async.photos.url_check import check_url
from photoanimer_async.redaction import is_url, shown_photo
from photoanimer_async.storage.image_host import ImageHost, evidence_of

if TYPE_CHECKING:
    from photoanimer_async.photos.preparation import Preparation

_URL_CHECKS = 16


class UrlChecker:
    """Asks the hosts of photo URLs whether the photo is there and fit, a few at a time.

    Args:
        session: returns the session to use.
    """

    def __init__(self, session: Callable[[], aiohttp.ClientSession]) -> None:
        self._session = session
        self._slots = asyncio.Semaphore(_URL_CHECKS)

    async def check(self, url: str) -> None:
        """Send a HEAD request to the URL's host.

        Raises:
            InvalidPhotoError: the photo is not there, or not fit.
            PreparationError: its host does not answer.
        """
        async with self._slots:
            with named_in_errors(url):
                await check_url(self._session(), url)


@frozen
class PhotoPreparer:
    """How the photos of a batch are checked and prepared.

    Attributes:
        preparation: makes photos of this machine fit; `None` to check them only.
        url_checker: checks photos' URLs; `None` to trust them.
    """

    preparation: "Preparation | None" = None
    url_checker: UrlChecker | None = None

    async def prepare(self, photo: Photo, resources: AsyncExitStack) -> Photo:
        """Return the photo as it is to be published.

        Args:
            photo: as it was passed in.
            resources: a prepared copy is kept until these are closed.

        Raises:
            InvalidPhotoError: the service would refuse it.
            PreparationError: it cannot be made fit on this machine, or its host does not answer.
        """
        if isinstance(photo, str) and is_url(photo):
            inspect_photo(photo)
            if self.url_checker is not None:
                await self.url_checker.check(photo)
        elif self.preparation is not None:
            return await resources.enter_async_context(self.preparation.prepared(photo))
        else:
            await check_photo(photo)
        return photo

    async def digest(self, photo: Photo) -> bytes:
        """Return what identifies the photo: a digest of what was passed in, not of a copy.

        Raises:
            InvalidPhotoError: the service would refuse it, or it cannot be made fit.
        """
        return await photo_digest(photo, prepare=self.preparation is not None)


class PhotoPreparers:
    """The preparers of one client, which share their bounds on work at the same time.

    Args:
        session: returns the session for checks of URLs.
    """

    def __init__(self, session: Callable[[], aiohttp.ClientSession]) -> None:
        self._url_checker = UrlChecker(session)
        self._preparation: Preparation | None = None

    def choose(self, *, prepare: bool, check_urls: bool) -> PhotoPreparer:
        """Return the preparer for these options of `PhotoAnimerClient.animate`.

        Raises:
            InvalidRequestError: Pillow, which `prepare` needs, is not installed.
        """
        if prepare and self._preparation is None:
            from photoanimer_async.photos.preparation import (  # noqa: PLC0415 - for `prepare` only
                Preparation,
            )

            self._preparation = Preparation()
        return PhotoPreparer(
            self._preparation if prepare else None, self._url_checker if check_urls else None
        )


class Publisher:
    """Publishes photos and voices by an image host, a bounded number at a time.

    Args:
        host: the image host.
        concurrency: photos being published (checked, uploaded) at the same time, at most.
    """

    def __init__(self, host: ImageHost, concurrency: int) -> None:
        self._host = host
        self._slots = asyncio.Semaphore(concurrency)

    async def publish(
        self, photo: Photo, resources: AsyncExitStack, *, original: Photo | None = None
    ) -> str:
        """Return a URL of the photo: its own if it is one, else a new one from the host.

        A URL that only one submit carries tells, when it is fetched, that this submit arrived.

        Args:
            photo: a path, content or a URL.
            resources: the URL holds until these are closed.
            original: what the photo is a prepared copy of; errors name it.

        Raises:
            InvalidPhotoError, HostingError: from the host.
        """
        if isinstance(photo, str) and is_url(photo):
            return photo
        try:
            async with self._slots:
                return await resources.enter_async_context(self._host.publish(photo))
        except HostingError as error:
            if original is None:
                raise
            text = str(error).replace(shown_photo(photo), shown_photo(original))
            raise HostingError(text) from error

    async def publish_voice(
        self, options: AnimationOptions, resources: AsyncExitStack
    ) -> AnimationOptions:
        """Return the options with a URL in place of a voice that is a file.

        Raises:
            InvalidPhotoError, HostingError: from the host.
        """
        if options.voice is None:
            return options
        async with self._slots:
            url = await resources.enter_async_context(self._host.publish(options.voice))
        return evolve(options, voice=None, voice_url=url)

    async def evidence(self, url: str, within: float) -> Evidence:
        """Return whether the service fetches a URL within so many seconds; see `evidence_of`."""
        return await evidence_of(self._host, url, within)
