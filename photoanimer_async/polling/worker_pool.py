"""A bounded number of coroutines that do one piece of work after the other.

How it works. Starting a task for each short piece of work costs more than much of the work. So
a worker that is done rests on a future, and the next piece of work is that future's result;
workers are started only where none rests. What there is to do is the owner's business: its
`dispatch` is called when the alarm rings, and hands out what it likes with `give`. If it had
to leave some for want of room, it is called again as soon as a worker is free.

Whatever goes wrong in a worker or in `dispatch` ends the pool as a whole: it is told to
`on_end`, and raised again by `stop`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")


class WorkerPool(Generic[_T]):
    """Workers, and an alarm.

    Args:
        size: workers, at most.
        work: does one piece of work.
        dispatch: hands out work for which there is room; returns whether some is left.
        on_end: is told, once, why there are no workers any more.
    """

    def __init__(
        self,
        size: int,
        work: Callable[[_T], Coroutine[Any, Any, None]],
        dispatch: Callable[[], bool],
        on_end: Callable[[BaseException], None],
    ) -> None:
        self._size = size
        self._work = work
        self._dispatch = dispatch
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._fault: asyncio.Future[None] = self._loop.create_future()
        self._tasks = asyncio.TaskGroup()
        self._workers = 0
        self._resting: list[asyncio.Future[_T]] = []
        self._alarm: asyncio.Handle | None = None
        self._rings_at = 0.0  # not asked of the handle: uvloop's do not all know it
        self._is_short = False
        self._is_open = True
        self._life = self._loop.create_task(self._live(), name="photoanimer polls")

    @property
    def is_open(self) -> bool:
        """Whether work is still done."""
        return self._is_open

    @property
    def has_room(self) -> bool:
        """Whether a worker is free, or can be started."""
        return self._is_open and (bool(self._resting) or self._workers < self._size)

    def give(self, item: _T) -> None:
        """Gives a piece of work to a worker; only if there is room."""
        if self._resting:
            turn = self._resting.pop()
            if not turn.cancelled():
                turn.set_result(item)
        else:
            self._workers += 1
            self._tasks.create_task(self._work_on(item))

    def ring_at(self, when: float) -> None:
        """Has `dispatch` called at this time of the loop's clock, if not before."""
        if self._alarm is None or when < self._rings_at:
            if self._alarm is not None:
                self._alarm.cancel()
            self._rings_at = when
            self._alarm = self._loop.call_at(when, self.ring) if self._is_open else None

    def ring(self) -> None:
        """Has `dispatch` called now."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._is_open:
            try:
                self._is_short = self._dispatch()
            except Exception as error:  # noqa: BLE001 - told to the owner, as that of a worker
                self._end(error)

    def run_beside(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs something that is no worker's business, as long as the pool lives."""
        return self._tasks.create_task(work)

    async def stop(self) -> None:
        """Cancels all work.

        Raises:
            ExceptionGroup: what had gone wrong before.
        """
        self._is_open = False
        self._life.cancel()
        await asyncio.wait([self._life])
        if not self._life.cancelled():
            self._life.result()

    async def _live(self) -> None:
        try:
            async with self._tasks:
                await self._fault
        except BaseException as error:
            self._is_open = False
            self._on_end(error)
            raise
        finally:
            if self._alarm is not None:
                self._alarm.cancel()

    async def _work_on(self, item: _T) -> None:
        try:
            while True:
                await self._work(item)
                turn = self._loop.create_future()
                self._resting.append(turn)
                if self._is_short and self._is_open:
                    self._is_short = self._dispatch()
                item = await turn
        except BaseException:
            self._is_open = False
            raise

    def _end(self, error: Exception) -> None:
        self._is_open = False
        if not self._fault.done():
            self._fault.set_exception(error)
