"""The URLs of photos: a new one for each attempt to submit."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from photoanimer_async.hosting.base import ImageHost, published, with_published_voice
from photoanimer_async.hosting.evidence import evidence_of
from photoanimer_async.models import AnimationOptions, Evidence, Photo


class Publisher:
    """Has an image host publish photos, a bounded number of them at a time.

    Args:
        host: the image host.
        at_once: photos that are being published (checked, uploaded) at the same time, at most.
    """

    def __init__(self, host: ImageHost, at_once: int) -> None:
        self._host = host
        self._slots = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def publications(self, photo: Photo) -> AsyncIterator["Publications"]:
        """The URLs of a photo, all withdrawn at the end of the block.

        Args:
            photo: a path, the content, or a URL, which is published as it is.
        """
        async with AsyncExitStack() as open_ones:
            yield Publications(self._host, photo, self._slots, open_ones)

    @asynccontextmanager
    async def voiced(self, options: AnimationOptions) -> AsyncIterator[AnimationOptions]:
        """The options with a URL in place of a voice that is a file, to the end of the block.

        Raises:
            InvalidPhotoError, HostingError: from the host, on entering.
        """
        async with AsyncExitStack() as stack:
            async with self._slots:
                sent = await stack.enter_async_context(with_published_voice(self._host, options))
            yield sent


class Publications:
    """The URLs that one photo has been given; made by `Publisher.publications`."""

    def __init__(
        self, host: ImageHost, photo: Photo, slots: asyncio.Semaphore, open_ones: AsyncExitStack
    ) -> None:
        self._host = host
        self._photo = photo
        self._slots = slots
        self._open_ones = open_ones

    async def next_url(self) -> str:
        """One more URL. Those before it hold on, so that a host that uploads does so once.

        Raises:
            InvalidPhotoError, HostingError: from the host.
        """
        async with self._slots:
            return await self._open_ones.enter_async_context(published(self._host, self._photo))

    async def evidence(self, url: str, within: float) -> Evidence:
        """What the host has seen of the attempt that carried a URL; see `evidence_of`."""
        return await evidence_of(self._host, url, within)
