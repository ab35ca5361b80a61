"""The same photo twice in one batch, paid for once."""

import asyncio
from collections.abc import Awaitable, Callable

from attrs import evolve

from photoanimer_async.errors import InvalidPhotoError
from photoanimer_async.journal.entries import key_of
from photoanimer_async.models import AnimationRequest, Outcome, Photo
from photoanimer_async.photos import photo_digest

_Run = Callable[[int, AnimationRequest], Awaitable[Outcome]]


class Deduplicated:
    """Runs the first of all requests that are the same; the others share its outcome.

    Requests are the same if the photo's content and the options are. What ended is kept, some
    hundred bytes for each different photo, until the batch is over.

    Args:
        run: does one request.
        digest: what makes two photos the same.
    """

    def __init__(
        self, run: _Run, digest: Callable[[Photo], Awaitable[bytes]] = photo_digest
    ) -> None:
        self._run = run
        self._digest = digest
        self._outcomes: dict[bytes, asyncio.Future[Outcome]] = {}

    async def __call__(self, index: int, request: AnimationRequest) -> Outcome:
        """The outcome for one photo, which is its own or that of an equal one."""
        try:
            key = key_of(await self._digest(request.photo), request.options)
        except InvalidPhotoError as error:
            return Outcome(index, request, error=error)
        first = self._outcomes.get(key)
        if first is not None:
            return evolve(await asyncio.shield(first), index=index, request=request)
        ended = self._outcomes[key] = asyncio.get_running_loop().create_future()
        try:
            outcome = await self._run(index, request)
        except BaseException:
            ended.cancel()
            raise
        # Without the photo, which may be its content.
        ended.set_result(evolve(outcome, request=AnimationRequest("", request.options)))
        return outcome
