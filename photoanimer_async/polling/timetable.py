"""Which task to look at next, and when.

How it works. Every task that is waited for is a row: its numbers stand in columns, and its key
on an agenda under the time of its next look. What has become due gets a turn; where more looks
are due than may go out, `Turns` says whose is next. The look itself is the caller's, who tells
what was seen: the task has ended and is forgotten, or it goes back on the agenda. So a task
that waits costs a few numbers and no object: what 100,000 tasks do not consist of, the garbage
collector need not walk through.

The policy is told of every look. When it has learned something that changes its plans for a
kind of tasks, that kind is `outdated`, and the tasks are to be given new times. A task stands
on the agenda under the earliest time it was given: one that comes up too early is put back,
one that is to come up earlier is put there once more, and the older entry then finds that the
task has moved on.

Pure: the clock is an argument, in seconds, and chance is handed in.
"""

from array import array
from collections.abc import Iterable, Iterator
from random import Random

from photoanimer_async.polling.due_queue import Agenda, Turns
from photoanimer_async.polling.policies import LearningPolicy, PollPolicy

_NEVER = float("inf")
_AT_A_TIME = 200
_SPREAD = 0.05

_LISTED, _HAS_TURN, _LOOKED_AT = range(3)


class Timetable:
    """The looks at any number of tasks, each known by a key.

    Args:
        policy: when to look next at a task that is still processing.
        rng: where chance comes from.
        patience: seconds for which turns go by the time; see `Turns`.
    """

    def __init__(self, policy: PollPolicy, rng: Random, *, patience: float) -> None:
        self.outdated: set[str] = set()
        """The kinds of tasks whose policy has changed its plans since they were last made."""
        self._policy = policy
        self._learner = policy if isinstance(policy, LearningPolicy) else None
        self._rng = rng
        self._agenda: Agenda[str] = Agenda()
        self._turns: Turns[str] = Turns(patience)
        self._rows: dict[str, int] = {}
        self._free_rows: list[int] = []
        self._kind: list[str] = []
        self._state = bytearray()
        self._since = array("d")
        self._after = array("d")  # the age at the last look, which found it processing
        self._due = array("d")
        self._listed = array("d")  # under which time it stands on the agenda
        self._failures: dict[str, int] = {}
        self._again: dict[str, float] = {}  # what was asked for while a look was under way

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    # --- which tasks ---

    def add(self, key: str, since: float, kind: str, now: float, *, at_once: bool = False) -> None:
        """Begins with a task.

        Args:
            key: the task, which is not there yet.
            since: when it was submitted.
            kind: what tells how long it takes; see `polling.kind_of`.
            now: the time.
            at_once: whether the first look is due now, whatever the policy says.
        """
        if self._learner is not None:
            self._learner.joined(kind)
        wait = 0.0 if at_once else self._policy.delay(kind, 0.0, self._rng)
        row = self._rows[key] = self._row(since, kind)
        self._list(key, row, max(now, since + wait), now)

    def remove(self, key: str) -> tuple[float, str]:
        """Looks at a task no more, although it has not ended; gives its `since` and kind."""
        row = self._forget(key)
        since, kind = self._since[row], self._kind[row]
        if self._learner is not None:
            self._learner.left(kind, self._after[row])
        return since, kind

    def _row(self, since: float, kind: str) -> int:
        if self._free_rows:
            row = self._free_rows.pop()
            self._kind[row], self._state[row] = kind, _LISTED
            self._since[row], self._after[row] = since, 0.0
            self._due[row] = self._listed[row] = _NEVER
            return row
        self._kind.append(kind)
        self._state.append(_LISTED)
        self._since.append(since)
        self._after.append(0.0)
        self._due.append(_NEVER)
        self._listed.append(_NEVER)
        return len(self._kind) - 1

    def _forget(self, key: str) -> int:
        row = self._rows.pop(key)
        self._free_rows.append(row)
        self._failures.pop(key, None)
        self._again.pop(key, None)
        return row

    # --- whose turn it is ---

    def next_due(self) -> float | None:
        """When the next turns are to be given; `None` if nothing is to come."""
        return self._agenda.next_due()

    @property
    def turns(self) -> int:
        """How many turns have been given and not been taken; some may have become void."""
        return len(self._turns)

    def give_turns(self, now: float) -> None:
        """Gives a turn to what is due by now, a few hundred at most."""
        for key in self._agenda.take_due(now, _AT_A_TIME):
            row = self._rows.get(key)
            if row is None:
                continue
            if self._listed[row] <= now:
                self._listed[row] = _NEVER
            if self._state[row] != _LISTED:
                continue
            due = self._due[row]
            if due > now:
                self._list(key, row, due, now, not_before=due)
            else:
                self._state[row] = _HAS_TURN
                self._turns.add(key, now)

    def take_turn(self, now: float) -> str | None:
        """The task to look at now; `None` if the turn has become void.

        Raises:
            LookupError: there are no turns.
        """
        key = self._turns.take(now, lambda key: self._chance(key, now), self._rng)
        row = self._rows.get(key)
        if row is None or self._state[row] != _HAS_TURN:
            return None
        self._state[row] = _LOOKED_AT
        return key

    def bring_forward(self, key: str, due: float, now: float) -> None:
        """Has a task looked at by this time, and if that is now, before all others.

        If a look has begun already, there will be another.
        """
        row = self._rows[key]
        if self._state[row] == _LOOKED_AT:
            self._again[key] = min(self._again.get(key, _NEVER), due)
        elif due <= now:
            self._state[row] = _HAS_TURN
            self._turns.add_first(key)
        elif self._state[row] == _LISTED and due < self._due[row]:
            self._list(key, row, due, now)

    def _chance(self, key: str, now: float) -> float:
        row = self._rows.get(key)
        if row is None or self._learner is None:
            return 0.0
        return self._learner.chance(self._kind[row], self._after[row], now - self._since[row])

    # --- what was seen ---

    def look_begins(self, key: str) -> None:
        """The task is asked for now, if it is still there."""
        self._again.pop(key, None)

    def pending(self, key: str, asked: float, now: float) -> None:
        """A look that left at `asked` has found the task processing."""
        row = self._rows[key]
        self._failures.pop(key, None)
        kind, since, after = self._kind[row], self._since[row], self._after[row]
        age = self._after[row] = asked - since
        if self._learner is not None and self._learner.pending(kind, after, age):
            self.outdated.add(kind)
        planned = now + self._policy.delay(kind, age, self._rng)
        self._list(key, row, max(now, min(planned, self._again.pop(key, _NEVER))), now)

    def ended(self, key: str, now: float) -> None:
        """A look has found that the task has ended; it is forgotten."""
        row = self._forget(key)
        kind = self._kind[row]
        if self._learner is not None and self._learner.ended(
            kind, self._after[row], now - self._since[row]
        ):
            self.outdated.add(kind)

    def failed(self, key: str) -> int:
        """A look has found nothing out; how many have in a row."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return failures

    def postpone(self, key: str, due: float, now: float) -> None:
        """Has a task looked at no sooner than this, whatever the policy says."""
        self._again.pop(key, None)
        self._list(key, self._rows[key], due, now, not_before=due)

    # --- new plans ---

    def plan_anew(self, keys: Iterable[str], kinds: set[str], now: float) -> None:
        """Gives those of these kinds new times, as the policy has them now."""
        for key in keys:
            row = self._rows.get(key)
            if row is None or self._kind[row] not in kinds:
                continue
            if self._state[row] == _LISTED and key not in self._failures:
                since, after = self._since[row], self._after[row]
                wait = self._policy.delay(self._kind[row], after, self._rng)
                soon = now + _SPREAD * self._rng.random() * (now - since)
                self._list(key, row, max(since + after + wait, soon), now)

    def _list(self, key: str, row: int, due: float, now: float, *, not_before: float = 0.0) -> None:
        self._state[row] = _LISTED
        self._due[row] = due
        if due < self._listed[row]:
            self._due[row] = self._listed[row] = self._agenda.add(key, due, now, not_before)
