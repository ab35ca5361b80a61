"""Poll policies: how long to wait until the next poll of a task.

A policy of your own needs one method:

    class Slowly:
        def delay(self, kind: str, age: float, rng: Random) -> float:
            return 10.0 + age / 2

    client = PhotoAnimerClient(poll=Slowly())

`AdaptivePolling`, the default, learns from the polls how long tasks take.
"""

from random import Random
from typing import Protocol, runtime_checkable

from attrs import frozen

from photoanimer_async.errors import InvalidRequestError
from photoanimer_async.models import AnimationOptions, Template


class PollPolicy(Protocol):
    """Decides when a task is polled next. Pure: the caller owns the clock and chance."""

    def delay(self, kind: str, age: float, rng: Random) -> float:
        """Return the seconds to wait until the next poll of a task.

        Args:
            kind: what the task has in common with others like it (see `kind_of`); empty for a
                task that was not submitted by this client.
            age: seconds from the submit to the last poll, which found the task processing; 0 if
                it has not been polled yet.
            rng: the source of chance.
        """
        ...


@runtime_checkable
class LearningPolicy(PollPolicy, Protocol):
    """A policy that receives the outcome of every poll and may change its plan for a kind."""

    def task_added(self, kind: str) -> None:
        """Record that a task of this kind is polled from now on."""
        ...

    def task_processing(self, kind: str, after: float, age: float) -> bool:
        """Record that a task that had not ended at age `after` had not ended at `age` either.

        Args:
            kind: as in `delay`.
            after: seconds from the submit to the poll before; 0 if there was none.
            age: seconds from the submit to this poll.

        Returns:
            Whether all tasks of the kind should be given new delays.
        """
        ...

    def task_ended(self, kind: str, after: float, age: float) -> bool:
        """Record that a task that had not ended at `after` had ended by `age`.

        Returns:
            Whether all tasks of the kind should be given new delays.
        """
        ...

    def task_removed(self, kind: str, after: float) -> None:
        """Record that a task that had not ended at age `after` is no longer polled."""
        ...

    def chance(self, kind: str, after: float, age: float) -> float:
        """Return how likely a task that had not ended at `after` has ended by `age`, 0 to 1."""
        ...


def kind_of(options: AnimationOptions) -> str:
    """Return what is known beforehand that a task's duration depends on."""
    voice = " voice" if options.template is Template.T0 and options.speaks else ""
    return f"{options.template:d} {options.output_format}{voice}"


@frozen
class FixedInterval:
    """A poll every so many seconds, varied at random by up to a tenth.

    Attributes:
        seconds: between two polls, above 0.

    Raises:
        InvalidRequestError: the value is not above 0.
    """

    seconds: float = 5.0

    def __attrs_post_init__(self) -> None:
        check_above_zero("seconds", self.seconds)

    def delay(self, kind: str, age: float, rng: Random) -> float:  # noqa: ARG002 - see `PollPolicy`
        """See `PollPolicy`."""
        return self.seconds * rng.uniform(0.9, 1.1)


@frozen
class ExponentialBackoff:
    """Intervals that double; chance shortens each by up to a half.

    Attributes:
        first: seconds until the first poll, above 0.
        longest: seconds between two polls, at most.

    Raises:
        InvalidRequestError: a value is not above 0.
    """

    first: float = 1.0
    longest: float = 30.0

    def __attrs_post_init__(self) -> None:
        check_above_zero("first", self.first)
        check_above_zero("longest", self.longest)

    def delay(self, kind: str, age: float, rng: Random) -> float:  # noqa: ARG002 - see `PollPolicy`
        """See `PollPolicy`. Doubling intervals add up to about the next one, so age suffices."""
        return min(self.first + age, self.longest) * rng.uniform(0.5, 1.0)


def check_above_zero(name: str, value: float) -> None:
    """Check a policy's parameter.

    Raises:
        InvalidRequestError: the value is not above 0.
    """
    if not value > 0:
        raise InvalidRequestError(f"{name} must be above 0, not {value!r}")
