"""Bounded fan-out of getTaskInfo, until every task has status 1 or 2.

How it works. Every task that somebody waits for is one `_Watch`: a future, and the time of
its next look. The watches stand in a heap by that time. One dispatcher sleeps until the
first is due, takes a place in a semaphore, and starts one short poll in a task group; the
poll either settles the future or puts the watch back into the heap. So a waiting task costs
a heap entry, not a coroutine, and at most `concurrency` requests are ever under way.

A poll that fails for a passing reason is a look like any other, only that the next one comes
after the retry policy's wait. A task that nobody waits for any more is dropped when its turn
comes.
"""

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable, Iterable
from random import Random
from types import TracebackType
from typing import Self

from photoanimer_async.core.polling import GrowingInterval, PollPolicy
from photoanimer_async.core.retry import RetryPolicy, Verdict, verdict
from photoanimer_async.core.wire import Operation
from photoanimer_async.errors import PhotoAnimerError, WaitTimeoutError
from photoanimer_async.models import TaskId, TaskInfo


class _Watch:
    """One task that is waited for."""

    __slots__ = ("ended", "failures", "since", "task_id", "waiters")

    def __init__(self, task_id: TaskId, since: float) -> None:
        self.task_id = task_id
        self.since = since
        self.ended: asyncio.Future[TaskInfo] = asyncio.get_running_loop().create_future()
        self.waiters = 0
        self.failures = 0


class PollScheduler:
    """Waits for any number of tasks with a bounded number of requests.

    To be used as a context manager; leaving it cancels what still waits.

    Args:
        get_task_info: asks the service for one task, once.
        concurrency: getTaskInfo requests under way at once, at most.
        policy: when to look next at a task that is still processing.
        retry: how patient to be with looks that fail for a passing reason; one task is given
            up after `retry.tries` of them in a row.
        rng: where chance comes from.
    """

    def __init__(
        self,
        get_task_info: Callable[[TaskId], Awaitable[TaskInfo]],
        *,
        concurrency: int = 64,
        policy: PollPolicy | None = None,
        retry: RetryPolicy | None = None,
        rng: Random | None = None,
    ) -> None:
        self._get_task_info = get_task_info
        self._slots = asyncio.Semaphore(concurrency)
        self._policy = policy or GrowingInterval()
        self._retry = retry or RetryPolicy(tries=10)
        self._rng = rng or Random()  # noqa: S311 - jitter, no secret
        self._watches: dict[str, _Watch] = {}
        self._queue: list[tuple[float, int, _Watch]] = []
        self._order = itertools.count()
        self._earlier = asyncio.Event()
        self._dispatcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._dispatcher = asyncio.create_task(self._dispatch(), name="photoanimer polls")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._dispatcher is not None:
            dispatcher, self._dispatcher = self._dispatcher, None
            dispatcher.cancel()
            await asyncio.wait([dispatcher])
            if not dispatcher.cancelled():
                dispatcher.result()

    async def wait(self, task_id: TaskId, *, timeout: float | None = None) -> TaskInfo:
        """The task's info once it has status 1 or 2.

        Any number of callers may wait for the same task; it is polled once for all. One that
        is cancelled takes only itself away.

        Args:
            task_id: the task.
            timeout: seconds, one deadline for the whole.

        Raises:
            WaitTimeoutError: the task had not ended by then. It can be waited for again.
            PhotoAnimerError: it can not be asked for: for a lasting reason, or too often in
                a row for a passing one.
        """
        ended = self._join(task_id)
        try:
            await asyncio.wait([ended], timeout=timeout)
            if not ended.done():
                raise WaitTimeoutError(task_id, timeout or 0.0)
            return ended.result()
        finally:
            self._leave(task_id)

    async def wait_all(
        self, task_ids: Iterable[TaskId], *, timeout: float | None = None
    ) -> dict[TaskId, TaskInfo | PhotoAnimerError]:
        """Every task's info, or why there is none; the failure of one touches no other.

        Args:
            task_ids: the tasks.
            timeout: seconds, one deadline for all of them together; those that have not ended
                by then have a `WaitTimeoutError`.
        """
        watched = {task_id: self._join(task_id) for task_id in dict.fromkeys(task_ids)}
        try:
            if watched:
                await asyncio.wait(watched.values(), timeout=timeout)
            return {id_: _result(id_, ended, timeout or 0.0) for id_, ended in watched.items()}
        finally:
            for task_id in watched:
                self._leave(task_id)

    def __len__(self) -> int:
        """How many tasks are waited for."""
        return len(self._watches)

    def _join(self, task_id: TaskId) -> asyncio.Future[TaskInfo]:
        if self._dispatcher is None or self._dispatcher.done():
            raise RuntimeError("the scheduler is not open: use it inside `async with`")
        watch = self._watches.get(str(task_id))
        if watch is None:
            now = asyncio.get_running_loop().time()
            watch = self._watches[str(task_id)] = _Watch(task_id, now)
            self._look_in(watch, self._policy.delay(0.0, self._rng))
        watch.waiters += 1
        return watch.ended

    def _leave(self, task_id: TaskId) -> None:
        watch = self._watches[str(task_id)]
        watch.waiters -= 1
        if watch.waiters == 0:
            del self._watches[str(task_id)]
            if not watch.ended.cancel():
                watch.ended.exception()  # seen: asyncio need not report it

    def _look_in(self, watch: _Watch, seconds: float) -> None:
        due = asyncio.get_running_loop().time() + seconds
        heapq.heappush(self._queue, (due, next(self._order), watch))
        if self._queue[0][2] is watch:
            self._earlier.set()

    async def _dispatch(self) -> None:
        try:
            async with asyncio.TaskGroup() as polls:
                while True:
                    await self._slots.acquire()
                    watch = await self._next_due()
                    polls.create_task(self._poll(watch))
        except BaseException as error:
            self._stop_waiters(error)
            raise

    def _stop_waiters(self, error: BaseException) -> None:
        closed = isinstance(error, asyncio.CancelledError)
        why = "the client was closed" if closed else f"of a fault ({error!r})"
        for watch in self._watches.values():
            if not watch.ended.done():
                watch.ended.set_exception(
                    PhotoAnimerError(
                        f"polling stopped because {why}; task {watch.task_id} goes on at the "
                        "service: wait for it again by its id"
                    )
                )

    async def _next_due(self) -> _Watch:
        loop = asyncio.get_running_loop()
        while True:
            self._earlier.clear()
            while self._queue and self._queue[0][2].ended.done():
                heapq.heappop(self._queue)
            wait = self._queue[0][0] - loop.time() if self._queue else None
            if wait is not None and wait <= 0:
                return heapq.heappop(self._queue)[2]
            timer = None if wait is None else loop.call_later(wait, self._earlier.set)
            try:
                await self._earlier.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    async def _poll(self, watch: _Watch) -> None:
        try:
            info = await self._get_task_info(watch.task_id)
        except PhotoAnimerError as error:
            self._failed(watch, error)
        else:
            self._seen(watch, info)
        finally:
            self._slots.release()

    def _seen(self, watch: _Watch, info: TaskInfo) -> None:
        watch.failures = 0
        if watch.ended.done():
            return
        if info.ended:
            watch.ended.set_result(info)
        else:
            age = asyncio.get_running_loop().time() - watch.since
            self._look_in(watch, self._policy.delay(age, self._rng))

    def _failed(self, watch: _Watch, error: PhotoAnimerError) -> None:
        watch.failures += 1
        if watch.ended.done():
            return
        passing = verdict(Operation.GET_TASK_INFO, error) is Verdict.TRY_AGAIN
        if passing and watch.failures < self._retry.tries:
            self._look_in(watch, self._retry.wait(watch.failures, error, self._rng))
        else:
            watch.ended.set_exception(error)


def _result(
    task_id: TaskId, ended: asyncio.Future[TaskInfo], timeout: float
) -> TaskInfo | PhotoAnimerError:
    if not ended.done():
        return WaitTimeoutError(task_id, timeout)
    error = ended.exception()
    if error is None:
        return ended.result()
    if isinstance(error, PhotoAnimerError):
        return error
    raise error
