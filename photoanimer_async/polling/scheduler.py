"""Wait for any number of tasks with a bounded number of getTaskInfo requests.

`Timetable` knows when to poll each task. One coroutine takes a slot of an `asyncio.Semaphore`,
sleeps until a task is due, and starts its poll in a `TaskGroup`; the poll releases the slot. So
a task that waits has no coroutine of its own and no timer, and at most `concurrency` requests
are under way.

A poll that fails for a temporary reason is repeated after the retry policy's wait. Any other
exception ends the waiting for that task alone. When the poll policy changes its plan, a second
coroutine gives the tasks new times, some at a time, so that the event loop is never blocked long.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from random import Random
from types import TracebackType
from typing import Self

from photoanimer_async.api.answers import require_task_id
from photoanimer_async.api.rate_limits import Pace
from photoanimer_async.api.retry import RetryPolicy, Verdict, verdict
from photoanimer_async.api.time_limits import TimeLimits
from photoanimer_async.api.wire import Operation
from photoanimer_async.errors import (
    InvalidRequestError,
    PhotoAnimerError,
    RateLimitedError,
    WaitTimeoutError,
)
from photoanimer_async.models import TaskId, TaskInfo, TaskStatus, require_count, require_seconds
from photoanimer_async.photos.cancellation import ends_task
from photoanimer_async.polling.adaptive import AdaptivePolling
from photoanimer_async.polling.policies import PollPolicy
from photoanimer_async.polling.timetable import PolicyError, Timetable
from photoanimer_async.polling.waiting import (
    CHUNK,
    Result,
    Waiter,
    Wakeup,
    stopped,
    unpollable,
    yielding,
)

_FIFO_SECONDS = 1.0  # for which a queue of due tasks is served in order; see `ReadyQueue`
_REPLAN_PAUSE = 0.2  # seconds between two plans for all tasks


class PollScheduler:
    """Waits for any number of tasks with a bounded number of requests.

    `PhotoAnimerClient` has one of its own. Used alone, it polls whatever function it is given:

        async with PollScheduler(client.get_task_info, concurrency=8) as scheduler:
            infos = await scheduler.wait_all(task_ids, timeout=600)

    Leaving the block ends everything that still waits with an error.

    Args:
        get_task_info: asks the service for one task, once.
        concurrency: getTaskInfo requests under way at once, at most.
        rate: getTaskInfo requests per second, at most, evenly spaced; `None` for no limit.
        pause: returns the seconds for which no task should be chosen, since none can be polled.
        policy: how long to wait until the next poll of a task; `AdaptivePolling` by default.
        retry: how to repeat polls that failed for a temporary reason; after `retry.tries`
            failures in a row the waiting for that task ends with the last error.
        rng: the source of chance.

    Raises:
        InvalidRequestError: the concurrency is below 1, or the rate is not above 0.
    """

    def __init__(
        self,
        get_task_info: Callable[[TaskId], Awaitable[TaskInfo]],
        *,
        concurrency: int = 64,
        rate: float | None = None,
        pause: Callable[[], float] | None = None,
        policy: PollPolicy | None = None,
        retry: RetryPolicy | None = None,
        rng: Random | None = None,
    ) -> None:
        require_count("concurrency", concurrency)
        self._get_task_info = get_task_info
        self._concurrency = concurrency
        self._pace = Pace(rate)
        self._pause = pause
        self._retry = retry or RetryPolicy(tries=10)
        self._rng = rng or Random()  # noqa: S311 - jitter, no secret
        # With a rate, a queue may be long from the start: prefer likely tasks at once.
        patience = _FIFO_SECONDS if rate is None else 0.0
        self._timetable = Timetable(policy or AdaptivePolling(), self._rng, patience=patience)
        self._limits = TimeLimits()
        self._task_ids: dict[str, TaskId] = {}
        self._errors: dict[str, PhotoAnimerError] = {}  # of the last poll, if it failed
        self._waiters: dict[str, tuple[Waiter, ...]] = {}
        self._is_open = False
        self._loop: asyncio.AbstractEventLoop
        self._slots: asyncio.Semaphore
        self._wakeup: Wakeup
        self._tasks: asyncio.TaskGroup
        self._owner: asyncio.Task[None]
        self._replanning: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._slots = asyncio.Semaphore(self._concurrency)
        self._wakeup = Wakeup()
        self._tasks = asyncio.TaskGroup()
        self._owner = self._loop.create_task(self._run(), name="photoanimer polls")
        self._owner.add_done_callback(self._end_all)
        self._under_way = 0  # polls
        self._is_open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_open = False
        self._limits.close()
        self._owner.cancel()
        await asyncio.wait([self._owner])
        if not self._owner.cancelled():
            self._owner.result()

    def __len__(self) -> int:
        """How many tasks are waited for."""
        return len(self._waiters)

    # --- waiting ---

    def submitted(self, task_id: TaskId, kind: str) -> None:
        """Record that a task was submitted just now, for the poll times of later waiters.

        Args:
            task_id: the task.
            kind: what its duration depends on; see `policies.kind_of`.
        """
        self._timetable.submitted(str(task_id), asyncio.get_running_loop().time(), kind)

    def notify(self, task_id: TaskId, *, within: float = 0.0) -> None:
        """Bring the next poll of a task forward, since it has probably ended.

        If nobody waits for the task yet, it is polled as soon as somebody does.

        Args:
            task_id: the task.
            within: seconds until the poll, at most.
        """
        key = str(task_id)
        if key in self._waiters:
            now = self._loop.time()
            self._wakeup.wake_at(self._timetable.bring_forward(key, now + within, now))
        else:
            self._timetable.notified(key)

    async def wait(
        self, task_id: TaskId, *, timeout: float | None = None, at_once: bool = False
    ) -> TaskInfo:
        """Return a task's info once it has status 1 or 2.

        Any number of callers may wait for the same task; it is polled once for all of them.
        Cancelling one of them does not affect the others.

        Args:
            task_id: the task.
            timeout: seconds for the whole wait.
            at_once: whether the first poll is sent now, if nobody else waits for the task.

        Raises:
            WaitTimeoutError: the task had not ended by then. It can be waited for again.
            PhotoAnimerError: it cannot be polled, for a permanent reason or too often in a row
                for a temporary one.
        """
        key, waiter = str(task_id), Waiter()
        self._add(task_id, (waiter,), at_once=at_once)
        if timeout is not None:
            # Not `asyncio.timeout`, which costs more: a batch has thousands of these.
            waiter.due = time.monotonic() + timeout
            self._limits.add(waiter)
        try:
            await waiter.complete()
        finally:
            self._limits.open.discard(waiter)
            last = self._errors.get(key)
            self._remove(task_id, waiter)
        if isinstance(result := waiter.results.get(key), TaskInfo):
            return result
        raise result or WaitTimeoutError(task_id, timeout or 0.0, last)

    async def wait_all(
        self, task_ids: Iterable[TaskId], *, timeout: float | None = None
    ) -> dict[TaskId, TaskInfo | PhotoAnimerError]:
        """Return each task's info, or the error why there is none, once all have one.

        Args:
            task_ids: any number of tasks.
            timeout: seconds for the whole wait; tasks that have not ended by then get a
                `WaitTimeoutError`.
        """
        require_seconds("timeout", timeout)
        unique: dict[TaskId, None] = {}
        waiter = Waiter()
        # One object for all: the garbage collector's pauses grow with their number.
        alone = (waiter,)
        try:
            async with asyncio.timeout(timeout) as scope:
                async for task_id in yielding(task_ids):
                    if task_id not in unique:
                        unique[task_id] = None
                        self._add(task_id, alone)
                await waiter.complete()
        except TimeoutError:
            if not scope.expired():
                raise
        finally:
            errors = self._errors.copy()  # those of the tasks that are missing, too
            if waiter.missing:
                await self._remove_all(iter(unique), waiter)
        return {
            task_id: waiter.results.get(key := str(task_id))
            or WaitTimeoutError(task_id, timeout or 0.0, errors.get(key))
            async for task_id in yielding(unique)
        }

    def _add(self, task_id: TaskId, alone: tuple[Waiter], *, at_once: bool = False) -> None:
        """Have one waiter's `on_result` called once, with the result of a task."""
        if not self._is_open:
            raise RuntimeError("the scheduler is not open: use it inside `async with`")
        key, [waiter] = str(task_id), alone
        waiters = self._waiters.get(key, ())
        if waiter in waiters:  # the same id as a number and as a string
            return
        waiter.missing += 1
        try:
            require_task_id(task_id)
        except InvalidRequestError as error:
            waiter.on_result(key, error)
            return
        if waiters:
            self._waiters[key] = waiters + alone
            return
        try:
            due = self._timetable.add(key, self._loop.time(), at_once=at_once)
        except BaseException as error:  # noqa: BLE001 - a fault of the policy, for this waiter
            waiter.on_result(key, unpollable(task_id, error))
            return
        self._task_ids[key] = task_id
        self._waiters[key] = alone
        self._wakeup.wake_at(due)

    def _remove(self, task_id: TaskId, waiter: Waiter) -> None:
        """Remove a waiter, if it still waits for this task."""
        key = str(task_id)
        waiters = self._waiters.get(key, ())
        if waiter in waiters:
            others = tuple(other for other in waiters if other is not waiter)
            if others:
                self._waiters[key] = others
            else:
                self._timetable.remove(key)
                self._forget(key)

    async def _remove_all(self, task_ids: Iterator[TaskId], waiter: Waiter) -> None:
        try:
            async for task_id in yielding(task_ids):
                self._remove(task_id, waiter)
        finally:
            # Those that are left if this is cancelled.
            for task_id in task_ids:
                self._remove(task_id, waiter)

    def _forget(self, key: str) -> tuple[Waiter, ...]:
        del self._task_ids[key]
        if self._errors:
            self._errors.pop(key, None)
        return self._waiters.pop(key)

    def _settle(self, key: str, result: Result) -> None:
        for waiter in self._forget(key):
            waiter.on_result(key, result)

    def _fail(self, key: str, error: BaseException) -> None:
        """End the waiting for a task with an error, if it is still waited for."""
        if key not in self._waiters:
            return
        self._timetable.remove(key)
        task_id = self._task_ids[key]
        self._settle(key, unpollable(task_id, error))

    def _end_all(self, owner: asyncio.Task[None]) -> None:
        """End all waiting: nothing polls any more."""
        self._is_open = False
        fault = None if owner.cancelled() else owner.exception()
        why = "the client was closed" if fault is None else f"of {type(fault).__name__}"
        for key, task_id in list(self._task_ids.items()):
            self._fail(key, stopped(task_id, why))

    # --- polling ---

    async def _run(self) -> None:
        async with self._tasks as tasks:
            while True:
                await self._slots.acquire()
                key, now = await self._next_due()
                self._under_way += 1
                tasks.create_task(self._poll(key, now))

    async def _next_due(self) -> tuple[str, float]:
        """Return the next task to poll once it is due and the rate allows it, and the time."""
        while True:
            now = self._loop.time()
            pause = self._pace.next_at - now
            if self._pause is not None and self._under_way:  # only they can wait for their turn
                pause = max(pause, self._pause())
            if pause > 0.0:
                await self._wakeup.sleep_until(now + pause)
                continue
            try:
                key = self._timetable.pop_ready(now)
            except PolicyError as error:
                self._fail(error.key, error.cause)
                continue
            if key is not None:
                if self._pace.is_limited:
                    self._pace.take(now)
                return key, now
            await self._wakeup.sleep_until(self._timetable.next_due())

    async def _poll(self, key: str, sent: float) -> None:
        """Poll a task once, record the outcome and release the slot."""
        try:
            if (task_id := self._task_ids.get(key)) is None:
                return
            try:
                info = await self._get_task_info(task_id)
            except PhotoAnimerError as error:
                self._record_failure(key, error)
            else:
                self._record(key, info, sent)
        except BaseException as error:  # foreign code may raise anything
            if ends_task(error):
                raise
            self._fail(key, error)
        finally:
            self._under_way -= 1
            self._slots.release()

    def _record(self, key: str, info: TaskInfo, sent: float) -> None:
        if key not in self._waiters:
            return
        if self._errors:
            self._errors.pop(key, None)
        now = self._loop.time()
        if info.status is not TaskStatus.PROCESSING:
            self._timetable.record_end(key, now)
            self._settle(key, info)
        else:
            self._wakeup.wake_at(self._timetable.record_processing(key, sent, now))
        if self._timetable.outdated and (self._replanning is None or self._replanning.done()):
            self._replanning = self._tasks.create_task(self._replan())

    def _record_failure(self, key: str, error: PhotoAnimerError) -> None:
        if key not in self._waiters:
            return
        self._errors[key] = error
        # Refusals do not count: they end when the request queue has found the allowed rate.
        counts = not isinstance(error, RateLimitedError)
        failures = self._timetable.record_failure(key, counts=counts)
        temporary = verdict(Operation.GET_TASK_INFO, error) is Verdict.TRY_AGAIN
        if temporary and failures < self._retry.tries:
            now = self._loop.time()
            due = now + self._retry.wait(max(failures, 1), error, self._rng)
            self._wakeup.wake_at(self._timetable.postpone(key, due, now))
        else:
            self._fail(key, error)

    async def _replan(self) -> None:
        """Give tasks new times as long as the policy changes its plans.

        The pause bounds what that costs: plans may change every few milliseconds.
        """
        timetable = self._timetable
        while timetable.outdated:
            kinds, timetable.outdated = timetable.outdated, set()
            keys = list(timetable)
            for start in range(0, len(keys), CHUNK):
                chunk = keys[start : start + CHUNK]
                for key, error in timetable.replan(chunk, kinds, self._loop.time()).items():
                    self._fail(key, error)
                self._wakeup.wake_at(timetable.next_due())
                await asyncio.sleep(0)
            await asyncio.sleep(_REPLAN_PAUSE)
