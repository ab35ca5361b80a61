"""What has changed, told to every page that is open.

A listener holds the names of what has changed since it last looked, each once, and not the
changes: however slow a page is, it keeps no more than that, and is told the latest of each.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

Change: TypeAlias = tuple[str, str]
"""Kind and id of something: that it is another now, or gone."""


class Listener:
    """One page that is open; made by `Feed.listener`."""

    def __init__(self) -> None:
        self._changes: dict[Change, None] = {}
        self._awake = asyncio.Event()
        self._closed = False

    def tell(self, change: Change) -> None:
        """Remembers a change until it is asked for."""
        self._changes[change] = None
        self._awake.set()

    def close(self) -> None:
        """Nothing more will change."""
        self._closed = True
        self._awake.set()

    async def changes(self, within: float) -> Sequence[Change] | None:
        """What has changed since the last call.

        Args:
            within: seconds to wait; nothing may have changed by then.

        Returns:
            The changes; `None` when the feed is closed.
        """
        try:
            async with asyncio.timeout(within):
                await self._awake.wait()
        except TimeoutError:
            return ()
        if self._closed:
            return None
        self._awake.clear()
        changes, self._changes = self._changes, {}
        return list(changes)


class Feed:
    """Tells all listeners."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._closed = False

    def changed(self, kind: str, number: str = "") -> None:
        """Something is another now, or gone."""
        for listener in self._listeners:
            listener.tell((kind, number))

    def close(self) -> None:
        """Lets all listeners go."""
        self._closed = True
        for listener in self._listeners:
            listener.close()

    @contextmanager
    def listener(self) -> Iterator[Listener]:
        """A listener, to the end of the block."""
        listener = Listener()
        if self._closed:
            listener.close()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
