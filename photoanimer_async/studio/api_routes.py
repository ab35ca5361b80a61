"""The JSON API of the page, and its stream of events.

The stream sends the full state first, also after a reconnect, and then each changed item.
"""

import asyncio
import json
import math
import time
from collections.abc import Sequence
from typing import Any

from aiohttp import hdrs, web
from attrs import frozen

from photoanimer_async.studio.page_state import (
    changed_item,
    clip_json,
    full_state,
    photo_json,
    voice_json,
)
from photoanimer_async.studio.studio_actions import Studio
from photoanimer_async.studio.studio_errors import MalformedError, TooLargeError

_CHUNK = 256 * 1024
_MAX_VOICE_SECONDS = 3600.0
_HEARTBEAT_SECONDS = 20.0
_GROUPING_SECONDS = 0.05
"""Pause between two events, so that many changes at once are sent as one event."""


@frozen
class ApiRoutes:
    """The routes under `/api`."""

    studio: Studio

    def table(self) -> Sequence[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/api/events", self._events, allow_head=False),
            web.post("/api/photos", self._add_photo),
            web.post("/api/links", self._add_link),
            web.put("/api/photos/{id}/waiting", self._select_photo),
            web.delete("/api/photos/{id}/waiting", self._deselect_photo),
            web.put("/api/voice", self._set_voice),
            web.delete("/api/voice", self._remove_voice),
            web.post("/api/clips", self._start),
            web.post("/api/clips/retry", self._retry),
            web.post("/api/clips/stop", self._stop),
            web.delete("/api/clips/{id}", self._remove_clip),
        ]

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: "text/event-stream"})
        await response.prepare(request)
        with self.studio.album.feed.subscribe() as listener:
            try:
                await response.write(b"retry: 1000\n")
                await response.write(_event("all", full_state(self.studio)))
                while (changes := await listener.next_changes(_HEARTBEAT_SECONDS)) is not None:
                    items = [changed_item(self.studio, change) for change in changes]
                    await response.write(_event("some" if items else "alive", items))
                    await asyncio.sleep(_GROUPING_SECONDS)
            except ConnectionError:
                pass  # the page was closed
        return response

    async def _add_photo(self, request: web.Request) -> web.Response:
        """The body is the photo; the query has its name and the time when it was added."""
        limit = self.studio.policy.max_bytes
        if (request.content_length or 0) >= limit:
            raise TooLargeError(
                f"The photo is too large: it must have less than {limit // 2**20} MB."
            )
        content = request.content.iter_chunked(_CHUNK)
        added = _timestamp(request.query.get("at", ""))
        photograph = await self.studio.add_photo(request.query.get("name", ""), added, content)
        return web.json_response(photo_json(photograph), status=201)

    async def _add_link(self, request: web.Request) -> web.Response:
        match await _json(request):
            case {"url": str(url), **rest} if url.strip():
                added = _timestamp(str(rest.get("at", "")))
                photograph = await self.studio.add_link(url.strip(), added)
                return web.json_response(photo_json(photograph), status=201)
            case _:
                raise MalformedError("The request has no link.")

    async def _select_photo(self, request: web.Request) -> web.Response:
        await self.studio.set_waiting(request.match_info["id"], waiting=True)
        return web.Response(status=204)

    async def _deselect_photo(self, request: web.Request) -> web.Response:
        await self.studio.set_waiting(request.match_info["id"], waiting=False)
        return web.Response(status=204)

    async def _set_voice(self, request: web.Request) -> web.Response:
        """The body is the sound file; the query has its name and duration."""
        content = request.content.iter_chunked(_CHUNK)
        seconds = _duration(request.query.get("seconds", ""))
        voice = await self.studio.set_voice(request.query.get("name", ""), seconds, content)
        return web.json_response(voice_json(voice), status=201)

    async def _remove_voice(self, _: web.Request) -> web.Response:
        await self.studio.remove_voice()
        return web.Response(status=204)

    async def _start(self, request: web.Request) -> web.Response:
        match await _json(request):
            case {"photos": [*photos], "template": int(template), "voice": bool(voice), **rest}:
                clips = await self.studio.start(
                    [str(photo) for photo in photos],
                    template,
                    with_voice=voice,
                    everyone=rest.get("everyone") is True,
                )
                return web.json_response([clip_json(clip) for clip in clips], status=202)
            case _:
                raise MalformedError("The request must have photos, template and voice.")

    async def _retry(self, request: web.Request) -> web.Response:
        clips = await self.studio.retry(await _clip_ids(request))
        return web.json_response([clip_json(clip) for clip in clips], status=202)

    async def _stop(self, request: web.Request) -> web.Response:
        stopped = await self.studio.stop(await _clip_ids(request))
        return web.json_response({"stopped": stopped.stopped, "paid": stopped.paid})

    async def _remove_clip(self, request: web.Request) -> web.Response:
        await self.studio.remove_clip(request.match_info["id"])
        return web.Response(status=204)


def _event(kind: str, value: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(value)}\n\n".encode()


async def _json(request: web.Request) -> Any:
    if request.content_type != "application/json":
        raise MalformedError("The request is not JSON.")
    try:
        return await request.json()
    except (ValueError, LookupError, RecursionError):  # not JSON, or of an unknown charset
        raise MalformedError("The request is not JSON.") from None


async def _clip_ids(request: web.Request) -> Sequence[str]:
    match await _json(request):
        case {"clips": [*clips]}:
            return [str(clip) for clip in clips]
        case _:
            raise MalformedError("The request must have clips.")


def _timestamp(text: str) -> float:
    """Parse when a photo was added, by the page's clock: parallel uploads arrive in any order."""
    try:
        timestamp = float(text)
    except ValueError:
        return time.time()
    return timestamp if math.isfinite(timestamp) else time.time()


def _duration(text: str) -> float | None:
    """Parse a voice's duration in seconds, as measured by the page; `None` if it could not."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return (
        round(seconds, 2) if math.isfinite(seconds) and 0 < seconds < _MAX_VOICE_SECONDS else None
    )
