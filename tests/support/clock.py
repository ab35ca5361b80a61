"""A clock that a test moves forward, in place of waiting."""

import time

import pytest


class Clock:
    """The monotonic clock of this process, which asyncio and the package read."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._ahead = 0.0
        monotonic = time.monotonic
        patch.setattr(time, "monotonic", lambda: monotonic() + self._ahead)

    def move_forward(self, seconds: float) -> None:
        """Let seconds pass at once: timers that are due by then go off in the next iteration."""
        self._ahead += seconds
