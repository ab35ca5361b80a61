"""Many photos: pulled lazily, a bounded number under way, an outcome as each one ends.

How it works. A photo is pulled when there is a slot for it, and keeps the slot until its
outcome has been taken by the caller. So no more photos are held than `in_flight`, and a
caller who is slow to take outcomes slows the pulling down. A bounded number of photos is being
begun (got ready, submitted), each in a task of its own. One whose task is then under way at
the service is a record, without a coroutine; when that task has ended, another one of ours
finishes the photo (downloads it), again a bounded number at a time. All these tasks are in one
group, which ends with the iteration, however that ends.

How it stops. When the gate closes, nothing more is pulled; what was pulled ends as it can, and
then the reason is raised. When the caller leaves, by a signal or by `break`, the gate closes,
submits under way get some seconds for their answers (else they would be ambiguous), and the
rest is cancelled.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Generic, Protocol, TypeAlias, TypeVar

from photoanimer_async.errors import PhotoAnimerError
from photoanimer_async.jobs.submit_gate import SubmitGate
from photoanimer_async.models import AnimationOptions, AnimationRequest, Outcome, Photo

_T = TypeVar("_T")

ANSWER_SECONDS = 10.0
"""How long submits under way get for their answers when a batch is left."""

_FINISHING = 64

OnEnd: TypeAlias = Callable[["UnderWay"], None]


class UnderWay(Protocol):
    """A photo between its two parts: its task is under way at the service."""

    def watch(self, on_end: OnEnd, /) -> None:
        """Has `on_end` called with this photo, once, when it can be finished."""
        ...

    async def finish(self) -> Outcome:
        """Takes it the rest of its way."""
        ...

    async def abandon(self) -> None:
        """Leaves it where it is, and lets go of what is held for it."""
        ...


Begin: TypeAlias = Callable[[int, _T], Awaitable[Outcome | UnderWay]]
"""Begins the item of this index; gives its outcome if it ended before its task was under way."""


class Batch(Generic[_T]):
    """Runs what is pulled; to be iterated over once.

    Args:
        items: what to do; closed at the end.
        begin: begins one of them.
        in_flight: items held at once, at most.
        beginning: items that are being begun at once, at most.
        gate: every submit of the batch passes it.
    """

    def __init__(
        self,
        items: AsyncGenerator[_T],
        begin: Begin[_T],
        *,
        in_flight: int,
        beginning: int,
        gate: SubmitGate,
    ) -> None:
        self._items = items
        self._begin = begin
        self._gate = gate
        self._slots = asyncio.Semaphore(in_flight)
        self._beginning = asyncio.Semaphore(beginning)
        self._finishing = asyncio.Semaphore(_FINISHING)
        self._under_way: set[UnderWay] = set()
        self._to_finish: asyncio.Queue[UnderWay | None] = asyncio.Queue()
        self._on_end = self._to_finish.put_nowait
        self._held = 1  # the pulling, which may hold more
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
            # Once: a second time would keep it from letting go of what is held for photos.
            if not self._work.cancelling():
                self._work.cancel()
            await asyncio.wait([self._work])

    async def _pull_and_run(self) -> None:
        try:
            async with asyncio.TaskGroup() as photos:
                pulling = photos.create_task(self._pull_into(photos))
                closing = photos.create_task(self._stop_when_closed(pulling))
                pulling.add_done_callback(lambda _: self._one_less())
                while (one := await self._to_finish.get()) is not None:
                    await self._finishing.acquire()
                    photos.create_task(self._finish_one(one))
                closing.cancel()
        except asyncio.CancelledError:
            self._fault = PhotoAnimerError("the batch was stopped before its end")
            raise
        except ExceptionGroup as group:
            self._fault = group.exceptions[0]
        finally:
            for one in list(self._under_way):
                await one.abandon()
            self._ended.put_nowait(None)

    async def _stop_when_closed(self, pulling: "asyncio.Task[None]") -> None:
        await self._gate.closed.wait()
        pulling.cancel()

    async def _pull_into(self, photos: asyncio.TaskGroup) -> None:
        try:
            async with aclosing(self._items) as items:
                index = 0
                await self._room()
                async for item in items:
                    self._held += 1
                    photos.create_task(self._begin_one(index, item))
                    index += 1
                    await self._room()
        except Exception as error:  # noqa: BLE001 - the iterable's own; raised to the caller at the end
            self._fault = error

    async def _room(self) -> None:
        await self._slots.acquire()
        await self._beginning.acquire()

    async def _begin_one(self, index: int, item: _T) -> None:
        begun = await self._begin(index, item)
        self._beginning.release()
        if isinstance(begun, Outcome):
            self._tell(begun)
        else:
            self._under_way.add(begun)
            begun.watch(self._on_end)

    async def _finish_one(self, one: UnderWay) -> None:
        self._under_way.discard(one)
        self._tell(await one.finish())
        self._finishing.release()

    def _tell(self, outcome: Outcome) -> None:
        self._ended.put_nowait(outcome)
        self._one_less()

    def _one_less(self) -> None:
        self._held -= 1
        if self._held == 0:
            self._to_finish.put_nowait(None)


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
