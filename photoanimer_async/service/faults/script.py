"""A script at work: which rule counts for what comes now, and which rules have never counted."""

from collections import Counter
from collections.abc import Iterable
from typing import TypeVar

from photoanimer_async.service.faults.actions import Action
from photoanimer_async.service.faults.rules import Rule, Subject

_A = TypeVar("_A", bound=Action)


class Script:
    """Rules, and what has come of them.

    Of several rules for the same thing, the first counts.
    """

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules = list(rules)
        self._counts: Counter[tuple[Subject, int | None]] = Counter()
        self._used: set[int] = set()

    def add(self, rules: Iterable[Rule]) -> None:
        """More rules, after those that are there."""
        self._rules.extend(rules)

    @property
    def unused(self) -> tuple[Rule, ...]:
        """The rules that have not counted for anything yet."""
        return tuple(rule for place, rule in enumerate(self._rules) if place not in self._used)

    def count(self, subject: Subject, task: int | None = None) -> tuple[int, int]:
        """Counts what comes now: its number among all, and among those of its task."""
        self._counts[subject, None] += 1
        if task is not None:
            self._counts[subject, task] += 1
        return self._counts[subject, None], self._counts[subject, task]

    def seen(self, subject: Subject) -> int:
        """How many have come."""
        return self._counts[subject, None]

    def first(
        self,
        kinds: tuple[type[_A], ...],
        subject: Subject,
        number: int,
        task: int | None = None,
        number_of_task: int = 0,
    ) -> _A | None:
        """The action of one of these kinds that counts for this, if there is one.

        Args:
            kinds: which actions.
            subject: what comes.
            number: its number among all.
            task: the number of its task.
            number_of_task: its number among those of its task.
        """
        for place, rule in enumerate(self._rules):
            if rule.subject is not subject or not isinstance(rule.action, kinds):
                continue
            of_task = rule.of_task
            if of_task is None:
                counts = number in rule.numbers
            else:
                counts = task is not None and task in of_task and number_of_task in rule.numbers
            if counts:
                self._used.add(place)
                return rule.action
        return None
