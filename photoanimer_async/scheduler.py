"""Bounded fan-out of getTaskInfo, until every task has status 1 or 2.

How it works. Every task that is waited for is one `_Watch`: a record, whose key stands on an
agenda under the time of its next look. An alarm rings when something is due, and what is due
is given to a pool of `concurrency` workers, each of which has one request under way. A look
either settles the watch or puts it back on the agenda, and its worker is free for the next. So
a waiting task costs a record, not a coroutine and not a future. Where more looks are due than
may go out, `Turns` says whose is next.

The policy is told of every look. When it has learned something that changes its plans, the
watches of that kind are given new times, some at a time, so that the loop is never held up. A
watch stands on the agenda under the earliest time it was given: one that comes up too early
is put back, one that is to come up earlier is put there once more, and the older entry then
finds that the watch has moved on.

A poll that fails for a passing reason is a look like any other, only that the next one comes
after the retry policy's wait. A task that nobody waits for any more is dropped when its turn
comes.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from random import Random
from types import TracebackType
from typing import Protocol, Self, TypeVar

from photoanimer_async.core.agenda import Agenda, Turns
from photoanimer_async.core.polling import AdaptivePolling, LearningPolicy, PollPolicy
from photoanimer_async.core.retry import RetryPolicy, Verdict, verdict
from photoanimer_async.core.wire import Operation
from photoanimer_async.errors import PhotoAnimerError, WaitTimeoutError
from photoanimer_async.models import TaskId, TaskInfo
from photoanimer_async.rates import Pace
from photoanimer_async.worker_pool import WorkerPool

_T = TypeVar("_T")

_NEVER = float("inf")
_AT_A_TIME = 200
_REMEMBERED = 200_000
_NOTIFIED = 10_000
_SPREAD = 0.05
_PATIENCE = 1.0


class Waiter(Protocol):
    """Somebody who waits for tasks."""

    def is_told(self, key: str, result: TaskInfo | PhotoAnimerError, /) -> None:
        """A task has ended, or can not be asked for; `key` is its id as a text."""
        ...


class _Awaited:
    """Tasks that a coroutine waits for, one or many."""

    __slots__ = ("all_ended", "missing", "results")

    def __init__(self) -> None:
        self.missing = 0
        self.results: dict[str, TaskInfo | PhotoAnimerError] = {}
        self.all_ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def is_told(self, key: str, result: TaskInfo | PhotoAnimerError) -> None:
        self.results[key] = result
        self.misses_one_less()

    def misses_one_less(self) -> None:
        self.missing -= 1
        if self.missing == 0 and not self.all_ended.done():
            self.all_ended.set_result(None)


class _Watch:
    """One task that is waited for.

    Attributes:
        key: its id as a text, by which it is known here.
        since: when it was submitted or, if that is not known, first waited for.
        after: its age at the last look that found it processing; 0 before that.
        due: when the next look is; infinite while one has its turn or is under way.
        listed: the time under which it stands on the agenda.
        has_turn: whether it is among those whose looks are due.
        again: when the look is that a notification asked for while one was under way.
    """

    __slots__ = (
        "after",
        "again",
        "due",
        "failures",
        "has_turn",
        "key",
        "kind",
        "listed",
        "since",
        "task_id",
        "waiters",
    )

    def __init__(self, task_id: TaskId, since: float, kind: str) -> None:
        self.task_id = task_id
        self.key = str(task_id)
        self.since = since
        self.kind = kind
        self.after = 0.0
        self.due = _NEVER
        self.listed = _NEVER
        self.has_turn = False
        self.again = _NEVER
        self.failures = 0
        self.waiters: tuple[Waiter, ...] = ()


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
        self._policy = policy or AdaptivePolling()
        self._learner = self._policy if isinstance(self._policy, LearningPolicy) else None
        self._retry = retry or RetryPolicy(tries=10)
        self._rng = rng or Random()  # noqa: S311 - jitter, no secret
        self._watches: dict[str, _Watch] = {}
        self._submitted: dict[str, tuple[float, str]] = {}
        self._notified: dict[str, None] = {}
        self._agenda: Agenda[str] = Agenda()
        self._turns: Turns[_Watch] = Turns(_PATIENCE if rate is None else 0.0)
        self._kinds_to_replan: set[str] = set()
        self._replanning: asyncio.Task[None] | None = None
        self._pool: WorkerPool[_Watch] | None = None

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
    def _opened(self) -> WorkerPool[_Watch]:
        if self._pool is None:
            raise RuntimeError("the scheduler is not open: use it inside `async with`")
        return self._pool

    def __len__(self) -> int:
        """How many tasks are waited for."""
        return len(self._watches)

    # --- waiting ---

    def submitted(self, task_id: TaskId, kind: str) -> None:
        """Notes that a task was submitted just now, for whoever will wait for it.

        Args:
            task_id: the task.
            kind: what tells how long it takes; see `core.polling.kind_of`.
        """
        self._remember(str(task_id), asyncio.get_running_loop().time(), kind)

    def notify(self, task_id: TaskId, *, within: float = 0.0) -> None:
        """Brings the next look at a task forward: something tells that it has ended.

        A task that nobody waits for is looked at at once when somebody begins to.

        Args:
            task_id: the task.
            within: seconds until the look, at most.
        """
        watch = self._watches.get(str(task_id))
        if watch is None:
            self._notified[str(task_id)] = None
            if len(self._notified) > _NOTIFIED:
                del self._notified[next(iter(self._notified))]
        elif watch.due == _NEVER and not watch.has_turn:
            now = asyncio.get_running_loop().time()
            watch.again = min(watch.again, now + within)
        elif within > 0.0:
            now = asyncio.get_running_loop().time()
            if now + within < watch.due and not watch.has_turn:
                self._look_at(watch, now + within, now)
        else:
            watch.due = _NEVER
            watch.has_turn = True
            self._turns.add_first(watch)
            self._opened.ring()

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
        self.watch(task_id, waiter)
        try:
            async with asyncio.timeout(timeout) as scope:
                await waiter.all_ended
        except TimeoutError:
            if not scope.expired():
                raise
        finally:
            self.leave(task_id, waiter)
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
        # Shared by all watches: each object less shortens the garbage collector's pauses.
        alone = (waiter,)
        try:
            async with asyncio.timeout(timeout) as scope:
                async for task_id in _unhurried(task_ids):
                    if task_id not in asked:
                        asked[task_id] = None
                        waiter.missing += self._join(task_id, waiter, alone)
                waiter.misses_one_less()
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

    def watch(self, task_id: TaskId, waiter: Waiter) -> None:
        """Waits for a task on somebody's behalf, without a coroutine.

        Args:
            task_id: the task.
            waiter: is told once: when the task has ended, or that it can not be asked for, or
                that the scheduler has stopped.
        """
        self._join(task_id, waiter, (waiter,))

    def leave(self, task_id: TaskId, waiter: Waiter) -> None:
        """Waits for a task no more on this one's behalf, if that is still waited for."""
        key = str(task_id)
        watch = self._watches.get(key)
        if watch is None or waiter not in watch.waiters:
            return
        watch.waiters = tuple(other for other in watch.waiters if other is not waiter)
        if not watch.waiters:
            del self._watches[key]
            self._remember(key, watch.since, watch.kind)
            if self._learner is not None:
                self._learner.left(watch.kind, watch.after)

    def _join(self, task_id: TaskId, waiter: Waiter, alone: tuple[Waiter]) -> bool:
        if not self._opened.is_open:
            raise RuntimeError("the scheduler is not open: use it inside `async with`")
        key = str(task_id)
        watch = self._watches.get(key)
        if watch is None:
            now = asyncio.get_running_loop().time()
            since, kind = self._submitted.pop(key, (now, ""))
            watch = self._watches[key] = _Watch(task_id, since, kind)
            if self._learner is not None:
                self._learner.joined(kind)
            notified = key in self._notified
            if notified:
                del self._notified[key]
            wait = 0.0 if notified else self._policy.delay(kind, 0.0, self._rng)
            self._look_at(watch, max(now, since + wait), now)
        if waiter in watch.waiters:
            return False
        watch.waiters = (*watch.waiters, waiter) if watch.waiters else alone
        return True

    async def _leave_all(self, task_ids: Iterator[TaskId], waiter: Waiter) -> None:
        try:
            async for task_id in _unhurried(task_ids):
                self.leave(task_id, waiter)
        finally:
            # Those that are left if this is cancelled.
            for task_id in task_ids:
                self.leave(task_id, waiter)

    def _remember(self, key: str, since: float, kind: str) -> None:
        self._submitted[key] = (since, kind)
        if len(self._submitted) > _REMEMBERED:
            del self._submitted[next(iter(self._submitted))]

    def _settle(self, watch: _Watch, result: TaskInfo | PhotoAnimerError) -> None:
        del self._watches[watch.key]
        waiters, watch.waiters = watch.waiters, ()
        for waiter in waiters:
            waiter.is_told(watch.key, result)

    # --- when to look ---

    def _look_at(self, watch: _Watch, due: float, now: float, not_before: float = 0.0) -> None:
        watch.due = due
        if due < watch.listed:
            watch.due = watch.listed = self._agenda.add(watch.key, due, now, not_before)
            self._opened.ring_at(watch.due)

    def _collect_due(self, now: float) -> None:
        for key in self._agenda.take_due(now, _AT_A_TIME):
            watch = self._watches.get(key)
            if watch is None:
                continue
            if watch.listed <= now:
                watch.listed = _NEVER
            if watch.due == _NEVER:
                continue
            if watch.due > now:
                self._look_at(watch, watch.due, now, not_before=watch.due)
            else:
                watch.due = _NEVER
                watch.has_turn = True
                self._turns.add(watch, now)

    def _chance(self, watch: _Watch) -> float:
        if self._learner is None:
            return 0.0
        age = asyncio.get_running_loop().time() - watch.since
        return self._learner.chance(watch.kind, watch.after, age)

    def _replan(self, kind: str) -> None:
        self._kinds_to_replan.add(kind)
        if self._replanning is None or self._replanning.done():
            self._replanning = self._opened.run_beside(self._replan_some_at_a_time())

    async def _replan_some_at_a_time(self) -> None:
        loop = asyncio.get_running_loop()
        while self._kinds_to_replan:
            kinds, self._kinds_to_replan = self._kinds_to_replan, set()
            watches = list(self._watches.values())
            for start in range(0, len(watches), _AT_A_TIME):
                now = loop.time()
                for watch in watches[start : start + _AT_A_TIME]:
                    if watch.kind in kinds and watch.due != _NEVER and not watch.failures:
                        wait = self._policy.delay(watch.kind, watch.after, self._rng)
                        soon = now + _SPREAD * self._rng.random() * (now - watch.since)
                        self._look_at(watch, max(watch.since + watch.after + wait, soon), now)
                await asyncio.sleep(0)

    # --- looking ---

    def _dispatch(self) -> bool:
        pool = self._opened
        now = asyncio.get_running_loop().time()
        self._collect_due(now)
        while self._turns and pool.has_room:
            if (pause := self._pace.pause(now)) > 0.0:
                pool.ring_at(now + pause)
                return False
            watch = self._turns.take(now, self._chance, self._rng)
            if watch.has_turn and watch.waiters:
                watch.has_turn = False
                self._pace.take(now)
                pool.give(watch)
        due = self._agenda.next_due()
        if due is not None:
            pool.ring_at(due)
        return bool(self._turns)

    def _stop_waiters(self, error: BaseException) -> None:
        closed = isinstance(error, asyncio.CancelledError)
        why = "the client was closed" if closed else f"of a fault ({error!r})"
        for watch in list(self._watches.values()):
            self._settle(
                watch,
                PhotoAnimerError(
                    f"polling stopped because {why}; task {watch.task_id} goes on at the "
                    "service: wait for it again by its id"
                ),
            )

    async def _poll(self, watch: _Watch) -> None:
        watch.again = _NEVER
        asked = asyncio.get_running_loop().time()
        try:
            info = await self._get_task_info(watch.task_id)
        except PhotoAnimerError as error:
            if watch.waiters:
                self._failed(watch, error)
        else:
            if watch.waiters:
                self._seen(watch, info, asked)

    def _seen(self, watch: _Watch, info: TaskInfo, asked: float) -> None:
        watch.failures = 0
        now = asyncio.get_running_loop().time()
        kind, after = watch.kind, watch.after
        if info.ended:
            self._settle(watch, info)
            changed = self._learner and self._learner.ended(kind, after, now - watch.since)
        else:
            watch.after = asked - watch.since
            changed = self._learner and self._learner.pending(kind, after, watch.after)
            planned = now + self._policy.delay(kind, watch.after, self._rng)
            self._look_at(watch, max(now, min(planned, watch.again)), now)
        if changed:
            self._replan(kind)

    def _failed(self, watch: _Watch, error: PhotoAnimerError) -> None:
        watch.failures += 1
        passing = verdict(Operation.GET_TASK_INFO, error) is Verdict.TRY_AGAIN
        if passing and watch.failures < self._retry.tries:
            now = asyncio.get_running_loop().time()
            due = now + self._retry.wait(watch.failures, error, self._rng)
            self._look_at(watch, due, now, not_before=due)
        else:
            if self._learner is not None:
                self._learner.left(watch.kind, watch.after)
            self._settle(watch, error)


async def _unhurried(items: Iterable[_T]) -> AsyncIterator[_T]:
    """The items; the loop gets its turn after every few of them."""
    for count, item in enumerate(items, 1):
        yield item
        if count % _AT_A_TIME == 0:
            await asyncio.sleep(0)
