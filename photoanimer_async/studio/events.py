"""What changes, told to the page as it happens: server-sent events.

A page that connects, or connects again, is first told everything, so that nothing depends on
what it has seen before.
"""

import asyncio
import json
from collections.abc import Sequence

from aiohttp import hdrs, web
from attrs import frozen

from photoanimer_async.studio import view
from photoanimer_async.studio.studio import Studio

_HEARTBEAT_SECONDS = 20.0
_GATHER_SECONDS = 0.05
"""How long changes are gathered after the first, so that many come as few."""


@frozen
class EventRoutes:
    """The stream of events under `/api/events`."""

    studio: Studio

    def table(self) -> Sequence[web.RouteDef]:
        """The route."""
        return [web.get("/api/events", self._events, allow_head=False)]

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: "text/event-stream"})
        await response.prepare(request)
        with self.studio.album.feed.listener() as listener:
            try:
                await response.write(b"retry: 1000\n")
                await response.write(_event("all", view.whole(self.studio)))
                while (changes := await listener.changes(_HEARTBEAT_SECONDS)) is not None:
                    parts = [view.part(self.studio, change) for change in changes]
                    await response.write(_event("some", parts) if parts else b": still here\n\n")
                    await asyncio.sleep(_GATHER_SECONDS)
            except ConnectionError:
                pass  # the page was closed
        return response


def _event(kind: str, value: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(value, ensure_ascii=False)}\n\n".encode()
