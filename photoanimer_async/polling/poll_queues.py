"""Two queues of tasks to be polled: those that wait for their time, and those whose time has come.

Waking the event loop for a single item costs about as much as the item itself, so `DueQueue`
groups items that are due close together, up to 256 under one time. That moves an item, earlier or
later, by at most a quarter of its wait, a sixteenth of its age or 16 ms, and at most 256 ms; where
the groups nearby are full, or in the past, by at most twice that. Polls that are as often early as
late barely change the mean delay: it grows only with the square of the shift.

As long as items wait only for moments, a `ReadyQueue` is first in, first out. When it has not been
empty for longer than `patience`, requests are scarce, and it prefers the item that a poll most
likely finds finished: the best of twelve drawn at random. Every fourth pop still takes the item
that has waited longest, so no item starves.
"""

import heapq
import math
from collections import OrderedDict, deque
from collections.abc import Callable
from random import Random
from typing import Generic, TypeVar

from attrs import define, field

_T = TypeVar("_T")

_TICKS_PER_SECOND = 1000
_WAIT_PER_GROUP_WIDTH = 2  # groups are half a wait apart: an item moves by a quarter of its wait
_AGE_PER_WAIT = 4  # a quarter of an item's age counts as its wait, where that is more
_NARROWEST, _WIDEST = 32, 512  # ticks between two groups
_LONG_WAIT = _WIDEST * _WAIT_PER_GROUP_WIDTH / _TICKS_PER_SECOND
_WIDTHS = [1] + [  # what is due now does not wait
    max(1 << max((ticks // _WAIT_PER_GROUP_WIDTH).bit_length() - 1, 0), _NARROWEST)
    for ticks in range(1, _WIDEST * _WAIT_PER_GROUP_WIDTH + 1)
]
"""The ticks between two groups, by the ticks that an item waits."""

_GROUP_SIZE = 256
_NEIGHBOURS = 8  # places for a group around a tick whose own group is full
_NEVER = math.inf

_SAMPLE = 12  # ready items that are compared for one pop
_OLDEST_EVERY = 4  # pops, of which one takes the item that has waited longest


class DueQueue(Generic[_T]):
    """A queue of items by due time. All times are in seconds.

    Attributes:
        next_due: when the first item is due; infinity if the queue is empty.
    """

    def __init__(self) -> None:
        self.next_due = _NEVER
        self._ticks: list[int] = []  # a heap
        self._groups: dict[int, _Group[_T]] = {}

    def add(
        self, item: _T, due: float, now: float, not_before: float = 0.0, age: float = 0.0
    ) -> float:
        """Add an item; return the time of the group that it joined.

        Args:
            item: the item.
            due: when it is due.
            now: the time.
            not_before: the group's time is no earlier.
            age: the item's, when it is due.
        """
        wait = due - now if due > now else 0.0
        if 0.0 < wait < age / _AGE_PER_WAIT:
            wait = age / _AGE_PER_WAIT
        width = _WIDTHS[int(wait * _TICKS_PER_SECOND)] if wait < _LONG_WAIT else _WIDEST
        tick = int(due * _TICKS_PER_SECOND / width + 0.5) * width
        if tick < now * _TICKS_PER_SECOND:
            tick += width
        group = self._groups.get(tick)
        if not_before or group is None or group.is_full:
            earliest = math.ceil(max(now, not_before) * _TICKS_PER_SECOND)
            tick = self._tick_with_room(tick, due, width, earliest)
            group = self._groups.get(tick)
            if group is None:
                group = self._groups[tick] = _Group(tick / _TICKS_PER_SECOND)
                heapq.heappush(self._ticks, tick)
                self.next_due = min(self.next_due, group.due)
        group.items.append(item)
        if len(group.items) >= _GROUP_SIZE:
            group.is_full = True
        return group.due

    def _tick_with_room(self, shared: int, due: float, width: int, earliest: int) -> int:
        """Return the tick that most items near `due` share, or the nearest one with room."""
        step = max(width // _NEIGHBOURS, 1)
        for place in range(_NEIGHBOURS):
            tick = shared + step * ((place + 1) // 2 if place % 2 else -place // 2)
            if tick >= earliest:
                group = self._groups.get(tick)
                if group is None or not group.is_full:
                    return tick
        return max(round(due * _TICKS_PER_SECOND / step) * step, earliest)

    def pop_due(self, now: float, limit: int) -> list[_T]:
        """Remove and return up to `limit` items that are due by now, the earliest group first."""
        popped: list[_T] = []
        while self._ticks and len(popped) < limit:
            group = self._groups[self._ticks[0]]
            if group.due > now:
                break
            room = limit - len(popped)
            popped += group.items[-room:]
            del group.items[-room:]
            group.is_full = False
            if not group.items:
                del self._groups[heapq.heappop(self._ticks)]
        self.next_due = self._groups[self._ticks[0]].due if self._ticks else _NEVER
        return popped


@define
class _Group(Generic[_T]):
    """Items that are due together.

    They share the float of their time: the garbage collector's pauses grow with the number of
    objects, and there may be 100,000 items.
    """

    due: float
    items: list[_T] = field(factory=list)
    is_full: bool = False


class ReadyQueue(Generic[_T]):
    """A queue of due items; the clock and the source of chance are arguments.

    Args:
        patience: seconds for which the queue stays first in, first out; 0 to prefer likely items
            at once.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._urgent: deque[_T] = deque()
        self._items: list[_T] = []
        self._places: OrderedDict[_T, int] = OrderedDict()  # each item's index, oldest first
        self._waiting_since = 0.0
        self._pops = 0

    def __len__(self) -> int:
        return len(self._urgent) + len(self._items)

    def add(self, item: _T, now: float) -> None:
        """Add an item; one that is already in the queue keeps its place."""
        if item in self._places:
            return
        if not self._items:
            self._waiting_since = now
        self._places[item] = len(self._items)
        self._items.append(item)

    def add_first(self, item: _T) -> None:
        """Add an item before all others."""
        self._urgent.append(item)

    def pop(self, now: float, chance: Callable[[_T, float], float], rng: Random) -> _T | None:
        """Remove and return the next item; `None` if the queue is empty.

        Args:
            now: the time.
            chance: how likely a poll of an item at this time finds it finished, 0 to 1.
            rng: draws the items that are compared.
        """
        if self._urgent:
            return self._urgent.popleft()
        if not self._items:
            return None
        if now - self._waiting_since < self._patience:
            return self._remove(next(iter(self._places)))
        self._pops += 1
        if self._pops % _OLDEST_EVERY == 0:
            return self._remove(next(iter(self._places)))
        drawn = self._items
        if len(drawn) > _SAMPLE:
            # Not `rng.sample`, which takes longer than preparing a request.
            drawn = [drawn[int(rng.random() * len(drawn))] for _ in range(_SAMPLE)]
        return self._remove(max(drawn, key=lambda item: chance(item, now)))

    def _remove(self, item: _T) -> _T:
        place, last = self._places.pop(item), self._items.pop()
        if last is not item:
            self._items[place] = last
            self._places[last] = place
        return item
