"""The second step of a job: give a local photo a URL, a new one for each submit."""

import asyncio
from contextlib import AsyncExitStack

from attrs import evolve

from photoanimer_async.errors import HostingError
from photoanimer_async.models import AnimationOptions, Evidence, Photo
from photoanimer_async.redaction import is_url, shown_photo
from photoanimer_async.storage.image_host import ImageHost, evidence_of


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
