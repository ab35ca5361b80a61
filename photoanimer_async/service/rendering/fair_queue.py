"""A queue that serves accounts in turn, however many tasks one of them has queued.

It is start-time fair queueing: an account's next task has a start time on a clock that counts
tasks, each task of an account begins `1 / weight` later than the one before, and the task with the
earliest start is next. An account that had nothing queued begins at the clock's present time, and
so before all accounts that were served meanwhile: with one worker, the first task of a newcomer
is the next one.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from attrs import define, field

_T = TypeVar("_T")


@define
class _Line(Generic[_T]):
    """An account's tasks in their order.

    Attributes:
        tasks: the tasks.
        start: the start time of the first one.
        served: number of the account's latest task among all that were served; 0 for none.
    """

    start: float
    served: int = 0
    tasks: deque[_T] = field(factory=deque)


class FairQueue(Generic[_T]):
    """A queue with a line for each account.

        queue.put(account, task)
        task = await queue.get()

    Args:
        weight: returns the weight of an account; one with 2 is served twice as often as one with 1.
    """

    def __init__(self, weight: Callable[[int], float]) -> None:
        self._weight = weight
        self._lines: dict[int, _Line[_T]] = {}
        self._clock = 0.0
        self._served = 0
        self._size = 0
        self._ready = asyncio.Semaphore(0)
        self._is_closed = False

    def __len__(self) -> int:
        return self._size

    def put(self, account: int, task: _T) -> None:
        """Append a task to its account's line; a closed queue drops it."""
        if self._is_closed:
            return
        line = self._lines.get(account)
        if line is None:
            line = self._lines[account] = _Line(self._clock)
        elif not line.tasks:
            line.start = max(line.start, self._clock)
        line.tasks.append(task)
        self._size += 1
        self._ready.release()

    def remove(self, account: int, task: _T) -> bool:
        """Remove a task from its account's line; return whether it was there."""
        line = self._lines.get(account)
        if line is None or task not in line.tasks:
            return False
        line.tasks.remove(task)
        self._size -= 1
        return True

    async def get(self) -> _T | None:
        """Remove and return the next task; wait until there is one. `None` if it is closed."""
        await self._ready.acquire()
        while not (self._size or self._is_closed):  # for a task that was removed
            await self._ready.acquire()
        if self._is_closed:
            self._ready.release()  # for the next one that waits
            return None
        return self._pop()

    def close(self) -> None:
        """Drop all tasks; `get` returns `None` from now on."""
        self._is_closed = True
        self._lines.clear()
        self._size = 0
        self._ready.release()

    def _pop(self) -> _T:
        account, line = min(
            ((account, line) for account, line in self._lines.items() if line.tasks),
            key=lambda found: (found[1].start, found[1].served),
        )
        self._clock = line.start
        self._served += 1
        self._size -= 1
        task = line.tasks.popleft()
        line.start += 1 / self._weight(account)
        line.served = self._served
        self._remove_idle_lines()
        return task

    def _remove_idle_lines(self) -> None:
        """Remove lines without tasks that would begin at the present time anyway."""
        for account, line in list(self._lines.items()):
            if not line.tasks and line.start <= self._clock:
                del self._lines[account]
