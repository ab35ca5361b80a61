"""From requests to entries of a journal."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import count

from attrs import evolve

from photoanimer_async.errors import InvalidPhotoError
from photoanimer_async.jobs.journal import Entry, Journal
from photoanimer_async.models import AnimationRequest, Location, Photo
from photoanimer_async.photos.check import photo_digest

_AT_ONCE = 64


class Planning:
    """Finds each photo's entry in a journal, or makes it.

    Photos that are all there beforehand are planned before the first is submitted: so the
    journal alone is enough to go on after a kill. Those that come one by one are planned as
    they come.

    Args:
        journal: an open one.
        folder: the folder or part of an object store where results go; `None` if they are not
            to be downloaded.
        digest: what makes two photos the same.
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
        """Plans a whole batch; photos that can not be read are left for `entry` to tell."""
        for start in range(0, len(requests), _AT_ONCE):
            some = requests[start : start + _AT_ONCE]
            digests = await asyncio.gather(*map(self._digest_or_none, some))
            sound = [
                (index, digest, request)
                for index, digest, request in zip(count(start), digests, some)
                if digest is not None
            ]
            numbers = await self._journal.plan([item[1:] for item in sound], self._folder)
            self._numbers |= {item[0]: number for item, number in zip(sound, numbers, strict=True)}

    async def entry(self, index: int, request: AnimationRequest) -> Entry:
        """The entry of the photo in this place of the batch.

        Raises:
            InvalidPhotoError: the photo can not be read, or the service would refuse it.
            JournalError: the journal can not be written.
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
        except InvalidPhotoError:
            return None
