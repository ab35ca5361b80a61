"""Whether a client may be used: it is open, not closing, and on the loop that opened it."""

import asyncio
import os

from photoanimer_async.errors import PhotoAnimerError


class OpenState:
    """The state that every call of a client requires before it sends anything."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0
        self._is_closing = False

    def open(self) -> None:
        """Allow calls on the running event loop, in this process."""
        self._loop, self._process = asyncio.get_running_loop(), os.getpid()
        self._is_closing = False

    async def begin_closing(self) -> None:
        """Refuse calls that begin from now on."""
        self._is_closing = True

    async def close(self) -> None:
        """Refuse all calls."""
        self._loop = None

    def require_open(self) -> None:
        """Check that the client may be used here and now.

        Raises:
            RuntimeError: it is not open, or was opened on another event loop or in another
                process.
            PhotoAnimerError: it is being closed.
        """
        if self._loop is None:
            raise RuntimeError("the client is not open: use it inside `async with`")
        if self._process != os.getpid():
            raise RuntimeError("the client was opened in another process: open one in each")
        if self._loop is not asyncio.get_running_loop():
            raise RuntimeError("the client was opened on another event loop: open one on each")
        if self._is_closing:
            raise PhotoAnimerError("the client is being closed: nothing was sent")
