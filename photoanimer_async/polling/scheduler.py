"""Bounded fan-out of getTaskInfo, until every task has status 1 or 2.

How it works. `Timetable` knows every task that is waited for and when to look at it next. An
alarm rings when something is due, and what is due is given to a pool of `concurrency` workers,
each of which has one request under way and tells the timetable what it has seen. So a waiting
task costs a row of numbers, not a coroutine and not a future.

A poll that fails for a passing reason is a look like any other, only that the next one comes
after the retry policy's wait. When the policy has changed its plans, the tasks are given new
times, some at a time, so that the loop is never held up.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from random import Random
from types import TracebackType
from typing import Protocol, Self, TypeVar

from photoanimer_async.api.rate_limits import Pace
from photoanimer_async.api.retry import RetryPolicy, Verdict, verdict
from photoanimer_async.api.wire import Operation
from photoanimer_async.errors import PhotoAnimerError, WaitTimeoutError
from photoanimer_async.models import TaskId, TaskInfo
from photoanimer_async.polling.policies import AdaptivePolling, PollPolicy
from photoanimer_async.polling.timetable import Timetable
from photoanimer_async.polling.worker_pool import WorkerPool

_T = TypeVar("_T")

_AT_A_TIME = 200
_REMEMBERED = 200_000
_NOTIFIED = 10_000
_PATIENCE = 1.0


class Waiter(Protocol):
    """Somebody who waits for tasks."""

    def on_result(self, key: str, result: TaskInfo | PhotoAnimerError, /) -> None:
        """A task has ended, or can not be asked for; `key` is its id as a text."""
        ...


class _Awaited:
    """Tasks that a coroutine waits for, one or many."""

    __slots__ = ("all_ended", "missing", "results")

    def __init__(self) -> None:
        self.missing = 0
        self.results: dict[str, TaskInfo | PhotoAnimerError] = {}
        self.all_ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_result(self, key: str, result: TaskInfo | PhotoAnimerError) -> None:
        self.results[key] = result
        self.on_counted()

    def on_counted(self) -> None:
        self.missing -= 1
        if self.missing == 0 and not self.all_ended.done():
            self.all_ended.set_result(None)


class PollScheduler:
    """Waits for any number of tasks with a bounded number of requests.

    To be used as a context manager; leaving it cancels what still waits.

    Args:
        get_task_info: asks the service for one task, once.
        concurrency: getTaskInfo requests under way at once, at most.
        rate: getTaskInfo requests a second, at most, evenly spread; `None` for no limit.
        policy: when to look next at a task that is still processing.
        retry: how patient to be with looks that fail for a passing reason; one task is given
            up after `retry.tries` of them in a row.
        rng: where chance comes from.

    Raises:
        InvalidRequestError: a rate that is not above 0.
    """

    def __init__(
        self,
        get_task_info: Callable[[TaskId], Awaitable[TaskInfo]],
        *,
        concurrency: int = 64,
        rate: float | None = None,
        policy: PollPolicy | None = None,
        retry: RetryPolicy | None = None,
        rng: Random | None = None,
    ) -> None:
        self._get_task_info = get_task_info
        self._concurrency = concurrency
        self._pace = Pace(rate)
        self._retry = retry or RetryPolicy(tries=10)
        self._rng = rng or Random()  # noqa: S311 - jitter, no secret
        # Under a rate, turns go by chance at once: who waits for one may wait for long.
        patience = _PATIENCE if rate is None else 0.0
        self._timetable = Timetable(policy or AdaptivePolling(), self._rng, patience=patience)
        self._task_ids: dict[str, TaskId] = {}
        self._waiters: dict[str, tuple[Waiter, ...]] = {}
        self._submitted: dict[str, tuple[float, str]] = {}
        self._notified: dict[str, None] = {}
        self._replanning: asyncio.Task[None] | None = None
        self._pool: WorkerPool[str] | None = None

    async def __aenter__(self) -> Self:
        self._pool = WorkerPool(self._concurrency, self._poll, self._dispatch, self._stop_waiters)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._opened.stop()

    @property
    def _opened(self) -> WorkerPool[str]:
        if self._pool is None:
            raise RuntimeError("the scheduler is not open: use it inside `async with`")
        return self._pool

    def __len__(self) -> int:
        """How many tasks are waited for."""
        return len(self._waiters)

    # --- waiting ---

    def submitted(self, task_id: TaskId, kind: str) -> None:
        """Notes that a task was submitted just now, for whoever will wait for it.

        Args:
            task_id: the task.
            kind: what tells how long it takes; see `policies.kind_of`.
        """
        self._remember(str(task_id), asyncio.get_running_loop().time(), kind)

    def notify(self, task_id: TaskId, *, within: float = 0.0) -> None:
        """Brings the next look at a task forward: something tells that it has ended.

        A task that nobody waits for is looked at at once when somebody begins to.

        Args:
            task_id: the task.
            within: seconds until the look, at most.
        """
        key = str(task_id)
        if key in self._waiters:
            now = asyncio.get_running_loop().time()
            self._timetable.bring_forward(key, now + within, now)
            if within > 0.0:
                self._ring_when_due()
            else:
                self._opened.ring()
        else:
            self._notified[key] = None
            if len(self._notified) > _NOTIFIED:
                del self._notified[next(iter(self._notified))]

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
        waiter = _Awaited()
        waiter.missing = 1
        self.add_waiter(task_id, waiter)
        try:
            async with asyncio.timeout(timeout) as scope:
                await waiter.all_ended
        except TimeoutError:
            if not scope.expired():
                raise
        finally:
            self.remove_waiter(task_id, waiter)
        result = waiter.results.get(str(task_id))
        if isinstance(result, TaskInfo):
            return result
        raise result or WaitTimeoutError(task_id, timeout or 0.0)

    async def wait_all(
        self, task_ids: Iterable[TaskId], *, timeout: float | None = None
    ) -> dict[TaskId, TaskInfo | PhotoAnimerError]:
        """Every task's info, or why there is none; the failure of one touches no other.

        Args:
            task_ids: the tasks; any number of them.
            timeout: seconds, one deadline for all of them together; those that have not ended
                by then have a `WaitTimeoutError`.
        """
        asked: dict[TaskId, None] = {}
        waiter = _Awaited()
        waiter.missing = 1  # itself, until all are named
        # Shared by all tasks: each object less shortens the garbage collector's pauses.
        alone = (waiter,)
        try:
            async with asyncio.timeout(timeout) as scope:
                async for task_id in _unhurried(task_ids):
                    if task_id not in asked:
                        asked[task_id] = None
                        waiter.missing += self._join(task_id, waiter, alone)
                waiter.on_counted()
                await waiter.all_ended
        except TimeoutError:
            if not scope.expired():
                raise
        finally:
            if waiter.missing:
                await self._leave_all(iter(asked), waiter)
        return {
            task_id: waiter.results.get(str(task_id)) or WaitTimeoutError(task_id, timeout or 0.0)
            async for task_id in _unhurried(asked)
        }

    def add_waiter(self, task_id: TaskId, waiter: Waiter) -> None:
        """Waits for a task on somebody's behalf, without a coroutine.

        Args:
            task_id: the task.
            waiter: is told once: when the task has ended, or that it can not be asked for, or
                that the scheduler has stopped.
        """
        self._join(task_id, waiter, (waiter,))

    def remove_waiter(self, task_id: TaskId, waiter: Waiter) -> None:
        """Waits for a task no more on this one's behalf, if that is still waited for."""
        key = str(task_id)
        waiters = self._waiters.get(key, ())
        if waiter in waiters:
            others = tuple(other for other in waiters if other is not waiter)
            if others:
                self._waiters[key] = others
            else:
                self._remember(key, *self._timetable.remove(key))
                self._forget(key)

    def _join(self, task_id: TaskId, waiter: Waiter, alone: tuple[Waiter]) -> bool:
        if not self._opened.is_open:
            raise RuntimeError("the scheduler is not open: use it inside `async with`")
        key = str(task_id)
        waiters = self._waiters.get(key)
        if waiters is None:
            now = asyncio.get_running_loop().time()
            since, kind = self._submitted.pop(key, (now, ""))
            notified = key in self._notified
            if notified:
                del self._notified[key]
            self._timetable.add(key, since, kind, now, at_once=notified)
            self._task_ids[key] = task_id
            self._waiters[key] = alone
            self._ring_when_due()
        elif waiter in waiters:
            return False
        else:
            self._waiters[key] = (*waiters, waiter)
        return True

    async def _leave_all(self, task_ids: Iterator[TaskId], waiter: Waiter) -> None:
        try:
            async for task_id in _unhurried(task_ids):
                self.remove_waiter(task_id, waiter)
        finally:
            # Those that are left if this is cancelled.
            for task_id in task_ids:
                self.remove_waiter(task_id, waiter)

    def _remember(self, key: str, since: float, kind: str) -> None:
        self._submitted[key] = (since, kind)
        if len(self._submitted) > _REMEMBERED:
            del self._submitted[next(iter(self._submitted))]

    def _forget(self, key: str) -> tuple[Waiter, ...]:
        del self._task_ids[key]
        return self._waiters.pop(key)

    def _settle(self, key: str, result: TaskInfo | PhotoAnimerError) -> None:
        for waiter in self._forget(key):
            waiter.on_result(key, result)

    # --- looking ---

    def _ring_when_due(self) -> None:
        due = self._timetable.next_due()
        if due is not None:
            self._opened.ring_at(due)

    def _dispatch(self) -> bool:
        pool, timetable = self._opened, self._timetable
        now = asyncio.get_running_loop().time()
        timetable.give_turns(now)
        while timetable.turns and pool.has_room:
            if (pause := self._pace.pause(now)) > 0.0:
                pool.ring_at(now + pause)
                return False
            key = timetable.take_turn(now)
            if key is not None:
                self._pace.take(now)
                pool.give(key)
        self._ring_when_due()
        return timetable.turns > 0

    def _stop_waiters(self, error: BaseException) -> None:
        closed = isinstance(error, asyncio.CancelledError)
        why = "the client was closed" if closed else f"of a fault ({error!r})"
        for key, task_id in list(self._task_ids.items()):
            self._settle(
                key,
                PhotoAnimerError(
                    f"polling stopped because {why}; task {task_id} goes on at the service: "
                    "wait for it again by its id"
                ),
            )

    async def _poll(self, key: str) -> None:
        task_id = self._task_ids.get(key)
        if task_id is None:
            return
        self._timetable.look_begins(key)
        asked = asyncio.get_running_loop().time()
        try:
            info = await self._get_task_info(task_id)
        except PhotoAnimerError as error:
            if key in self._waiters:
                self._failed(key, error)
        else:
            if key in self._waiters:
                self._seen(key, info, asked)

    def _seen(self, key: str, info: TaskInfo, asked: float) -> None:
        now = asyncio.get_running_loop().time()
        if info.ended:
            self._timetable.ended(key, now)
            self._settle(key, info)
        else:
            self._timetable.pending(key, asked, now)
            self._ring_when_due()
        if self._timetable.outdated and (self._replanning is None or self._replanning.done()):
            self._replanning = self._opened.run_beside(self._plan_anew())

    def _failed(self, key: str, error: PhotoAnimerError) -> None:
        failures = self._timetable.failed(key)
        passing = verdict(Operation.GET_TASK_INFO, error) is Verdict.TRY_AGAIN
        if passing and failures < self._retry.tries:
            now = asyncio.get_running_loop().time()
            due = now + self._retry.wait(failures, error, self._rng)
            self._timetable.postpone(key, due, now)
            self._ring_when_due()
        else:
            self._timetable.remove(key)
            self._settle(key, error)

    async def _plan_anew(self) -> None:
        timetable = self._timetable
        while timetable.outdated:
            kinds, timetable.outdated = timetable.outdated, set()
            keys = list(timetable)
            for start in range(0, len(keys), _AT_A_TIME):
                now = asyncio.get_running_loop().time()
                timetable.plan_anew(keys[start : start + _AT_A_TIME], kinds, now)
                self._ring_when_due()
                await asyncio.sleep(0)


async def _unhurried(items: Iterable[_T]) -> AsyncIterator[_T]:
    """The items; the loop gets its turn after every few of them."""
    for count, item in enumerate(items, 1):
        yield item
        if count % _AT_A_TIME == 0:
            await asyncio.sleep(0)
