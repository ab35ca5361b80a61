"""Many jobs: pulled lazily, a bounded number in flight, an outcome as each one ends.

An item is pulled when a slot is free, and keeps the slot until the caller has taken its
outcome. So no more than `in_flight` items are held, and a caller that is slow to take outcomes
slows the pulling down. Each job is a task in one `TaskGroup`, which ends with the iteration.

When the gate closes, nothing more is pulled; jobs in flight end as they can, and then the
gate's reason is raised. When the caller leaves the iteration, by cancellation or by `break`, the
gate closes, submits get `ANSWER_SECONDS` for their answers (otherwise they would be ambiguous),
and all other work is cancelled.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Generic, TypeAlias, TypeVar

from photoanimer_async.errors import PhotoAnimerError
from photoanimer_async.jobs.job import SubmitGate
from photoanimer_async.models import AnimationOptions, AnimationRequest, Outcome, Photo
from photoanimer_async.photos.cancellation import ThreadStep, ends_task

_T = TypeVar("_T")

ANSWER_SECONDS = 10.0
"""Seconds that submits get for their answers when a batch or a client is closed."""

RunJob: TypeAlias = Callable[[int, _T], Awaitable[Outcome]]
"""Runs the job for an item, given with its index, from start to end."""


class Batch(Generic[_T]):
    """One run over many items; iterate over `outcomes` once.

    Args:
        items: what to run jobs for; closed at the end.
        run_job: runs the job for one item.
        in_flight: items held at once, at most.
        gate: every submit of the batch passes it.
    """

    def __init__(
        self,
        items: AsyncGenerator[_T],
        run_job: RunJob[_T],
        *,
        in_flight: int,
        gate: SubmitGate,
    ) -> None:
        self._items = items
        self._run_job = run_job
        self._gate = gate
        self._slots = asyncio.Semaphore(in_flight)
        self._ended: asyncio.Queue[Outcome | None] = asyncio.Queue()
        self._work: asyncio.Task[None] | None = None
        self._fault: Exception | None = None

    async def outcomes(self) -> AsyncGenerator[Outcome]:
        """Yield the outcomes, in the order in which the jobs end.

        Raises:
            Exception: what the iterable of items raised, or the gate's reason, after the
                outcomes of all jobs that were in flight.
        """
        self._work = asyncio.create_task(self._run_all(), name="photoanimer batch")
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
        """Stop submitting, wait for the answers of open submits, and cancel all other work."""
        if self._work is None:
            return
        self._gate.close()
        try:
            await self._gate.drained(ANSWER_SECONDS)
        finally:
            # Only once: a second cancellation would interrupt the jobs' clean-up.
            if not self._work.cancelling():
                self._work.cancel()
            await ThreadStep(asyncio.wait([self._work]))

    async def _run_all(self) -> None:
        try:
            async with asyncio.TaskGroup() as jobs:
                pulling = jobs.create_task(self._pull(jobs))
                closing = jobs.create_task(self._stop_pulling_when_closed(pulling))
                pulling.add_done_callback(lambda _: closing.cancel())
        except ExceptionGroup as group:
            self._fault = group.exceptions[0]
        except BaseException:
            self._fault = PhotoAnimerError("the batch was stopped before its end")
            raise
        finally:
            self._ended.put_nowait(None)

    async def _stop_pulling_when_closed(self, pulling: "asyncio.Task[None]") -> None:
        await self._gate.closed.wait()
        pulling.cancel()

    async def _pull(self, jobs: asyncio.TaskGroup) -> None:
        try:
            async with aclosing(self._items) as items:
                index = 0
                await self._slots.acquire()
                async for item in items:
                    jobs.create_task(self._run_one(index, item))
                    index += 1
                    await self._slots.acquire()
        except Exception as error:  # noqa: BLE001 - the iterable's own; raised to the caller at the end
            self._fault = error
        except BaseException as error:
            if ends_task(error):
                raise
            self._fault = PhotoAnimerError(f"the iterable of photos raised {type(error).__name__}")
            self._fault.__cause__ = error

    async def _run_one(self, index: int, item: _T) -> None:
        self._ended.put_nowait(await self._run_job(index, item))


async def requests_of(
    photos: Iterable[Photo | AnimationRequest] | AsyncIterable[Photo | AnimationRequest],
    options: AnimationOptions,
) -> AsyncGenerator[AnimationRequest]:
    """Yield photos as requests; those that are requests already keep their own options."""
    if isinstance(photos, AsyncIterable):
        async for photo in photos:
            yield request_of(photo, options)
    else:
        for photo in photos:
            yield request_of(photo, options)


def request_of(photo: Photo | AnimationRequest, options: AnimationOptions) -> AnimationRequest:
    """Return a photo as a request, with these options if it has none of its own."""
    return photo if isinstance(photo, AnimationRequest) else AnimationRequest(photo, options)
