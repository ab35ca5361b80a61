"""How long tasks take, learned from looks alone.

How it works. Nobody tells how long a task took. A look tells that the task had not ended at
one age, a later look that it has ended by another, and tasks in flight tell only that they
take longer than so far. So a duration is an interval, or a lower bound.

Ages are divided into bins that grow by a constant factor, and what is estimated is the hazard
of each: the chance to end in this bin for a task that has reached it. Expectation-maximisation
does it: with the hazards so far, each interval is shared out over the bins it covers, which
gives the expected ends in each bin and the tasks at risk there; their quotient is the next
hazard. Two things keep a few looks from being taken for more than they are. Ends and tasks at
risk are smoothed over neighbouring bins in each round, and the less the more has been seen:
much of it are tasks found ended at their first look, which tell nothing of the ages before
it; smoothed in full round after round, they would wash out what a few early looks told. And
each bin is held, with the weight of a few made-up tasks, to the hazard of the bin before it,
which is drawn to that of a broad prior: where nothing has been seen, the tail is heavy, neither
empty nor full.

Old observations fade: when all together weigh more than they may, all lose weight alike, and
those that come after count in full. What is seen of tasks that are in flight together must
not fade within its own generation, though: the first to be seen, which tell most of when tasks
begin to end, would be outweighed by the many that are merely found ended later.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate

_FIRST_EDGE = 0.05
_RATIO = 1.08
_LOG_RATIO = math.log(_RATIO)
_BINS = 162

EDGES: Sequence[float] = (0.0, *(_FIRST_EDGE * _RATIO**i for i in range(_BINS)))
"""The bins' edges in seconds of age: 0, 0.05, and on by 8 % to more than three hours."""

MEMORY = 600.0
"""What all observations weigh together, at most; what goes beyond makes the old ones fade."""

_ROUNDS = 5
_MEDIAN = 10.0
_FEW = 100.0
_WEIGHT = 4.4
_RISE = 0.21
_FALL = 0.05
_HIGHEST_HAZARD = 0.6
_NEGLIGIBLE = 0.02
_LOADED = 400.0
_REFRESHES = 6

Interval = tuple[float, float, float]
"""Seconds at which a task had not ended, seconds by which it had, and the weight of that."""


def position(age: float) -> float:
    """Where an age lies among the edges: a whole number on an edge, fractions between."""
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
    """The distribution of the durations of one kind of tasks.

    Attributes:
        hazards: for each bin, the chance to end in it for a task that has reached it.
        weight: what the observed ends weigh together.
    """

    def __init__(self) -> None:
        self.hazards: list[float] = list(_PRIOR)
        self.weight = 0.0
        self._ended: dict[tuple[int, int], float] = {}
        self._pending = [0] * (_BINS + 1)

    def pending(self, after: float, age: float) -> None:
        """A task that had not ended at `after` had not at `age` either."""
        self.left(after)
        self._pending[round(position(age))] += 1

    def ended(self, after: float, age: float, weight: float = 1.0) -> None:
        """A task that had not ended at `after` (0 if never looked at) had ended by `age`."""
        self.left(after)
        i = min(round(position(after)), _BINS - 1)
        j = max(round(position(age)), i + 1)
        self._ended[i, j] = self._ended.get((i, j), 0.0) + weight
        self.weight += weight

    def left(self, after: float) -> None:
        """A task that had not ended at `after` is looked at no more."""
        if after > 0.0:
            i = round(position(after))
            self._pending[i] = max(0, self._pending[i] - 1)

    def pending_edges(self) -> list[int]:
        """The edges at which tasks in flight were last seen; 0 for those never looked at."""
        return [0, *(i for i, count in enumerate(self._pending) if count and i)]

    def learn(self, memory: float = MEMORY) -> None:
        """Brings the hazards up to what has been seen; takes half a millisecond.

        Args:
            memory: what all observations may weigh together; older ones fade beyond that.
        """
        self._fade(memory)
        # One more than what has been seen, which smoothing reaches; the rest is the prior's.
        bins = min(max(self._bins_seen(), 1) + 1, _BINS)
        share = math.sqrt(_FEW / max(self.weight, _FEW))
        for _ in range(_ROUNDS):
            ends, reached = self._expected(bins)
            self.hazards[:bins] = _held_to_prior(_smoothed(ends, share), _smoothed(reached, share))
        self.hazards[bins:] = _drawn_to_prior(self.hazards[bins - 1], bins)

    def survival(self) -> list[float]:
        """For each edge, the share of tasks that take longer."""
        return _survival(self.hazards)

    def intervals(self) -> list[Interval]:
        """The observed ends, to be kept."""
        return [(EDGES[i], EDGES[j], weight) for (i, j), weight in self._ended.items()]

    @classmethod
    def of(cls, intervals: Iterable[Interval]) -> "Durations":
        """What was learned from these; they count for less than what is yet to be seen."""
        durations = cls()
        for after, age, weight in intervals:
            durations.ended(after, age, weight)
        durations._pending = [0] * (_BINS + 1)
        durations._fade(_LOADED)
        for _ in range(_REFRESHES):
            durations.learn()
        return durations

    def _fade(self, limit: float) -> None:
        if self.weight <= limit:
            return
        keep = limit / self.weight
        faded = {ages: weight * keep for ages, weight in self._ended.items()}
        self._ended = {ages: weight for ages, weight in faded.items() if weight > _NEGLIGIBLE}
        self.weight = math.fsum(self._ended.values())

    def _bins_seen(self) -> int:
        ended = max((j for _, j in self._ended), default=0)
        pending = next((i for i in range(_BINS, 0, -1) if self._pending[i]), 0)
        return max(ended, pending)

    def _expected(self, bins: int) -> tuple[list[float], list[float]]:
        """Ends in each bin and tasks that have reached it, as the hazards so far expect them."""
        alive = _survival(self.hazards[:bins])
        steps = [0.0] * (bins + 1)
        for (i, j), weight in self._ended.items():
            level = weight / max(alive[i] - alive[j], 1e-300)
            steps[i] += level
            steps[j] -= level
        levels = accumulate(steps[:-1])
        ends = [
            (here - there) * max(level, 0.0)
            for here, there, level in zip(alive, alive[1:], levels, strict=False)
        ]
        last_seen = zip(reversed(ends), reversed(self._pending[1 : bins + 1]), strict=True)
        reached = list(accumulate(end + count for end, count in last_seen))
        reached.reverse()
        return ends, reached


def _survival(hazards: Iterable[float]) -> list[float]:
    alive = 1.0
    shares = [alive]
    for hazard in hazards:
        alive *= 1.0 - hazard
        shares.append(alive)
    return shares


def _held_to_prior(ends: Sequence[float], reached: Sequence[float]) -> list[float]:
    """Ends per task that has reached the bin, with made-up tasks that follow the bin before."""
    hazard = _PRIOR[0]
    hazards = []
    for end, count, prior in zip(ends, reached, _PRIOR, strict=False):
        expected = hazard + (_RISE if prior > hazard else _FALL) * (prior - hazard)
        hazard = min((end + _WEIGHT * expected) / (count + _WEIGHT), _HIGHEST_HAZARD)
        hazards.append(hazard)
    return hazards


def _drawn_to_prior(hazard: float, bins: int) -> list[float]:
    """The hazards from this bin on, of which nothing has been seen."""
    hazards = []
    for prior in _PRIOR[bins:]:
        hazard += (_RISE if prior > hazard else _FALL) * (prior - hazard)
        hazards.append(min(hazard, _HIGHEST_HAZARD))
    return hazards


def _smoothed(values: Sequence[float], share: float) -> Sequence[float]:
    """Twice, half of such a share of each value goes to its neighbours."""
    moved, kept = share / 4, 1 - share / 2
    for _ in range(2):
        before = [values[0], *values[:-1]]
        after = [*values[1:], values[-1]]
        values = [kept * b + moved * (a + c) for a, b, c in zip(before, values, after, strict=True)]
    return values
