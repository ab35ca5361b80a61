"""A limit to how often something may happen: so many times a second, with a short burst.

The generic cell rate algorithm: one number, the moment at which the next one would come if they
came evenly. Who is ahead of that by more than the burst has to wait.
"""

from typing import Final

from attrs import define, field
from attrs.validators import gt

_BURST_SECONDS: Final = 1.0
_ROUNDING: Final = 1e-9


@define
class RateLimit:
    """At most `rate` a second on average; those of one second may come at once.

    Attributes:
        rate: how many in a second; more than 0.
    """

    rate: float = field(validator=gt(0))
    _due: float = field(init=False, default=0.0)

    def wait(self, now: float) -> float:
        """Take a turn, if there is one.

        Args:
            now: seconds on a monotonic clock.

        Returns:
            0 if the turn was taken, else the seconds until there is one.
        """
        interval = 1 / self.rate
        due = max(self._due, now)
        wait = due - now - max(_BURST_SECONDS - interval, 0.0)
        if wait > _ROUNDING:
            return wait
        self._due = due + interval
        return 0.0
