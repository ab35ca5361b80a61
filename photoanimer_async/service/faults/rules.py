"""The rules of a fault script: what they are about, which of those, and what happens."""

from enum import StrEnum
from typing import Final, get_args

from attrs import field, frozen
from attrs.validators import deep_iterable, instance_of, min_len, optional

from photoanimer_async.service.faults.actions import (
    Action,
    Answering,
    Delivering,
    Expired,
    Fail,
    Takes,
    written,
)


class Subject(StrEnum):
    """What a rule is about."""

    SUBMIT = "submit"
    POLL = "poll"
    BALANCE = "balance"
    DOWNLOAD = "download"
    TASK = "task"
    NOTIFICATION = "notification"


@frozen
class Span:
    """From the first to the last, both of them included; without a last, from the first on."""

    first: int = field(validator=instance_of(int))
    last: int | None = field(default=None, validator=optional(instance_of(int)))

    def __attrs_post_init__(self) -> None:
        if self.first < 1:
            raise ValueError(f"{self.first} is none of them: they are counted from 1")
        if self.last is not None and self.last < self.first:
            raise ValueError(f"{self.first}-{self.last} holds nothing: the smaller number is first")

    def __contains__(self, number: object) -> bool:
        return (
            isinstance(number, int)
            and number >= self.first
            and (self.last is None or number <= self.last)
        )

    def __str__(self) -> str:
        if self.last == self.first:
            return str(self.first)
        return f"{self.first}-{'' if self.last is None else self.last}"


@frozen
class Spans:
    """The numbers of one span or more."""

    spans: tuple[Span, ...] = field(validator=[min_len(1), deep_iterable(instance_of(Span))])

    def __contains__(self, number: object) -> bool:
        return any(number in span for span in self.spans)

    def __str__(self) -> str:
        return ",".join(map(str, self.spans))


@frozen
class Every:
    """Every so-manieth: 5 stands for 5, 10, 15 and so on, 1 for all."""

    step: int = field(default=1, validator=instance_of(int))

    def __attrs_post_init__(self) -> None:
        if self.step < 1:
            raise ValueError(f"every {self.step} is none of them; every 1 is all of them")

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and number % self.step == 0

    def __str__(self) -> str:
        return "" if self.step == 1 else f"every {self.step}"


Numbers = Spans | Every
ALL: Final = Every()


def _to_numbers(value: int | Numbers) -> Numbers:
    return Spans((Span(value, value),)) if isinstance(value, int) else value


def _to_optional_numbers(value: int | Numbers | None) -> Numbers | None:
    return None if value is None else _to_numbers(value)


_ANY_ANSWER: Final = tuple(kind for kind in get_args(Answering) if kind is not Expired)
ACTIONS: Final[dict[Subject, tuple[type[Action], ...]]] = {
    Subject.SUBMIT: _ANY_ANSWER,
    Subject.POLL: _ANY_ANSWER,
    Subject.BALANCE: _ANY_ANSWER,
    Subject.DOWNLOAD: (*_ANY_ANSWER, Expired),
    Subject.TASK: (Takes, Fail),
    Subject.NOTIFICATION: get_args(Delivering),
}
"""What can happen to what."""

OF_A_TASK: Final = (Subject.POLL, Subject.DOWNLOAD, Subject.NOTIFICATION)
"""What can be counted for each task by itself."""


@frozen
class Rule:
    """One line of a fault script; its `str` is that line.

    Attributes:
        subject: what it is about.
        action: what happens.
        numbers: to which of them, counted from 1 in the order in which they come; by default
            to all. A number stands for itself.
        of_task: only those of these tasks, and `numbers` counts for each task by itself.

    Raises:
        ValueError: an action that the subject does not have, or `of_task` where there is none.
    """

    subject: Subject = field(converter=Subject)
    action: Action
    numbers: Numbers = field(default=ALL, converter=_to_numbers)
    of_task: Numbers | None = field(default=None, converter=_to_optional_numbers)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.action, ACTIONS[self.subject]):
            allowed = ", ".join(kind.__name__ for kind in ACTIONS[self.subject])
            raise ValueError(f"{self.subject} has no {self.action!r}; allowed are: {allowed}")  # noqa: TRY004 - which type it may be is a matter of the subject
        if self.of_task is not None and self.subject not in OF_A_TASK:
            raise ValueError(f"of_task goes with {', '.join(OF_A_TASK)}, not with {self.subject}")

    def __str__(self) -> str:
        of_task = "" if self.of_task is None else f"of task {self.of_task}"
        words = (self.subject.value, str(self.numbers), of_task)
        target = " ".join(word for word in words if word).strip()
        return f"{target}: {written(self.action)}"
