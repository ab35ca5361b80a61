"""What is due when, and which first.

`Agenda` keeps any number of items by the time they are due: an item costs a place in a list.
Who wakes up for one item alone pays as much again for the waking, so items that are due at
nearly the same time come up together, up to 64 of them: early or late by a quarter of the wait
and by 256 milliseconds, at most; by twice that where the groups nearby are full. That delays
what is looked for by next to nothing, as a look that is as often early as late changes the mean
delay by the square of its share of the wait only.
`Turns` are the items that are due while there is no room for all of them.
"""

import heapq
import math
from collections import OrderedDict, deque
from collections.abc import Callable
from random import Random
from typing import Generic, TypeVar

from attrs import define, field

_T = TypeVar("_T")

_TICKS_A_SECOND = 1000
_SHARE = 2
_WIDEST = 512
_FULL = 64
_PLACES = 8
_FAR = _WIDEST * _SHARE / _TICKS_A_SECOND
_DRAWN = 12
_FOR_THE_OLDEST = 4


class Agenda(Generic[_T]):
    """Items by the time at which they are due."""

    def __init__(self) -> None:
        self._ticks: list[int] = []
        self._groups: dict[int, _Group[_T]] = {}

    def add(self, item: _T, due: float, now: float, not_before: float = 0.0) -> float:
        """Puts an item on the agenda; gives when it will come up. All times in seconds."""
        width = int((due - now) * _TICKS_A_SECOND / _SHARE) if due < now + _FAR else _WIDEST
        together = 1 << (width.bit_length() - 1) if width > 1 else 1
        earliest = math.ceil(max(now, not_before) * _TICKS_A_SECOND)
        tick = self._with_room(round(due * _TICKS_A_SECOND), together, earliest)
        group = self._groups.get(tick)
        if group is None:
            group = self._groups[tick] = _Group(tick / _TICKS_A_SECOND)
            heapq.heappush(self._ticks, tick)
        group.items.append(item)
        return group.due

    def _with_room(self, due: int, together: int, earliest: int) -> int:
        """The tick at which most come together, or one near it; if all are full, the nearest."""
        shared = round(due / together) * together
        step = max(together // _PLACES, 1)
        for place in range(_PLACES):
            tick = shared + step * ((place + 1) // 2 if place % 2 else -place // 2)
            if tick >= earliest:
                group = self._groups.get(tick)
                if group is None or len(group.items) < _FULL:
                    return tick
        return max(round(due / step) * step, earliest)

    def next_due(self) -> float | None:
        """When the first item is due; `None` if there is none."""
        return self._groups[self._ticks[0]].due if self._ticks else None

    def take_due(self, now: float, at_most: int) -> list[_T]:
        """Takes off what is due by now, so many items at most, group by group."""
        taken: list[_T] = []
        while self._ticks and len(taken) < at_most:
            group = self._groups[self._ticks[0]]
            if group.due > now:
                break
            more = at_most - len(taken)
            taken += group.items[-more:]
            del group.items[-more:]
            if not group.items:
                del self._groups[heapq.heappop(self._ticks)]
        return taken


@define
class _Group(Generic[_T]):
    """Items that come up together.

    They share the object that says when: what 100,000 items do not refer to, the garbage
    collector need not visit.
    """

    due: float
    items: list[_T] = field(factory=list)


class Turns(Generic[_T]):
    """Items that are due, and who of them is next.

    While it is a matter of moments, whoever is due first is next. Once there has not been room
    for all for longer than that, the one with the best chance is next, out of a few drawn by
    lot; but every fourth turn is that of the one that has waited longest, so that every item's
    turn comes.

    Args:
        patience: seconds for which turns go by the time; 0 to go by chance at once.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._first: deque[_T] = deque()
        self._items: list[_T] = []
        self._places: OrderedDict[_T, int] = OrderedDict()
        self._since = 0.0
        self._taken = 0

    def __len__(self) -> int:
        return len(self._first) + len(self._items)

    def add(self, item: _T, now: float) -> None:
        """Lets an item wait for its turn; one that waits already has its place."""
        if item in self._places:
            return
        if not self._items:
            self._since = now
        self._places[item] = len(self._items)
        self._items.append(item)

    def add_first(self, item: _T) -> None:
        """Gives an item its turn before all that wait."""
        self._first.append(item)

    def take(self, now: float, chance: Callable[[_T], float], rng: Random) -> _T:
        """Takes the next one.

        Raises:
            LookupError: there is none.
        """
        if self._first:
            return self._first.popleft()
        if not self._items:
            raise LookupError("no item waits for its turn")
        if now - self._since < self._patience:
            return self._take_oldest()
        self._taken += 1
        if self._taken % _FOR_THE_OLDEST == 0:
            return self._take_oldest()
        drawn = self._items
        if len(drawn) > _DRAWN:
            # Not `sample`, which takes longer than a request's preparation.
            drawn = [drawn[int(rng.random() * len(drawn))] for _ in range(_DRAWN)]
        return self._taken_off(max(drawn, key=chance))

    def _take_oldest(self) -> _T:
        return self._taken_off(next(iter(self._places)))

    def _taken_off(self, item: _T) -> _T:
        place, last = self._places.pop(item), self._items.pop()
        if last is not item:
            self._items[place] = last
            self._places[last] = place
        return item
