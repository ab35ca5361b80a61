"""Rules of a fault script, and which of them applies to an event.

An event is a request, the acceptance of a task, or the first attempt to send a notification.
"""

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from math import inf
from typing import Final, Generic, TypeVar

from attrs import field, frozen

from photoanimer_async.service.faults.actions import Action

ActionT = TypeVar("ActionT", bound=Action)


class Subject(StrEnum):
    """What a rule is about."""

    SUBMIT = "submit"
    POLL = "poll"
    BALANCE = "balance"
    DOWNLOAD = "download"
    TASK = "task"
    NOTIFICATION = "notification"


@frozen
class Numbers:
    """A set of numbers, counted from 1; by default all of them.

    Attributes:
        spans: first and last number of each span, both included.
        step: of those, only multiples of this number.
    """

    spans: tuple[tuple[int, float], ...] = ((1, inf),)
    step: int = 1

    def __contains__(self, number: int) -> bool:
        return number % self.step == 0 and any(
            first <= number <= last for first, last in self.spans
        )


ALL: Final = Numbers()


@frozen
class Event:
    """Something that a rule can apply to.

    Attributes:
        subject: what it is.
        number: its number among all events with this subject.
        task: the number of its task, if it has one.
        number_in_task: its number among the events of that task with this subject.
    """

    subject: Subject
    number: int
    task: int | None = None
    number_in_task: int = 0


@frozen
class Rule:
    """One rule of a fault script; its `str` is its text in the script.

    Attributes:
        subject: what it is about.
        action: what happens.
        numbers: to which events with this subject it happens.
        tasks: if set, only events of these tasks count, and `numbers` counts within each task.
        text: the rule as written in the script.
        action_text: the action as written in the script.
    """

    subject: Subject
    action: Action
    numbers: Numbers = ALL
    tasks: Numbers | None = None
    text: str = field(default="", eq=False)
    action_text: str = field(default="", eq=False)

    def __str__(self) -> str:
        return self.text

    def applies_to(self, event: Event) -> bool:
        """Return whether the event is one that this rule is about."""
        if event.subject is not self.subject:
            return False
        if self.tasks is None:
            return event.number in self.numbers
        return (
            event.task is not None
            and event.task in self.tasks
            and event.number_in_task in self.numbers
        )


@frozen
class Fault(Generic[ActionT]):
    """An action that applies to an event, and its text in the script."""

    action: ActionT
    text: str


class Script:
    """Rules in the order of their priority, and the number of events so far.

    If several rules apply to an event, the first one counts.

        script = Script(parse_script("submit 2: status 503"))
        event = script.count(Subject.SUBMIT)
        fault = script.find(event, (Status,))  # None: this is submit 1
    """

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules = list(rules)
        self._counts: Counter[tuple[Subject, int | None]] = Counter()
        self._used: set[int] = set()

    def add(self, rules: Iterable[Rule]) -> None:
        """Append rules."""
        self._rules.extend(rules)

    @property
    def unused(self) -> tuple[Rule, ...]:
        """The rules that have not applied to any event yet."""
        return tuple(rule for index, rule in enumerate(self._rules) if index not in self._used)

    def count(self, subject: Subject, task: int | None = None) -> Event:
        """Count a new event, and return it with its numbers.

        Args:
            subject: what it is.
            task: the number of its task, if it has one.
        """
        self._counts[subject, None] += 1
        if task is not None:
            self._counts[subject, task] += 1
        return Event(subject, self._counts[subject, None], task, self._counts[subject, task])

    def counted(self, subject: Subject) -> int:
        """Return the number of events with this subject so far."""
        return self._counts[subject, None]

    def find(self, event: Event, actions: tuple[type[ActionT], ...]) -> Fault[ActionT] | None:
        """Return the first of these actions that a rule has for an event."""
        for index, rule in enumerate(self._rules):
            if isinstance(rule.action, actions) and rule.applies_to(event):
                self._used.add(index)
                return Fault(rule.action, rule.action_text)
        return None
