"""The URLs of photos: a new one for each attempt to submit."""

import asyncio

from attrs import evolve

from photoanimer_async.jobs.resources import Holdings
from photoanimer_async.models import AnimationOptions, Evidence, Photo
from photoanimer_async.storage.image_host import ImageHost, evidence_of, published


class Publisher:
    """Has an image host publish photos, a bounded number of them at a time.

    Args:
        host: the image host.
        at_once: photos that are being published (checked, uploaded) at the same time, at most.
    """

    def __init__(self, host: ImageHost, at_once: int) -> None:
        self._host = host
        self._slots = asyncio.Semaphore(at_once)

    def publications(self, photo: Photo, held: Holdings) -> "Publications":
        """The URLs of a photo.

        Args:
            photo: a path, the content, or a URL, which is published as it is.
            held: as long as this is, the URLs hold.
        """
        return Publications(self._host, photo, self._slots, held)

    async def voiced(self, options: AnimationOptions, held: Holdings) -> AnimationOptions:
        """The options with a URL in place of a voice that is a file.

        Args:
            options: how to animate.
            held: as long as this is, the URL holds.

        Raises:
            InvalidPhotoError, HostingError: from the host.
        """
        if options.voice is None:
            return options
        async with self._slots:
            url = await held.enter(self._host.publish(options.voice))
        return evolve(options, voice=None, voice_url=url)


class Publications:
    """The URLs that one photo has been given; made by `Publisher.publications`."""

    def __init__(
        self, host: ImageHost, photo: Photo, slots: asyncio.Semaphore, held: Holdings
    ) -> None:
        self._host = host
        self._photo = photo
        self._slots = slots
        self._held = held

    async def next_url(self) -> str:
        """One more URL. Those before it hold on, so that a host that uploads does so once.

        Raises:
            InvalidPhotoError, HostingError: from the host.
        """
        async with self._slots:
            return await self._held.enter(published(self._host, self._photo))

    async def evidence(self, url: str, within: float) -> Evidence:
        """What the host has seen of the attempt that carried a URL; see `evidence_of`."""
        return await evidence_of(self._host, url, within)
