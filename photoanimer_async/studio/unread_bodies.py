"""Requests that are answered before their whole body has arrived, as one that is too large.

aiohttp then reads and drops the rest for some seconds: if it closed the connection at once, the
browser would lose the answer. A shutdown would wait for that as long as for an open request.
"""

import asyncio
from typing import Final
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp import web

_SECONDS_AT_SHUTDOWN: Final = 0.5


class UnreadBodies:
    """Shortens, when an application shuts down, the time for which bodies are read and dropped."""

    def __init__(self) -> None:
        # By the task of the connection. A body that has been read to its end is left out below.
        self._bodies: WeakKeyDictionary[asyncio.Task[None], aiohttp.StreamReader] = (
            WeakKeyDictionary()
        )

    def add_to(self, app: web.Application) -> None:
        """Observe the application's answers and its shutdown."""
        app.on_response_prepare.append(self._note)
        app.on_shutdown.append(self._end)

    async def _note(self, request: web.Request, _: web.StreamResponse) -> None:
        if not request.content.is_eof():
            self._bodies[request.task] = request.content

    async def _end(self, _: web.Application) -> None:
        unread = [task for task, body in self._bodies.items() if not body.is_eof()]
        if unread:
            await asyncio.sleep(_SECONDS_AT_SHUTDOWN)
        for task in unread:
            task.cancel()
