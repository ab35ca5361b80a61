"""Sleep until a time that may still move forward."""

import asyncio

_NEVER = float("inf")


class Wakeup:
    """Lets one coroutine sleep until a time, or until others wake it.

    Waking a coroutine that is not asleep does nothing: it reads the state anew before it sleeps.
    All times are in seconds on the event loop's clock.
    """

    def __init__(self) -> None:
        self._sleeper: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._when = _NEVER  # not read from the timer: uvloop's handles do not all have it

    async def sleep_until(self, when: float) -> None:
        """Sleep until this time, or until `wake`; infinity sleeps until `wake`."""
        self._sleeper = asyncio.get_running_loop().create_future()
        self.wake_at(when)
        try:
            await self._sleeper
        finally:
            self._sleeper, self._when = None, _NEVER
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def wake(self) -> None:
        """Wake the sleeper now."""
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)

    def wake_at(self, when: float) -> None:
        """Wake the sleeper at this time, unless it wakes earlier."""
        if self._sleeper is not None and when < self._when:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._sleeper.get_loop().call_at(when, self.wake)
            self._when = when
