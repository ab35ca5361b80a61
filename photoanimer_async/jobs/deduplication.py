"""The same photo twice in one batch, paid for once."""

import asyncio
from collections.abc import Awaitable, Callable

from attrs import evolve

from photoanimer_async.jobs.batch import RunJob
from photoanimer_async.jobs.journal.entries import key_of
from photoanimer_async.models import AnimationRequest, Outcome, Photo
from photoanimer_async.photos.cancellation import ends_task


class Deduplicated:
    """Runs the first of equal requests; the others wait for its outcome and share it.

    Requests are equal if the photo's content and the options are. Outcomes are kept until the
    batch is over, some hundred bytes for each different photo.

    Args:
        run_job: runs the job of one request.
        digest: returns what identifies a photo.
        failed: returns the outcome of a request whose photo's digest failed with an error.
    """

    def __init__(
        self,
        run_job: RunJob[AnimationRequest],
        digest: Callable[[Photo], Awaitable[bytes]],
        failed: Callable[[int, AnimationRequest, BaseException], Awaitable[Outcome]],
    ) -> None:
        self._run_job = run_job
        self._digest = digest
        self._failed = failed
        self._outcomes: dict[bytes, asyncio.Future[Outcome]] = {}

    async def __call__(self, index: int, request: AnimationRequest) -> Outcome:
        """Return the outcome of one request, its own or that of an equal one."""
        try:
            key = key_of(await self._digest(request.photo), request.options)
        except BaseException as error:
            if ends_task(error):
                raise
            return await self._failed(index, request, error)
        first = self._outcomes.get(key)
        if first is not None:
            return evolve(await asyncio.shield(first), index=index, request=request)
        first = self._outcomes[key] = asyncio.get_running_loop().create_future()
        try:
            outcome = await self._run_job(index, request)
        except BaseException:
            first.cancel()
            raise
        # Without the photo, which may be its content.
        first.set_result(evolve(outcome, request=AnimationRequest("", request.options)))
        return outcome
