"""Many photos: pulled lazily, a bounded number under way, an outcome as each one ends.

How it works. A photo is pulled when there is a slot for it, and keeps the slot until its
outcome has been taken by the caller. So no more photos are held than `in_flight`, and a
caller who is slow to take outcomes slows the pulling down. All photos belong to one task
group in one task, which ends with the iteration, however that ends.

How it stops. When the gate closes, nothing more is pulled; what was pulled ends as it can, and
then the reason is raised. When the caller leaves, by a signal or by `break`, the gate closes,
submits under way get some seconds for their answers (else they would be ambiguous), and the
rest is cancelled.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Generic, TypeVar

from photoanimer_async.errors import PhotoAnimerError
from photoanimer_async.models import AnimationOptions, AnimationRequest, Outcome, Photo
from photoanimer_async.submit_gate import SubmitGate

_T = TypeVar("_T")

ANSWER_SECONDS = 10.0
"""How long submits under way get for their answers when a batch is left."""


class Batch(Generic[_T]):
    """Runs what is pulled; to be iterated over once.

    Args:
        items: what to do; closed at the end.
        run: takes the item of this index the whole way.
        in_flight: items held at once, at most.
        gate: every submit of the batch passes it.
    """

    def __init__(
        self,
        items: AsyncGenerator[_T],
        run: Callable[[int, _T], Awaitable[Outcome]],
        *,
        in_flight: int,
        gate: SubmitGate,
    ) -> None:
        self._items = items
        self._run = run
        self._gate = gate
        self._slots = asyncio.Semaphore(in_flight)
        self._ended: asyncio.Queue[Outcome | None] = asyncio.Queue()
        self._work: asyncio.Task[None] | None = None
        self._fault: Exception | None = None

    async def outcomes(self) -> AsyncGenerator[Outcome]:
        """The outcomes, in the order in which the photos end.

        An error that the iterable of photos raises, or a reason that stops all submits, ends
        the pulling; what was already pulled goes on to its end, and then the error is raised.
        """
        self._work = asyncio.create_task(self._pull_and_run(), name="photoanimer batch")
        try:
            while (outcome := await self._ended.get()) is not None:
                self._slots.release()
                yield outcome
        finally:
            await self.close()
        fault = self._fault or self._gate.reason
        if fault is not None:
            raise fault

    async def close(self) -> None:
        """Ends it as far as submits under way allow, and returns when all is gone."""
        if self._work is None:
            return
        self._gate.close()
        try:
            await self._gate.settled(ANSWER_SECONDS)
        finally:
            self._work.cancel()
            await asyncio.wait([self._work])

    async def _pull_and_run(self) -> None:
        try:
            async with asyncio.TaskGroup() as photos:
                pulling = photos.create_task(self._pull_into(photos))
                closing = photos.create_task(self._stop_when_closed(pulling))
                await asyncio.wait([pulling])
                closing.cancel()
        except asyncio.CancelledError:
            self._fault = PhotoAnimerError("the batch was stopped before its end")
            raise
        except ExceptionGroup as group:
            self._fault = group.exceptions[0]
        finally:
            self._ended.put_nowait(None)

    async def _stop_when_closed(self, pulling: "asyncio.Task[None]") -> None:
        await self._gate.closed.wait()
        pulling.cancel()

    async def _pull_into(self, photos: asyncio.TaskGroup) -> None:
        await self._slots.acquire()
        try:
            async with aclosing(self._items) as items:
                index = 0
                async for item in items:
                    photos.create_task(self._finish(index, item))
                    index += 1
                    await self._slots.acquire()
        except Exception as error:  # noqa: BLE001 - the iterable's own; raised to the caller at the end
            self._fault = error

    async def _finish(self, index: int, item: _T) -> None:
        self._ended.put_nowait(await self._run(index, item))


async def requests_of(
    photos: Iterable[Photo | AnimationRequest] | AsyncIterable[Photo | AnimationRequest],
    options: AnimationOptions,
) -> AsyncGenerator[AnimationRequest]:
    """Photos as requests; those that are requests already keep options of their own."""
    if isinstance(photos, AsyncIterable):
        async for photo in photos:
            yield request_of(photo, options)
    else:
        for photo in photos:
            yield request_of(photo, options)


def request_of(photo: Photo | AnimationRequest, options: AnimationOptions) -> AnimationRequest:
    """A photo as a request, with these options if it has none of its own."""
    return photo if isinstance(photo, AnimationRequest) else AnimationRequest(photo, options)
