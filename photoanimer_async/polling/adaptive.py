"""`AdaptivePolling`: learns from the polls how long tasks take, and polls when it pays most.

Each kind of task has a distribution of durations (`durations`) and a plan made from it: the
best age of the next poll for every age (`poll_times`).

A cold start. Hundreds of tasks submitted at once, none of which has been seen to end, would all
be polled together too early, and then together too late. So until a few have ended, the first
polls are spread over ages from early to very late, in proportion to the age. The early ones find
out when tasks begin to end, which makes a new plan for all tasks long before the late ones are
due.

A new plan is made whenever the observations have doubled, and later, from a hundred on, whenever
they have grown by 30 %. Ends count in full; a poll that found a task processing counts as much as
an end had been expected, so tasks that take longer than expected are noticed before any ends.

Exploring. If every first poll came at the same age, and most tasks had ended by then, nothing
would be learned any more about the ages before it. So a few first polls come early.
"""

import math
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from photoanimer_async.errors import InvalidRequestError
from photoanimer_async.polling.durations import EDGES, MEMORY, Durations, Interval
from photoanimer_async.polling.policies import check_above_zero
from photoanimer_async.polling.poll_times import at, optimal_poll_times

# Chosen with the simulation of `benchmarks/polling.py`.
_JITTER = 0.03  # of each delay, so that tasks submitted together are not polled together
_EXPLORERS = 0.03  # the share of first polls that come early,
_EARLIEST = 0.3  # at this part of their delay or later
_GOLDEN = 0.6180339887498949  # its multiples, modulo 1, fill the range evenly, however many
_EARLY_SHARE = 0.6  # an exponent: below 1, more first polls of a cold start come late than early
_ENOUGH = 4.0  # ends, after which the start is no longer cold
_FEW, _GROWTH_OF_FEW, _GROWTH = 100.0, 1.0, 0.3  # observations, and their growth for a new plan
_CHANGED = 1.2  # the ratio of two intervals from which on they differ


class AdaptivePolling:
    """A poll policy that learns how long tasks take, and polls when it pays most.

        client = PhotoAnimerClient(poll=AdaptivePolling(cost=0.05))  # finds ends sooner

    It belongs to one event loop, and may be shared by clients of the same service.

    Args:
        cost: how many seconds of delay one poll is worth: more of it means fewer polls.
        shortest: seconds between two polls of a task, at least.
        longest: seconds between two polls of a task, at most.

    Raises:
        InvalidRequestError: a value is not above 0, or `longest` is below `shortest`.
    """

    def __init__(self, cost: float = 0.28, *, shortest: float = 0.1, longest: float = 60.0) -> None:
        check_above_zero("cost", cost)
        check_above_zero("shortest", shortest)
        if not longest >= shortest:
            raise InvalidRequestError(f"longest is {longest!r}, below shortest ({shortest!r})")
        self._cost = cost
        self._shortest = shortest
        self._longest = longest
        self._kinds = _Kinds(cost)

    def delay(self, kind: str, age: float, rng: Random) -> float:
        """See `PollPolicy`. Always between `shortest` and `longest`."""
        known = self._kinds[kind]
        if age <= 0:
            wait = known.first_poll() if known.cold else known.poll_ages[0]
            if rng.random() < _EXPLORERS:
                wait *= rng.uniform(_EARLIEST, 1.0)
        else:
            wait = at(age, known.poll_ages) - age
        wait *= 1.0 - _JITTER + 2.0 * _JITTER * rng.random()
        return min(max(wait, self._shortest), self._longest)

    def task_added(self, kind: str) -> None:
        """See `LearningPolicy`."""
        self._kinds[kind].added()

    def task_processing(self, kind: str, after: float, age: float) -> bool:
        """See `LearningPolicy`."""
        known = self._kinds[kind]
        known.durations.record_processing(after, age)
        return known.observe(known.chance(after, age))

    def task_ended(self, kind: str, after: float, age: float) -> bool:
        """See `LearningPolicy`."""
        known = self._kinds[kind]
        known.durations.record_end(after, age)
        known.removed()
        return known.observe(1.0)

    def task_removed(self, kind: str, after: float) -> None:
        """See `LearningPolicy`."""
        known = self._kinds[kind]
        known.durations.record_removed(after)
        known.removed()

    def chance(self, kind: str, after: float, age: float) -> float:
        """See `LearningPolicy`."""
        return self._kinds[kind].chance(after, age)

    def to_dict(self) -> dict[str, Any]:
        """Return the observed durations in a form that JSON can hold."""
        kinds = {name: kind.durations.intervals() for name, kind in self._kinds.items()}
        return {"version": 1, "kinds": {name: seen for name, seen in kinds.items() if seen}}

    def learn_from(self, state: Mapping[str, Any]) -> None:
        """Add the durations that `to_dict` returned, for kinds that have none yet.

        Raises:
            InvalidRequestError: `to_dict` does not return such a value.
        """
        for name, intervals in _intervals_by_kind(state).items():
            known = self._kinds.get(name)
            if known is None or not known.durations.weight:
                self._kinds[name] = _Kind(self._cost, Durations.from_intervals(intervals))


class _Kinds(dict[str, "_Kind"]):
    """The kinds by name, each made when it is first asked for."""

    def __init__(self, cost: float) -> None:
        super().__init__()
        self._cost = cost

    def __missing__(self, name: str) -> "_Kind":
        kind = self[name] = _Kind(self._cost, Durations())
        return kind


class _Kind:
    """One kind of task: the distribution of its durations, and the plan made from it.

    Attributes:
        durations: the distribution.
        cold: whether so few tasks have been seen to end that first polls are spread.
        poll_ages: for each edge, the age of the next poll of a task that had not ended there.
    """

    def __init__(self, cost: float, durations: Durations) -> None:
        self.durations = durations
        self.cold = durations.weight < _ENOUGH
        self._cost = cost
        self._in_flight = 0
        self._generation = 0.0
        self._spread = 0
        self._observed = durations.weight
        self._plan()

    def added(self) -> None:
        self._in_flight += 1
        self._generation = max(self._generation, self._in_flight)

    def removed(self) -> None:
        self._in_flight = max(self._in_flight - 1, 0)
        self._generation = max(self._generation - 0.5, self._in_flight)

    def first_poll(self) -> float:
        """Return the age of a first poll in a cold start: the more tasks, the wider the spread."""
        place = self._spread
        self._spread += 1
        if place == 0:
            return self.poll_ages[0]
        share = (place * _GOLDEN % 1.0) ** _EARLY_SHARE
        return self.poll_ages[0] / 4 * math.exp(share * math.log(1.0 + place))

    def chance(self, after: float, age: float) -> float:
        alive = at(after, self._survival)
        return 1.0 - at(age, self._survival) / alive if alive > 0.0 else 1.0

    def observe(self, ends: float) -> bool:
        """Count an observation, and make a new plan when it is time to.

        Returns:
            Whether the new plan differs much for tasks in flight.
        """
        if ends > 0.0:
            self._observed += ends
        if self._observed < self._plan_at:
            return False
        before, was_cold = self.poll_ages, self.cold
        self.durations.update(max(MEMORY, self._generation))
        self._plan()
        self.cold = self.durations.weight < _ENOUGH
        return not self.cold and (
            was_cold
            or any(
                _differ(before[i] - EDGES[i], self.poll_ages[i] - EDGES[i])
                for i in self.durations.edges_in_flight()
            )
        )

    def _plan(self) -> None:
        growth = _GROWTH_OF_FEW if self._observed < _FEW else _GROWTH
        self._plan_at = max(_ENOUGH, self._observed + growth * min(self._observed, MEMORY))
        self._survival = self.durations.survival()
        self.poll_ages = optimal_poll_times(self._survival, self.durations.hazards, self._cost)


def _differ(before: float, now: float) -> bool:
    return not 1 / _CHANGED < now / before < _CHANGED


def _intervals_by_kind(state: Mapping[str, Any]) -> dict[str, Sequence[Interval]]:
    try:
        if state["version"] != 1:
            raise ValueError(state["version"])  # noqa: TRY301 - reported as any other damage
        return {
            str(kind): [_interval(*map(float, interval)) for interval in intervals]
            for kind, intervals in state["kinds"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidRequestError(
            f"not saved durations (version 1): {type(error).__name__}: {error}"
        ) from error


def _interval(after: float, age: float, weight: float) -> Interval:
    if not (0 <= after < age < math.inf and 0 < weight < math.inf):
        raise ValueError((after, age, weight))
    return after, age, weight
