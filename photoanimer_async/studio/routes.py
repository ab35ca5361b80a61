"""What the page asks the studio to do."""

import json
import math
import time
from collections.abc import Sequence
from typing import Any

from aiohttp import web
from attrs import frozen

from photoanimer_async.studio import view
from photoanimer_async.studio.refused import MalformedError, TooLargeError
from photoanimer_async.studio.studio import Studio

_CHUNK = 256 * 1024
_LONGEST_VOICE = 3600.0


@frozen
class ApiRoutes:
    """The interfaces under `/api`, but for the events."""

    studio: Studio

    def table(self) -> Sequence[web.RouteDef]:
        """The routes."""
        return [
            web.post("/api/photos", self._take_file),
            web.post("/api/links", self._take_url),
            web.put("/api/photos/{id}/waiting", self._wait),
            web.delete("/api/photos/{id}/waiting", self._do_not_wait),
            web.put("/api/voice", self._take_voice),
            web.delete("/api/voice", self._drop_voice),
            web.post("/api/clips", self._start),
            web.post("/api/clips/{id}/retry", self._retry),
            web.delete("/api/clips/{id}", self._remove_clip),
        ]

    async def _take_file(self, request: web.Request) -> web.Response:
        """A photo as the body, its name and when it was dropped in the query."""
        _require_size(request, self.studio.admission.limit)
        content = request.content.iter_chunked(_CHUNK)
        added = _moment(request.query.get("at", ""))
        photograph = await self.studio.take_file(request.query.get("name", ""), added, content)
        return web.json_response(view.photo_view(photograph), status=201)

    async def _take_url(self, request: web.Request) -> web.Response:
        match await _json(request):
            case {"url": str(url), **rest} if url.strip():
                added = _moment(str(rest.get("at", "")))
                photograph = await self.studio.take_url(url.strip(), added)
                return web.json_response(view.photo_view(photograph), status=201)
            case _:
                raise MalformedError("There is no link.")

    async def _wait(self, request: web.Request) -> web.Response:
        await self.studio.set_waiting(request.match_info["id"], waiting=True)
        return web.Response(status=204)

    async def _do_not_wait(self, request: web.Request) -> web.Response:
        await self.studio.set_waiting(request.match_info["id"], waiting=False)
        return web.Response(status=204)

    async def _take_voice(self, request: web.Request) -> web.Response:
        """A sound as the body, its name and how long it is in the query."""
        content = request.content.iter_chunked(_CHUNK)
        seconds = _seconds(request.query.get("seconds", ""))
        voice = await self.studio.take_voice(request.query.get("name", ""), seconds, content)
        return web.json_response(view.voice_view(voice), status=201)

    async def _drop_voice(self, _: web.Request) -> web.Response:
        await self.studio.drop_voice()
        return web.Response(status=204)

    async def _start(self, request: web.Request) -> web.Response:
        match await _json(request):
            case {"photos": [*photos], "template": int(template), "voice": bool(with_voice)}:
                clips = await self.studio.start(
                    [str(photo) for photo in photos], template, with_voice=with_voice
                )
                return web.json_response([view.clip_view(clip) for clip in clips], status=202)
            case _:
                raise MalformedError("It is not said which photos are to move, and how.")

    async def _retry(self, request: web.Request) -> web.Response:
        clip = await self.studio.retry(request.match_info["id"])
        return web.json_response(view.clip_view(clip), status=202)

    async def _remove_clip(self, request: web.Request) -> web.Response:
        await self.studio.remove_clip(request.match_info["id"])
        return web.Response(status=204)


def _require_size(request: web.Request, limit: int) -> None:
    """Refuses what says that it is too large before any of it is read."""
    if (request.content_length or 0) >= limit:
        raise TooLargeError(f"The photo is too large: allowed is less than {limit // 2**20} MB.")


async def _json(request: web.Request) -> Any:
    if request.content_type != "application/json":
        raise MalformedError("The request is not JSON.")
    try:
        return await request.json()
    except json.JSONDecodeError:
        raise MalformedError("The request is not JSON.") from None


def _moment(text: str) -> float:
    """When a photo was dropped, by the page's clock: many at once arrive in any order."""
    try:
        moment = float(text)
    except ValueError:
        return time.time()
    return moment if math.isfinite(moment) else time.time()


def _seconds(text: str) -> float | None:
    """How long a voice is, as the page has measured it; `None` if it could not."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return round(seconds, 2) if math.isfinite(seconds) and 0 < seconds < _LONGEST_VOICE else None
