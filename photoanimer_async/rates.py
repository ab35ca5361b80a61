"""How fast requests may go out."""

import asyncio

from photoanimer_async.errors import InvalidRequestError


class Pace:
    """Spaces turns evenly.

    Args:
        rate: turns a second, at most; `None` for as many as come.

    Raises:
        InvalidRequestError: a rate that is not above 0.
    """

    def __init__(self, rate: float | None) -> None:
        if rate is not None and not rate > 0:
            raise InvalidRequestError(f"a rate must be above 0 a second, not {rate!r}")
        self._gap = 0.0 if rate is None else 1.0 / rate
        self._next = 0.0

    async def turn(self) -> None:
        """Waits until it is the caller's turn."""
        if not self._gap:
            return
        now = asyncio.get_running_loop().time()
        at = max(now, self._next)
        self._next = at + self._gap
        await asyncio.sleep(at - now)
