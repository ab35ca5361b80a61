"""Which task to poll next, and when.

Every task that is waited for is a row: its numbers are in columns, and its key is in a
`DueQueue` at the time of its next poll. `promote_due` moves what is due into a `ReadyQueue`,
`pop_ready` takes the next key from there. The caller polls and records what it found: either
the task has ended and its row is freed, or it gets a new time. A waiting task thus costs a few
numbers and no object, and 100,000 of them do not prolong the garbage collector's pauses.

A learning policy receives the outcome of every poll. When its plan for a kind of task changes,
it adds the kind to `outdated`, and `replan` computes new times for these tasks. A new time that
is earlier adds a second entry to the queue; one that is later only changes the row. An entry
whose time no longer matches its row is put back or dropped when it comes up.

Pure: the clock is an argument, in seconds, and so is the source of chance.
"""

import logging
from array import array
from collections.abc import Iterable, Iterator
from random import Random
from typing import TypeVar

from photoanimer_async.photos.cancellation import ends_process
from photoanimer_async.polling.notified import NotifiedPolling
from photoanimer_async.polling.policies import LearningPolicy, PollPolicy
from photoanimer_async.polling.poll_queues import DueQueue, ReadyQueue
from photoanimer_async.redaction import shown_error

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

_NEVER = float("inf")
_PROMOTED_AT_ONCE = 64  # so that the event loop is not blocked
_SPREAD = 0.05  # of a task's age, over which polls that a new plan finds overdue are spread
_EARLY = 0.03  # of a task's age, by which a poll may come early
_AFTER_HINT = 1.0  # seconds from a poll on a hint to the next one; doubled each time
_SUBMITS = 200_000
_NOTIFICATIONS = 10_000

_QUEUED, _READY, _POLLED = range(3)


class PolicyError(Exception):
    """The poll policy raised an exception, the `cause`, for the task `key`."""

    def __init__(self, key: str, cause: BaseException) -> None:
        super().__init__(key)
        self.key, self.cause = key, cause


class Timetable:
    """The poll times of any number of tasks, each under a key.

    Of tasks that are not in it, it remembers when the latest 200,000 were submitted, and which
    10,000 were notified or found ended last.

    Args:
        policy: how long to wait until the next poll of a task.
        rng: the source of chance.
        patience: seconds for which ready tasks are first in, first out; see `ReadyQueue`.

    Attributes:
        outdated: kinds of tasks whose plan the policy has changed; the caller takes them out and
            calls `replan` for each task.
    """

    def __init__(self, policy: PollPolicy, rng: Random, *, patience: float) -> None:
        self.outdated: set[str] = set()
        self._policy = policy
        self._learner = policy if isinstance(policy, LearningPolicy) else None
        self._notified_polling = policy if isinstance(policy, NotifiedPolling) else None
        self._submitted: dict[str, tuple[float, str]] = {}
        self._notified: dict[str, None] = {}
        self._ended: dict[str, None] = {}
        self._rng = rng
        self._queue: DueQueue[str] = DueQueue()
        self._ready: ReadyQueue[str] = ReadyQueue(patience)
        self._rows: dict[str, int] = {}
        self._free_rows: list[int] = []
        self._kind: list[str] = []
        self._state = bytearray()
        self._since = array("d")
        self._after = array("d")  # the age at the last poll, which found it processing
        self._due = array("d")
        self._queued = array("d")  # the time of its first entry in the queue
        self._failures: dict[str, int] = {}
        self._again: dict[str, float] = {}  # brought forward while a poll was under way
        self._hints: dict[str, float] = {}  # the delay after the next poll of a hinted task

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    # --- adding and removing tasks ---

    def submitted(self, key: str, since: float, kind: str) -> None:
        """Remember when a task was submitted, and its kind; see `policies.kind_of`."""
        _remember(self._submitted, key, (since, kind), _SUBMITS)

    def notified(self, key: str) -> None:
        """Remember that a notification named a task: once it is added, it is polled at once."""
        if key in self._ended and self._notified_polling is not None:
            # Polled before its notification arrived, which is confirmed by that.
            del self._ended[key]
            self._notified_polling.notification_confirmed()
        else:
            _remember(self._notified, key, None, _NOTIFICATIONS)

    def add(self, key: str, now: float, *, at_once: bool = False) -> float:
        """Add a task that has not been added yet; return when its first poll is due.

        Without a record of its submit, it counts from now.
        """
        since, kind = self._submitted.get(key, (now, ""))
        is_notified = key in self._notified
        wait = 0.0 if at_once or is_notified else self._policy.delay(kind, 0.0, self._rng)
        if self._learner is not None:
            self._learner.task_added(kind)
        row = self._rows[key] = self._new_row(since, kind)
        self._submitted.pop(key, None)
        if is_notified:
            del self._notified[key]
            self._hints[key] = _AFTER_HINT
        return self._schedule(key, row, max(now, since + wait), now)

    def remove(self, key: str) -> None:
        """Remove a task that has not ended; its submit is remembered."""
        row = self._free_row(key)
        since, kind = self._since[row], self._kind[row]
        self.submitted(key, since, kind)
        if self._learner is not None:
            try:
                self._learner.task_removed(kind, self._after[row])
            except BaseException as error:  # noqa: BLE001 - the task is removed all the same
                _log_fault("task_removed", error)

    def _new_row(self, since: float, kind: str) -> int:
        if self._free_rows:
            row = self._free_rows.pop()
            self._kind[row], self._state[row] = kind, _QUEUED
            self._since[row], self._after[row] = since, 0.0
            self._due[row] = self._queued[row] = _NEVER
            return row
        self._kind.append(kind)
        self._state.append(_QUEUED)
        self._since.append(since)
        self._after.append(0.0)
        self._due.append(_NEVER)
        self._queued.append(_NEVER)
        return len(self._kind) - 1

    def _free_row(self, key: str) -> int:
        row = self._rows.pop(key)
        self._free_rows.append(row)
        for exceptions in (self._failures, self._again, self._hints):
            if exceptions:
                exceptions.pop(key, None)
        return row

    # --- choosing the next task ---

    def next_due(self) -> float:
        """Return when the next queued task is due; infinity if there is none."""
        return self._queue.next_due

    def pop_ready(self, now: float) -> str | None:
        """Return the task to poll now; `None` if no task is due.

        Raises:
            PolicyError: the policy raised for a task that was compared.
        """
        if self._queue.next_due <= now:
            self._promote_due(now)
        while (key := self._ready.pop(now, self._chance, self._rng)) is not None:
            row = self._rows.get(key)
            if row is not None and self._state[row] == _READY:
                self._state[row] = _POLLED
                return key
        return None

    def _promote_due(self, now: float) -> None:
        """Make tasks ready that are due, a few at a time."""
        for key in self._queue.pop_due(now, _PROMOTED_AT_ONCE):
            row = self._rows.get(key)
            if row is None:
                continue
            if self._queued[row] <= now:
                self._queued[row] = _NEVER
            if self._state[row] != _QUEUED:
                continue
            due = self._due[row]
            if key in self._failures:
                early, not_before = 0.0, due
            else:
                early, not_before = _EARLY * (due - self._since[row]), 0.0
            if due > now + early:
                self._schedule(key, row, due, now, not_before=not_before)
            else:
                self._state[row] = _READY
                self._ready.add(key, now)

    def bring_forward(self, key: str, due: float, now: float) -> float:
        """Poll a task by this time at the latest, on a hint that it has ended; if now, first.

        If a poll is under way, another one follows. If the task has not ended by then, its next
        polls come soon too: after 1, 2, 4 ... s, as long as that is sooner than the policy says.
        Returns when the task is to be polled.
        """
        row = self._rows[key]
        self._hints.setdefault(key, _AFTER_HINT)
        if self._state[row] == _POLLED:
            self._again[key] = min(self._again.get(key, _NEVER), due)
        elif due <= now:
            self._state[row] = _READY
            self._ready.add_first(key)
        elif self._state[row] == _QUEUED and due < self._due[row]:
            return self._schedule(key, row, due, now)
        return due

    def _chance(self, key: str, now: float) -> float:
        row = self._rows.get(key)
        if row is None or self._learner is None:
            return 0.0
        age = now - self._since[row]
        try:
            return self._learner.chance(self._kind[row], self._after[row], age)
        except BaseException as error:
            if ends_process(error):
                raise
            raise PolicyError(key, error) from error

    # --- recording polls ---

    def record_processing(self, key: str, sent: float, now: float) -> float:
        """Record a poll sent at `sent` that found the task still processing.

        Returns:
            When its next poll is due.
        """
        row = self._rows[key]
        if self._failures:
            self._failures.pop(key, None)
        kind, since, after = self._kind[row], self._since[row], self._after[row]
        age = self._after[row] = sent - since
        if self._learner is not None and self._learner.task_processing(kind, after, age):
            self.outdated.add(kind)
        due = now + self._policy.delay(kind, age, self._rng)
        if key in self._again:
            due = min(due, self._again.pop(key))
        if key in self._hints:
            due = min(due, now + self._hints[key])
            self._hints[key] *= 2
        return self._schedule(key, row, max(now, due), now)

    def record_end(self, key: str, now: float) -> None:
        """Record a poll that found the task ended, and remove the task."""
        if self._notified_polling is not None:
            if key in self._hints:
                self._notified_polling.notification_confirmed()
            _remember(self._ended, key, None, _NOTIFICATIONS)
        row = self._free_row(key)
        if self._learner is not None:
            kind, age = self._kind[row], now - self._since[row]
            try:
                if self._learner.task_ended(kind, self._after[row], age):
                    self.outdated.add(kind)
            except BaseException as error:  # noqa: BLE001 - the result is delivered all the same
                _log_fault("task_ended", error)

    def record_failure(self, key: str, *, counts: bool = True) -> int:
        """Record a poll that failed; return how many that count have failed in a row."""
        failures = self._failures[key] = self._failures.get(key, 0) + counts
        return failures

    def postpone(self, key: str, due: float, now: float) -> float:
        """Poll a task no earlier than this, whatever the policy says; return when."""
        self._again.pop(key, None)
        return self._schedule(key, self._rows[key], due, now, not_before=due)

    # --- changing plans ---

    def replan(self, keys: Iterable[str], kinds: set[str], now: float) -> dict[str, BaseException]:
        """Give queued tasks of these kinds the times of the policy's present plan.

        Args:
            keys: the tasks; those that do not exist any more are skipped.
            kinds: the kinds whose plan has changed.
            now: the time.

        Returns:
            The exceptions that the policy raised, by task.
        """
        failed: dict[str, BaseException] = {}
        delay, rng = self._policy.delay, self._rng
        for key in keys:
            row = self._rows.get(key)
            if row is None or self._state[row] != _QUEUED:
                continue
            kind, since, after = self._kind[row], self._since[row], self._after[row]
            if kind not in kinds or key in self._failures or key in self._hints:
                continue
            try:
                due = since + after + delay(kind, after, rng)
            except BaseException as error:
                if ends_process(error):
                    raise
                failed[key] = error  # for the caller, who ends this task's wait
                continue
            # Polls that are overdue by the new plan are spread, so that they do not come at once.
            if due < now:
                due = now + _SPREAD * rng.random() * (now - since)
            if abs(due - self._due[row]) > _EARLY * (due - since):
                self._schedule(key, row, due, now)
        return failed

    def _schedule(
        self, key: str, row: int, due: float, now: float, *, not_before: float = 0.0
    ) -> float:
        self._state[row] = _QUEUED
        if due < self._queued[row]:
            age = due - self._since[row]
            due = self._queued[row] = self._queue.add(key, due, now, not_before, age)
        self._due[row] = due
        return due


def _log_fault(method: str, error: BaseException) -> None:
    if ends_process(error):
        raise error
    _log.error(
        "the poll policy raised in %s; polling continues", method, exc_info=shown_error(error)
    )


def _remember(entries: dict[str, _T], key: str, entry: _T, most: int) -> None:
    entries[key] = entry
    if len(entries) > most:
        del entries[next(iter(entries))]
