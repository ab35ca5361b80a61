"""A limit of requests per second, with a short burst.

It is the generic cell rate algorithm. Its only state is the time at which the next request would
be due if requests came evenly. A request may be ahead of that time by the burst at most.
"""

from typing import Final

from attrs import define, field
from attrs.validators import ge, le

SMALLEST_RATE: Final = 0.001
"""Requests per second of the strictest limit: one in a quarter of an hour."""
LARGEST_RATE: Final = 1e6
"""Requests per second of the widest limit."""

_BURST_SECONDS: Final = 1.0
_LONGEST_WAIT: Final = 60.0
_ROUNDING: Final = 1e-9


@define
class RateLimit:
    """At most `rate` requests per second on average; one second's worth may come at once.

        limit = RateLimit(5)
        wait = limit.try_acquire(loop.time())  # 0: the request may proceed

    Attributes:
        rate: requests per second, 0.001 to 1,000,000.
    """

    rate: float = field(validator=[ge(SMALLEST_RATE), le(LARGEST_RATE)])
    _due: float = field(init=False, default=0.0)

    def try_acquire(self, now: float) -> float:
        """Count a request if the rate allows it.

        Args:
            now: seconds on a monotonic clock.

        Returns:
            0 if the request was counted, otherwise the seconds after which to try again.
        """
        interval = 1 / self.rate
        due = max(self._due, now)
        wait = due - now - max(_BURST_SECONDS - interval, 0.0)
        if wait > _ROUNDING:
            return wait
        self._due = due + interval
        return 0.0

    def use_up(self, seconds: float, now: float) -> None:
        """Allow no request for some seconds more, up to a minute from now.

        Args:
            seconds: seconds of work that the caller has caused.
            now: seconds on a monotonic clock.
        """
        self._due = min(max(self._due, now) + seconds, max(self._due, now + _LONGEST_WAIT))
