"""Shares of what accounts use together: places in the queue, downloads at the same time, and turns.

Half of the places are reserved: each account with a key has its share of them, by its weight, and
nobody else can take those. The other half belongs to whoever asks first. So an account that is
alone can take every place, and a flood by one account never takes the last place of another one.
If there are more accounts than reserved places, an account's share is its first place, as long as
there is one.

Turns share the processor. If submits of one account follow each other as fast as they can, those
of others wait behind all of them at each step. So while several accounts submit, few submits of
each are worked on at the same time.

The order of renders is decided in `rendering/fair_queue`.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from typing import Final

_RESERVED: Final = 2
"""One place in so many is reserved."""

_TURNS: Final = 2
_LONGEST_TURN: Final = 0.25
_SHARED_SECONDS: Final = 60.0


class AccountWeights:
    """The weights of the accounts that have a key; 1 for each account that has no other.

    Args:
        weights: weights by name of account.
    """

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        self._by_name = {} if weights is None else dict(weights)
        self._by_number: dict[int, float] = {}
        self._fractions: dict[int, float] = {}

    def update(self, accounts: Mapping[int, str]) -> None:
        """Replace the accounts that have a key: their names by number."""
        self._by_number = {
            number: self._by_name.get(name, 1.0) for number, name in accounts.items()
        }
        whole = sum(self._by_number.values())
        self._fractions = {number: weight / whole for number, weight in self._by_number.items()}

    def weight(self, account: int) -> float:
        """Return the weight of an account."""
        return self._by_number.get(account, 1.0)

    def fraction(self, account: int) -> float:
        """Return the account's part of the whole, 0 to 1; 0 if it has no key."""
        return self._fractions.get(account, 0.0)


class FairShares:
    """A number of places, of which each account has a share that others cannot take.

        places = FairShares(10_000, weights)
        if places.try_take(account):
            ...
            places.give_back(account)

    Args:
        limit: the number of places.
        weights: the accounts' weights.

    Attributes:
        taken: number of places that are taken.
    """

    def __init__(self, limit: int, weights: AccountWeights) -> None:
        self._limit = limit
        self._weights = weights
        self._reserved = limit // _RESERVED
        self._own: Counter[int] = Counter()
        self._borrowed: Counter[int] = Counter()
        self._all_borrowed = 0
        self.taken = 0

    @property
    def is_full(self) -> bool:
        """Whether every place is taken."""
        return self.taken >= self._limit

    def taken_by(self, account: int) -> int:
        """Return the number of places that an account has taken."""
        return self._own[account] + self._borrowed[account]

    def try_take(self, account: int) -> bool:
        """Take a place for an account if there is one for it; return whether there was."""
        is_own = self._has_own_place(account)
        can_borrow = self._all_borrowed < self._limit - self._reserved
        if self.taken >= self._limit or not (is_own or can_borrow):
            return False
        self._take(account, is_own=is_own)
        return True

    def take(self, account: int) -> None:
        """Take a place for an account, whether or not there is one."""
        self._take(account, is_own=self._has_own_place(account))

    def give_back(self, account: int) -> None:
        """Give back a place that the account has taken."""
        self.taken -= 1
        if account in self._borrowed:
            self._all_borrowed -= 1
            _decrement(self._borrowed, account)
        else:
            _decrement(self._own, account)

    def _has_own_place(self, account: int) -> bool:
        own = self._own[account]
        return not own or own < int(self._reserved * self._weights.fraction(account))

    def _take(self, account: int, *, is_own: bool) -> None:
        self.taken += 1
        if is_own:
            self._own[account] += 1
        else:
            self._borrowed[account] += 1
            self._all_borrowed += 1


def _decrement(counter: Counter[int], account: int) -> None:
    """Count one less; an account with none is forgotten."""
    counter[account] -= 1
    if not counter[account]:
        del counter[account]


class FairSlots:
    """Bounds what runs at the same time, by `FairShares`; who finds no place waits for one.

    await slots.take(account)
    try:
        ...
    finally:
        slots.give_back(account)

    Args:
        limit: how many may run at the same time.
        weights: the accounts' weights.
    """

    def __init__(self, limit: int, weights: AccountWeights) -> None:
        self._places = FairShares(limit, weights)
        self._waiting: OrderedDict[int, deque[asyncio.Future[None]]] = OrderedDict()

    async def take(self, account: int) -> None:
        """Take a place; wait until there is one."""
        if account in self._waiting or not self._places.try_take(account):
            await self._wait(account)

    def give_back(self, account: int) -> None:
        """Give back a place."""
        self._places.give_back(account)
        if self._waiting:
            self._grant()

    async def _wait(self, account: int) -> None:
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(account, deque()).append(granted)
        try:
            await granted
        except asyncio.CancelledError:
            if granted.cancelled():
                self._drop_cancelled(account)
            else:  # a place was granted in the same iteration of the loop
                self.give_back(account)
            raise

    def _grant(self) -> None:
        """Give free places to those who wait, to one account after another."""
        granted = True
        while granted:
            granted = False
            for account in list(self._waiting):
                self._drop_cancelled(account)
                if account in self._waiting and self._places.try_take(account):
                    granted = True
                    place = self._waiting[account].popleft()
                    place.set_result(None)
                    self._waiting.move_to_end(account)
                    self._drop_cancelled(account)

    def _drop_cancelled(self, account: int) -> None:
        """Remove what was cancelled from the front of an account's line, and an empty line."""
        waiting = self._waiting.get(account)
        while waiting and waiting[0].done():
            del waiting[0]
        if waiting is not None and not waiting:
            del self._waiting[account]


class FairTurns:
    """Bounds how many submits of an account are worked on at the same time, if others submit too.

        turn = await turns.take(account)
        try:
            ...
        finally:
            turn.end()

    A submit that takes long lets the next one begin: it waits for a photo that arrives slowly, and
    takes no processor time meanwhile. An account that has been alone for a minute is not bounded.
    """

    def __init__(self) -> None:
        self._time = asyncio.get_running_loop().time
        self._latest: int | None = None
        self._shared_until = 0.0
        self._turns: dict[int, asyncio.Semaphore] = {}

    async def take(self, account: int) -> "Turn":
        """Wait for a turn of an account."""
        now = self._time()
        if account != self._latest:
            if self._latest is not None:
                self._shared_until = now + _SHARED_SECONDS
            self._latest = account
        if now >= self._shared_until:
            return _FREE_TURN
        semaphore = self._turns.setdefault(account, asyncio.Semaphore(_TURNS))
        await semaphore.acquire()
        return _BoundedTurn(semaphore)


class Turn:
    """A turn of an account that is alone."""

    def end(self) -> None:
        """Let the next submit begin."""


_FREE_TURN: Final = Turn()


class _BoundedTurn(Turn):
    """A turn that ends by itself after some time."""

    def __init__(self, semaphore: asyncio.Semaphore) -> None:
        self._semaphore: asyncio.Semaphore | None = semaphore
        self._timer = asyncio.get_running_loop().call_later(_LONGEST_TURN, self.end)

    def end(self) -> None:
        """Let the next submit begin."""
        if self._semaphore is not None:
            self._semaphore.release()
            self._semaphore = None
            self._timer.cancel()
