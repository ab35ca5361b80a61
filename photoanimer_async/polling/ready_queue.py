"""Items that are due, and which of them is next.

As long as items wait only for moments, the queue is first in, first out. When it has not been
empty for longer than `patience`, requests are scarce, and it prefers the item that a poll most
likely finds finished: the best of twelve drawn at random. Every fourth pop still takes the item
that has waited longest, so no item starves.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from random import Random
from typing import Generic, TypeVar

_T = TypeVar("_T")

_SAMPLE = 12
_OLDEST_EVERY = 4


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
