"""Many photos: pulled lazily, a bounded number under way, an outcome as each one ends.

How it works. A photo is pulled when there is a slot for it, and keeps the slot until its
outcome has been taken by the caller. So no more photos are held than `in_flight`, and a
caller who is slow to take outcomes slows the pulling down. All photos belong to one task
group in one task, which ends with the iteration, however that ends.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from contextlib import aclosing

from photoanimer_async.errors import PhotoAnimerError
from photoanimer_async.models import AnimationOptions, AnimationRequest, Outcome, Photo

Run = Callable[[int, AnimationRequest], Awaitable[Outcome]]
"""Takes the photo with this index the whole way."""


class Batch:
    """Runs requests as they are pulled; to be iterated over once.

    Args:
        requests: what to do; closed at the end.
        run: does one.
        in_flight: photos held at once, at most.
    """

    def __init__(
        self,
        requests: AsyncGenerator[AnimationRequest],
        run: Run,
        *,
        in_flight: int,
    ) -> None:
        self._requests = requests
        self._run = run
        self._slots = asyncio.Semaphore(in_flight)
        self._ended: asyncio.Queue[Outcome | None] = asyncio.Queue()
        self._work: asyncio.Task[None] | None = None
        self._fault: Exception | None = None

    async def outcomes(self) -> AsyncGenerator[Outcome]:
        """The outcomes, in the order in which the photos end.

        An error that the iterable of photos raises ends the pulling; what was already pulled
        goes on to its end, and then the error is raised.
        """
        self._work = asyncio.create_task(self._pull_and_run(), name="photoanimer batch")
        try:
            while (outcome := await self._ended.get()) is not None:
                self._slots.release()
                yield outcome
        finally:
            await self.close()
        if self._fault is not None:
            raise self._fault

    async def close(self) -> None:
        """Cancels what is under way, and returns when it is gone."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])

    async def _pull_and_run(self) -> None:
        try:
            async with asyncio.TaskGroup() as photos:
                await self._pull_into(photos)
        except asyncio.CancelledError:
            self._fault = PhotoAnimerError("the batch was stopped before its end")
            raise
        except ExceptionGroup as group:
            self._fault = group.exceptions[0]
        finally:
            self._ended.put_nowait(None)

    async def _pull_into(self, photos: asyncio.TaskGroup) -> None:
        await self._slots.acquire()
        try:
            async with aclosing(self._requests) as requests:
                index = 0
                async for request in requests:
                    photos.create_task(self._finish(index, request))
                    index += 1
                    await self._slots.acquire()
        except Exception as error:  # noqa: BLE001 - the iterable's own; raised to the caller at the end
            self._fault = error

    async def _finish(self, index: int, request: AnimationRequest) -> None:
        self._ended.put_nowait(await self._run(index, request))


async def requests_of(
    photos: Iterable[Photo | AnimationRequest] | AsyncIterable[Photo | AnimationRequest],
    options: AnimationOptions,
) -> AsyncGenerator[AnimationRequest]:
    """Photos as requests; those that are requests already keep options of their own."""
    if isinstance(photos, AsyncIterable):
        async for photo in photos:
            yield _request(photo, options)
    else:
        for photo in photos:
            yield _request(photo, options)


def _request(photo: Photo | AnimationRequest, options: AnimationOptions) -> AnimationRequest:
    return photo if isinstance(photo, AnimationRequest) else AnimationRequest(photo, options)
