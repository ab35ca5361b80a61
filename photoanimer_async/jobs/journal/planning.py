"""Finds or makes the journal entries of a batch's photos."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import count

from attrs import evolve

from photoanimer_async.jobs.journal import Entry, Journal, RefusedStepError
from photoanimer_async.models import AnimationRequest, Location, Photo
from photoanimer_async.photos.cancellation import ends_task
from photoanimer_async.photos.check import photo_digest

_AT_ONCE = 64


class Planning:
    """The entries of one batch.

    A batch that is a sequence is planned as a whole before its first submit, so that `resume`
    can finish it after a kill. Photos of an iterator are planned as they are pulled.

    Args:
        journal: an open one.
        folder: the folder or part of an object store where results go; `None` if they are not
            to be downloaded.
        digest: returns what identifies a photo.
    """

    def __init__(
        self,
        journal: Journal,
        folder: Location | None,
        digest: Callable[[Photo], Awaitable[bytes]] = photo_digest,
    ) -> None:
        self._journal = journal
        self._digest = digest
        self._folder = folder
        self._numbers: dict[int, int] = {}

    async def plan_all(self, requests: Sequence[AnimationRequest]) -> None:
        """Plan a whole batch; photos that cannot be read fail in `entry`."""
        for start in range(0, len(requests), _AT_ONCE):
            some = requests[start : start + _AT_ONCE]
            digests = await asyncio.gather(*map(self._digest_or_none, some))
            await self._plan(
                [
                    (index, digest, request)
                    for index, digest, request in zip(count(start), digests, some)
                    if digest is not None
                ]
            )

    async def _plan(self, photos: Sequence[tuple[int, bytes, AnimationRequest]]) -> None:
        try:
            numbers = await self._journal.plan([photo[1:] for photo in photos], self._folder)
        except RefusedStepError:
            # One of them cannot be stored: it fails in `entry`, the others are planned.
            if len(photos) > 1:
                for photo in photos:
                    await self._plan([photo])
            return
        self._numbers |= {photo[0]: number for photo, number in zip(photos, numbers, strict=True)}

    async def entry(self, index: int, request: AnimationRequest) -> Entry:
        """Return the entry of the photo with this index in the batch.

        Raises:
            InvalidPhotoError: the photo cannot be read, or the service would refuse it.
            JournalError: the journal cannot be written.
        """
        number = self._numbers.pop(index, None)
        if number is None:
            digest = await self._digest(request.photo)
            entry = await self._journal.plan_one(digest, request, self._folder)
        else:
            entry = await self._journal.planned(number, request, self._folder)
        return entry if entry.request is request else evolve(entry, request=request)

    async def _digest_or_none(self, request: AnimationRequest) -> bytes | None:
        try:
            return await self._digest(request.photo)
        except BaseException as error:
            if ends_task(error):
                raise
            return None  # `entry` raises it, for this photo alone
