"""When to look at a task next."""

from random import Random
from typing import Protocol

from attrs import frozen


class PollPolicy(Protocol):
    """Decides when a task is asked for next. Pure: the caller owns clock and randomness."""

    def delay(self, age: float, rng: Random) -> float:
        """Seconds until the next look at a task that was submitted `age` seconds ago.

        Called with age 0 for the first look, then after each look that found it processing.
        """
        ...


@frozen
class GrowingInterval:
    """Looks soon, and then less and less often: each interval is a share of the task's age.

    A task that takes T seconds is so noticed at most about `share` x T late, with a number of
    looks that grows with the logarithm of T.

    Attributes:
        first: seconds until the first look.
        share: of the task's age, how long to wait for the next look.
        shortest: seconds between two looks, at least.
        longest: seconds between two looks, at most.
    """

    first: float = 2.0
    share: float = 0.2
    shortest: float = 0.5
    longest: float = 15.0

    def delay(self, age: float, rng: Random) -> float:
        """See `PollPolicy`. Ten per cent of chance keep a batch's looks apart."""
        wait = self.first if age <= 0 else self.share * age
        return min(max(wait, self.shortest), self.longest) * rng.uniform(0.9, 1.1)
