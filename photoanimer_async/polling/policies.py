"""When to look at a task next.

A policy says how long to wait until the next look; that is all that one of the user's own
needs to do. `AdaptivePolling`, the default, learns from the looks how long tasks take, each
kind of tasks for itself, and looks when it is worth most.

How it learns in a cold start. Hundreds of tasks submitted at once, none of which has been seen
to end, would all be looked at in vain together, and then too late together. So as long as
no more than a few have ended, the first looks of tasks in flight are spread over ages from
early to very late, in proportion to the age: the early ones find out when tasks begin to end,
and what they teach makes new plans for all, long before the late ones are due. New plans are
made when what has been seen has grown by a quarter; ends count in full, and looks in vain as
much as an end had been expected, so that tasks that take longer than thought are noticed
before any ends.

How it goes on learning. If all first looks were at the same age, and most tasks had ended by
then, nothing would be known any more of the ages before that. So a few first looks are early.
"""

import math
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Protocol, runtime_checkable

from attrs import frozen

from photoanimer_async.errors import InvalidRequestError
from photoanimer_async.models import AnimationOptions
from photoanimer_async.polling.durations import EDGES, MEMORY, Durations
from photoanimer_async.polling.poll_times import at, optimal_poll_times


class PollPolicy(Protocol):
    """Decides when a task is asked for next. Pure: the caller owns clock and randomness."""

    def delay(self, kind: str, age: float, rng: Random) -> float:
        """Seconds to wait until the next look at a task.

        Args:
            kind: what the task has in common with others like it (see `kind_of`); empty for
                a task that was not submitted here.
            age: seconds from the submit to the last look, which found the task processing;
                0 if there was none yet.
            rng: where chance comes from.
        """
        ...


@runtime_checkable
class LearningPolicy(PollPolicy, Protocol):
    """A policy that is told of looks, and may change its plans for them."""

    def task_added(self, kind: str) -> None:
        """A task of this kind will be looked at from now on."""
        ...

    def task_processing(self, kind: str, after: float, age: float) -> bool:
        """A task that had not ended at age `after` (0: no look) had not at `age` either.

        Returns:
            Whether all tasks of the kind should be given new delays.
        """
        ...

    def task_ended(self, kind: str, after: float, age: float) -> bool:
        """A task that had not ended at age `after` had ended by `age`; returns as `pending`."""
        ...

    def task_removed(self, kind: str, after: float) -> None:
        """A task that had not ended at age `after` is looked at no more."""
        ...

    def chance(self, kind: str, after: float, age: float) -> float:
        """How likely a task that had not ended at age `after` has ended by `age`, 0 to 1."""
        ...


def kind_of(options: AnimationOptions) -> str:
    """What is known beforehand that tells how long a task takes."""
    voice = " voice" if options.speaks else ""
    return f"{options.template:d} {options.output_format.value}{voice}"


@frozen
class FixedInterval:
    """A look every so many seconds, give or take a tenth.

    Attributes:
        seconds: between two looks, above 0.
    """

    seconds: float = 5.0

    def __attrs_post_init__(self) -> None:
        _check_above_zero("seconds", self.seconds)

    def delay(self, kind: str, age: float, rng: Random) -> float:  # noqa: ARG002 - see `PollPolicy`
        """See `PollPolicy`."""
        return self.seconds * rng.uniform(0.9, 1.1)


@frozen
class ExponentialBackoff:
    """Each interval is about twice the one before; chance takes up to half of it.

    Attributes:
        first: seconds until the first look, above 0.
        longest: seconds between two looks, at most.
    """

    first: float = 1.0
    longest: float = 30.0

    def __attrs_post_init__(self) -> None:
        _check_above_zero("first", self.first)
        _check_above_zero("longest", self.longest)

    def delay(self, kind: str, age: float, rng: Random) -> float:  # noqa: ARG002 - see `PollPolicy`
        """See `PollPolicy`. Intervals that double add up to the last one, so the age tells it."""
        return min(self.first + age, self.longest) * rng.uniform(0.5, 1.0)


_JITTER = 0.03
_EXPLORERS = 0.03
_EARLIEST = 0.3
_GOLDEN = 0.6180339887498949
_EARLY_ONES = 0.6
_ENOUGH = 4.0
_GROWTH = 0.25
_NEW_PLAN = 1.2


class AdaptivePolling:
    """Learns how long tasks take, and looks when it is worth most.

    It belongs to one event loop, and may be shared by clients of the same service.

    Args:
        cost: how many seconds of delay one look is worth: more of it means fewer looks.
        shortest: seconds between two looks at a task, at least.
        longest: seconds between two looks at a task, at most.

    Raises:
        InvalidRequestError: a value that is not above 0, or `longest` below `shortest`.
    """

    def __init__(self, cost: float = 0.3, *, shortest: float = 0.1, longest: float = 60.0) -> None:
        _check_above_zero("cost", cost)
        _check_above_zero("shortest", shortest)
        if not longest >= shortest:
            raise InvalidRequestError(f"longest is {longest!r}, below shortest ({shortest!r})")
        self._cost = cost
        self._shortest = shortest
        self._longest = longest
        self._kinds: dict[str, _Kind] = {}

    def delay(self, kind: str, age: float, rng: Random) -> float:
        """See `PollPolicy`. It stays within the bounds, whatever chance adds."""
        known = self._kind(kind)
        wait = known.first_look() if known.cold and age <= 0 else known.next_look(age) - age
        if age <= 0 and rng.random() < _EXPLORERS:
            wait *= rng.uniform(_EARLIEST, 1.0)
        # Not `uniform`, `min` and `max`: this is called most often of all.
        wait *= 1.0 - _JITTER + 2.0 * _JITTER * rng.random()
        if wait < self._shortest:
            return self._shortest
        return min(self._longest, wait)

    def task_added(self, kind: str) -> None:
        """See `LearningPolicy`."""
        self._kind(kind).joined()

    def task_processing(self, kind: str, after: float, age: float) -> bool:
        """See `LearningPolicy`."""
        known = self._kind(kind)
        known.durations.pending(after, age)
        return known.has_seen(known.chance(after, age))

    def task_ended(self, kind: str, after: float, age: float) -> bool:
        """See `LearningPolicy`."""
        known = self._kind(kind)
        known.durations.ended(after, age)
        known.parted()
        return known.has_seen(1.0)

    def task_removed(self, kind: str, after: float) -> None:
        """See `LearningPolicy`."""
        known = self._kind(kind)
        known.durations.left(after)
        known.parted()

    def chance(self, kind: str, after: float, age: float) -> float:
        """See `LearningPolicy`."""
        return self._kind(kind).chance(after, age)

    def to_dict(self) -> dict[str, Any]:
        """What has been learned, as JSON can carry it."""
        kinds = {name: kind.durations.intervals() for name, kind in self._kinds.items()}
        return {"version": 1, "kinds": {name: seen for name, seen in kinds.items() if seen}}

    def learn_from(self, state: Mapping[str, Any]) -> None:
        """Takes up what `to_dict` gave; kinds that something is known of already are left.

        Raises:
            InvalidRequestError: it is nothing that `to_dict` gives.
        """
        for name, intervals in _intervals_by_kind(state).items():
            known = self._kinds.get(name)
            if known is None or not known.durations.weight:
                self._kinds[name] = _Kind(self._cost, Durations.of(intervals))

    def _kind(self, name: str) -> "_Kind":
        kind = self._kinds.get(name)
        if kind is None:
            kind = self._kinds[name] = _Kind(self._cost, Durations())
        return kind


class _Kind:
    """One kind of tasks: what is known of their durations, and the plan made of that."""

    def __init__(self, cost: float, durations: Durations) -> None:
        self.durations = durations
        self.cold = durations.weight < _ENOUGH
        self._cost = cost
        self._in_flight = 0
        self._generation = 0.0
        self._spread = 0
        self._seen = durations.weight
        self._plan_at = max(_ENOUGH, self._seen * (1 + _GROWTH))
        self._plan()

    def joined(self) -> None:
        self._in_flight += 1
        self._generation = max(self._generation, self._in_flight)

    def parted(self) -> None:
        self._in_flight = max(self._in_flight - 1, 0)
        self._generation = max(self._generation - 0.5, self._in_flight)

    def first_look(self) -> float:
        """The age of a first look while nothing is known: spread, the wider the more there are."""
        place = self._spread
        self._spread += 1
        if place == 0:
            return self._looks[0]
        share = (place * _GOLDEN % 1.0) ** _EARLY_ONES
        return self._looks[0] / 4 * math.exp(share * math.log(1.0 + place))

    def next_look(self, age: float) -> float:
        """The age of the next look at a task that had not ended at this one."""
        return at(age, self._looks)

    def chance(self, after: float, age: float) -> float:
        alive = at(after, self._survival)
        return 1.0 - at(age, self._survival) / alive if alive > 0.0 else 1.0

    def has_seen(self, ends: float) -> bool:
        """Makes a new plan when it is time to; whether that changes much for tasks in flight."""
        self._seen += max(ends, 0.0)
        if self._seen < self._plan_at:
            return False
        self._plan_at = self._seen + _GROWTH * min(self._seen, MEMORY)
        before, was_cold = self._looks, self.cold
        self.durations.learn(max(MEMORY, self._generation))
        self._plan()
        self.cold = self.durations.weight < _ENOUGH
        return not self.cold and (
            was_cold
            or any(
                _differ(before[i] - EDGES[i], self._looks[i] - EDGES[i])
                for i in self.durations.pending_edges()
            )
        )

    def _plan(self) -> None:
        self._survival = self.durations.survival()
        self._looks = optimal_poll_times(self._survival, self.durations.hazards, self._cost)


def _differ(before: float, now: float) -> bool:
    return not 1 / _NEW_PLAN < now / before < _NEW_PLAN


def _check_above_zero(name: str, value: float) -> None:
    if not value > 0:
        raise InvalidRequestError(f"{name} must be above 0, not {value!r}")


def _intervals_by_kind(state: Mapping[str, Any]) -> dict[str, Sequence[tuple[float, float, float]]]:
    try:
        if state["version"] != 1:
            raise ValueError(state["version"])  # noqa: TRY301 - all that is wrong with it is told alike
        return {
            str(kind): [_interval(*map(float, interval)) for interval in intervals]
            for kind, intervals in state["kinds"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidRequestError(
            f"no durations as they are kept: {type(error).__name__}: {error}"
        ) from error


def _interval(after: float, age: float, weight: float) -> tuple[float, float, float]:
    if not (0 <= after < age <= EDGES[-1] and 0 < weight < math.inf):
        raise ValueError((after, age, weight))
    return after, age, weight
