"""The best ages to look at a task, where the distribution of its duration is known.

How it works. A look costs as much as `cost` seconds of delay. From an age at which the task
had not ended, the next look is to be where looks and delay still to come cost least: a dynamic
program, backwards over the edges e of the bins. With the survival S and the cost V(i) from
edge i on,

    V(i) = min over j > i of  cost + E[delay of an end in (i, j]] + S(j) / S(i) V(j)

and that delay is (e(j) - e(i)) - (integral of S from e(i) to e(j)) / S(i). A later age never
has an earlier next look, so the search for j ends at the one found for the edge above: the
whole costs little more than the edges, times the edges in a gap. Where the best gap is shorter
than a bin, and where hardly a task gets, it is the one for a constant hazard h a second:
sqrt(2 cost / h).
"""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

from photoanimer_async.polling.durations import EDGES, position

_WIDTHS = [upper - lower for lower, upper in pairwise(EDGES)]
_LAST = len(EDGES) - 1
_HARDLY_A_TASK = 1e-7


def next_looks(survival: Sequence[float], hazards: Sequence[float], cost: float) -> list[float]:
    """For each edge, the age in seconds of the next look at a task that had not ended there."""
    lived = _integrals(survival)
    looks = [0.0] * _LAST + [2 * EDGES[_LAST]]
    value = [0.0] * _LAST + [2 * cost]
    farthest = _LAST
    for i in range(_LAST - 1, -1, -1):
        alive, edge = survival[i], EDGES[i]
        gap = _gap(hazards[i], _WIDTHS[i], cost)
        if alive < _HARDLY_A_TASK:
            looks[i] = edge + gap
            value[i] = cost + gap
            farthest = min(farthest, max(math.ceil(position(looks[i])), i + 1))
            continue
        least, farthest = min(
            (EDGES[j] * alive - lived[j] + survival[j] * value[j], j)
            for j in range(i + 1, farthest + 1)
        )
        value[i] = cost + (least + lived[i]) / alive - edge
        looks[i] = EDGES[farthest] if farthest > i + 1 else edge + min(gap, _WIDTHS[i])
    return looks


def at(age: float, values: Sequence[float]) -> float:
    """What is known at the edges, between them."""
    place = position(age)
    i = min(int(place), _LAST - 1)
    share = place - i
    return values[i] * (1.0 - share) + values[i + 1] * share


def _integrals(survival: Sequence[float]) -> list[float]:
    areas = (
        width * (here + there) / 2
        for width, here, there in zip(_WIDTHS, survival, survival[1:], strict=False)
    )
    return list(accumulate(areas, initial=0.0))


def _gap(hazard: float, width: float, cost: float) -> float:
    a_second = -math.log1p(-hazard) / width
    return math.sqrt(2.0 * cost / max(a_second, 1e-9))
