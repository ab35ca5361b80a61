"""The gate that every submit of a batch passes, and that closes when no more are to leave.

It closes for a reason that holds for all photos (no credits, no budget, no journal) or because
the batch is being left. Submits that have passed it are let through to their answers.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from photoanimer_async.errors import NotSubmittedError, PhotoAnimerError


class SubmitGate:
    """Open until it is closed, once and for good."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.reason: PhotoAnimerError | None = None
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def close(self, reason: PhotoAnimerError | None = None) -> None:
        """Lets no submit through any more; the first reason stays."""
        if not self.closed.is_set():
            self.reason = reason
            self.closed.set()

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Around one submit, from before it is written down until its answer is.

        Raises:
            NotSubmittedError: the gate is closed.
        """
        if self.closed.is_set():
            why = "the batch is being left" if self.reason is None else str(self.reason)
            raise NotSubmittedError(f"not submitted: {why}") from self.reason
        self._under_way += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def settled(self, within: float) -> None:
        """Waits until no submit is under way, for so many seconds at most."""
        try:
            async with asyncio.timeout(within):
                await self._idle.wait()
        except TimeoutError:
            pass
