"""The distribution of task durations, estimated from polls alone.

The service does not report how long a task took. One poll shows that the task had not ended at
one age, a later poll that it had ended by another age, and a task in flight shows only that it
takes longer than its age. So each observation of a duration is an interval or a lower bound.

Ages are divided into bins whose width grows by a constant factor. What is estimated is the hazard
of each bin: the chance that a task which has reached the bin ends in it. The method is
expectation-maximisation. Given the present hazards, each observed interval is distributed over
the bins that it covers; this yields the expected number of ends in each bin and of tasks at risk
there, and their quotient is the new hazard. Two measures keep few observations from counting too
much:

- In each round, ends and tasks at risk are smoothed over neighbouring bins, and less the more
  has been observed. Many tasks are found ended at their first poll, which says nothing about the
  ages before it. Smoothing them in full, round after round, would erase what a few early polls
  found.
- Each bin is tied, with the weight of a few imaginary tasks, to the hazard of the bin before it,
  and that is drawn towards a broad prior. Where nothing has been observed the tail is heavy:
  neither certain to end nor certain to last.

Old observations fade: once the total weight exceeds a limit, all of them lose weight
proportionally, and new ones count in full. Observations of tasks that are in flight together must
not fade within their own generation, though. The first of them contain most of the information
about when tasks begin to end, and would be outweighed by the many that are merely found ended
later.
"""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from operator import mul

_FIRST_EDGE = 0.05
_RATIO = 1.1
_LOG_RATIO = math.log(_RATIO)
_BINS = 131

EDGES: Sequence[float] = (0.0, *(_FIRST_EDGE * _RATIO**i for i in range(_BINS)))
"""The bins' edges in seconds of age: 0, 0.05, and then 10 % more each, up to over three hours."""

MEMORY = 600.0
"""The total weight of all observations beyond which old ones fade."""

# Chosen with the simulation of `benchmarks/polling.py`.
_ROUNDS = 3  # of expectation-maximisation in an update, which begins at the last hazards
_LOADED_UPDATES = 6  # for loaded observations, which begin at the prior
_LOADED = 400.0  # the weight of loaded observations: less than `MEMORY`, so that new ones count
_NEGLIGIBLE = 0.02  # the weight below which a faded observation is dropped
_SMOOTHED = 0.65  # the part of ends and of tasks at risk that moves to neighbouring bins,
_FEW = 100.0  # as long as the weight of observations is below this
_MEDIAN = 10.0  # seconds, of the prior
_WEIGHT = 4.4  # imaginary tasks that tie a bin to the one before it
_RISE, _FALL = 0.25, 0.06  # how far a bin is drawn to a prior that is higher, or lower
_HIGHEST_HAZARD = 0.68  # no bin is certain to end all tasks

_POSITIONS = 1024
"""Each poll needs those of two ages several times."""

Interval = tuple[float, float, float]
"""The age in seconds at which a task had not ended, the age by which it had, and the weight."""


@lru_cache(_POSITIONS)
def position(age: float) -> float:
    """Return an age's position among the edges: an integer at an edge, fractions between."""
    if age >= EDGES[-1]:
        return float(_BINS)
    if age >= _FIRST_EDGE:
        return 1.0 + math.log(age / _FIRST_EDGE) / _LOG_RATIO
    return age / _FIRST_EDGE if age > 0.0 else 0.0


def _prior_hazard(age: float) -> float:
    # Log-logistic: half of the tasks take less than the median, a few very much longer.
    return 1.0 - math.exp(-_LOG_RATIO * age / (_MEDIAN + age))


_PRIOR = [_prior_hazard(edge) for edge in EDGES[:-1]]


class Durations:
    """The estimated distribution of the durations of one kind of task.

    Attributes:
        hazards: for each bin, the chance that a task which has reached it ends in it.
        weight: the total weight of the observed ends.
    """

    def __init__(self) -> None:
        self.hazards: list[float] = list(_PRIOR)
        self.weight = 0.0
        self._ended: dict[tuple[int, int], float] = {}
        self._in_flight = [0] * (_BINS + 1)  # tasks by the edge of their last poll

    def record_processing(self, after: float, age: float) -> None:
        """Record that a task that had not ended at age `after` had not ended at `age` either."""
        self.record_removed(after)
        self._in_flight[round(position(age))] += 1

    def record_end(self, after: float, age: float, weight: float = 1.0) -> None:
        """Record that a task that had not ended at `after` (0: not polled) had ended by `age`."""
        self.record_removed(after)
        i = min(round(position(after)), _BINS - 1)
        j = max(round(position(age)), i + 1)
        self._ended[i, j] = self._ended.get((i, j), 0.0) + weight
        self.weight += weight

    def record_removed(self, after: float) -> None:
        """Record that a task that had not ended at age `after` is no longer polled."""
        if after > 0.0:
            i = round(position(after))
            self._in_flight[i] = max(0, self._in_flight[i] - 1)

    def edges_in_flight(self) -> list[int]:
        """Return the edges at which tasks in flight were last polled, and 0 for those never."""
        return [0, *(i for i, count in enumerate(self._in_flight) if count and i)]

    def update(self, memory: float = MEMORY) -> None:
        """Compute the hazards from the observations so far, in about a tenth of a millisecond.

        Args:
            memory: the total weight beyond which old observations fade.
        """
        self._fade(memory)
        # One bin more than was observed, which smoothing reaches; the rest follows the prior.
        bins = min(max(self._observed_bins(), 1) + 1, _BINS)
        share = _SMOOTHED * math.sqrt(_FEW / max(self.weight, _FEW))
        for _ in range(_ROUNDS):
            ends, at_risk = self._expected(bins)
            self.hazards[:bins] = _tied_to_prior(_smoothed(ends, share), _smoothed(at_risk, share))
        self.hazards[bins:] = _drawn_to_prior(self.hazards[bins - 1], bins)

    def survival(self) -> list[float]:
        """Return, for each edge, the share of tasks that take longer."""
        return _survival(self.hazards)

    def intervals(self) -> list[Interval]:
        """Return the observed ends, for `from_intervals`."""
        return [(EDGES[i], EDGES[j], weight) for (i, j), weight in self._ended.items()]

    @classmethod
    def from_intervals(cls, intervals: Iterable[Interval]) -> "Durations":
        """Estimate durations from saved observations; new ones will count for more."""
        durations = cls()
        for after, age, weight in intervals:
            durations.record_end(after, age, weight)
        durations._fade(_LOADED)
        for _ in range(_LOADED_UPDATES):
            durations.update()
        return durations

    def _fade(self, limit: float) -> None:
        if self.weight <= limit:
            return
        keep = limit / self.weight
        faded = {ages: weight * keep for ages, weight in self._ended.items()}
        self._ended = {ages: weight for ages, weight in faded.items() if weight > _NEGLIGIBLE}
        self.weight = math.fsum(self._ended.values())

    def _observed_bins(self) -> int:
        ended = max([j for _, j in self._ended], default=0)
        in_flight = max([i for i, count in enumerate(self._in_flight) if count], default=0)
        return max(ended, in_flight)

    def _expected(self, bins: int) -> tuple[list[float], list[float]]:
        """Return the ends expected in each bin, and the tasks at risk, given the hazards."""
        alive = _survival(self.hazards[:bins])
        steps = [0.0] * (bins + 1)
        for (i, j), weight in self._ended.items():
            level = weight / (alive[i] - alive[j] or 1e-300)
            steps[i] += level
            steps[j] -= level
        levels = accumulate(steps[:-1])
        ends = [
            (here - there) * level if level > 0.0 else 0.0
            for here, there, level in zip(alive, alive[1:], levels, strict=False)
        ]
        last_polled = zip(reversed(ends), reversed(self._in_flight[1 : bins + 1]), strict=True)
        at_risk = list(accumulate([end + count for end, count in last_polled]))
        at_risk.reverse()
        return ends, at_risk


def _survival(hazards: Iterable[float]) -> list[float]:
    return list(accumulate([1.0 - hazard for hazard in hazards], mul, initial=1.0))


def _tied_to_prior(ends: Sequence[float], at_risk: Sequence[float]) -> list[float]:
    """Return the hazards of observed bins, with imaginary tasks that follow the bin before."""
    hazard = _PRIOR[0]
    hazards = [0.0] * len(ends)
    for i, (end, count, prior) in enumerate(zip(ends, at_risk, _PRIOR, strict=False)):
        expected = hazard + (_RISE if prior > hazard else _FALL) * (prior - hazard)
        hazard = (end + _WEIGHT * expected) / (count + _WEIGHT)
        if hazard > _HIGHEST_HAZARD:  # noqa: PLR1730 - `min` takes longer than all the rest
            hazard = _HIGHEST_HAZARD
        hazards[i] = hazard
    return hazards


def _drawn_to_prior(hazard: float, bins: int) -> list[float]:
    """Return the hazards of the bins from this one on, where nothing has been observed."""
    hazards = _PRIOR[bins:]
    for i, prior in enumerate(hazards):
        hazard += (_RISE if prior > hazard else _FALL) * (prior - hazard)
        hazards[i] = hazard
        if hazard > _HIGHEST_HAZARD:
            hazards[i] = _HIGHEST_HAZARD
    return hazards


def _smoothed(values: Sequence[float], share: float) -> Sequence[float]:
    """Move such a share of each value to its neighbours."""
    moved, kept = share / 2, 1 - share
    before = [values[0], *values[:-1]]
    after = [*values[1:], values[-1]]
    return [kept * b + moved * (a + c) for a, b, c in zip(before, values, after, strict=True)]
