"""The best ages at which to poll a task, given the distribution of its duration.

A poll costs as much as `cost` seconds of delay. From an age at which the task had not ended, the
next poll goes to the age where the polls and the delay still to come cost least. That is a
dynamic program, backwards over the edges e of the bins. With the survival S (the share of tasks
that take longer than an age), its integral L from age 0, and the cost V(i) from edge i on:

    V(i) = min over j > i of  cost + E[delay of an end in (i, j]] + S(j) / S(i) V(j)

where the expected delay is (e(j) - e(i)) - (L(j) - L(i)) / S(i). With W(i) = S(i) V(i) - L(i)
this becomes

    W(i) = min over j > i of  S(i) (cost + e(j) - e(i)) + W(j)

A later age never has an earlier next poll, so the search for j ends at the one found for the
edge above: the work is little more than the number of edges times the edges in an interval.
Where the best interval is shorter than a bin, and where hardly any task is left, the interval is
the one for a constant hazard of h per second: sqrt(2 cost / h).
"""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

from photoanimer_async.polling.durations import EDGES, position

_WIDTHS = [upper - lower for lower, upper in pairwise(EDGES)]
_LAST = len(EDGES) - 1
_HARDLY_ANY_TASK = 1e-7


def optimal_poll_times(
    survival: Sequence[float], hazards: Sequence[float], cost: float
) -> list[float]:
    """Return, for each edge, the age in seconds of the next poll of a task that reached it."""
    integrals = _integrals(survival)
    ages = [0.0] * _LAST + [2.0 * EDGES[_LAST]]
    costs = [0.0] * _LAST + [2.0 * cost * survival[_LAST] - integrals[_LAST]]  # W
    farthest = _LAST
    for i in range(_LAST - 1, -1, -1):
        alive, edge = survival[i], EDGES[i]
        if alive < _HARDLY_ANY_TASK:
            interval = _constant_hazard_interval(hazards[i], _WIDTHS[i], cost)
            ages[i] = edge + interval
            costs[i] = alive * (cost + interval) - integrals[i]
            farthest = min(farthest, max(math.ceil(position(ages[i])), i + 1))
            continue
        # A loop, not `min`: it runs thousands of times for each new plan.
        best = i + 1
        least = alive * EDGES[best] + costs[best]
        for j in range(i + 2, farthest + 1):
            following = alive * EDGES[j] + costs[j]
            if following < least:
                least, best = following, j
        farthest = best
        costs[i] = alive * (cost - edge) + least
        ages[i] = EDGES[best]
        if best == i + 1:
            interval = _constant_hazard_interval(hazards[i], _WIDTHS[i], cost)
            if interval < _WIDTHS[i]:
                ages[i] = edge + interval
    return ages


def at(age: float, values: Sequence[float]) -> float:
    """Interpolate values that are given at the edges."""
    place = position(age)
    i = int(place)
    if i >= _LAST:
        return values[_LAST]
    share = place - i
    return values[i] * (1.0 - share) + values[i + 1] * share


def _integrals(survival: Sequence[float]) -> list[float]:
    areas = [
        width * (here + there) / 2
        for width, here, there in zip(_WIDTHS, survival, survival[1:], strict=False)
    ]
    return list(accumulate(areas, initial=0.0))


def _constant_hazard_interval(hazard: float, width: float, cost: float) -> float:
    per_width: float = -math.log1p(-hazard) or 1e-9
    interval: float = (2.0 * cost * width / per_width) ** 0.5
    return interval
