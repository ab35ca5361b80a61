"""The page's own files, and the album's photos, previews and videos."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from aiohttp import hdrs, web
from attrs import define, field, frozen

from photoanimer_async.storage.result_names import safe_stem
from photoanimer_async.studio.album import Clip
from photoanimer_async.studio.expression_previews import SAMPLE
from photoanimer_async.studio.page_state import EXPRESSIONS
from photoanimer_async.studio.photo_worker import THUMBNAIL_SIDES
from photoanimer_async.studio.studio_actions import Studio
from photoanimer_async.studio.studio_errors import MissingError
from photoanimer_async.studio.zip_stream import ArchivedFile, with_distinct_names, zip_pieces

_INDEX = "index.html"
_PAGE_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_MEDIA_TYPES = {
    ".bmp": "image/bmp",
    ".jpg": "image/jpeg",
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".webp": "image/webp",
}
_ZIP_NAME = "photos-alive.zip"
_CACHED: Mapping[str, str] = {hdrs.CACHE_CONTROL: "private, max-age=86400"}
_REVALIDATED: Mapping[str, str] = {hdrs.CACHE_CONTROL: "no-cache"}


@define
class PageRoutes:
    """The page's HTML, CSS and JavaScript, read once: a request cannot reach any other file."""

    _contents: dict[str, str] = field(factory=dict)

    def load(self) -> None:
        """Read the files. Blocking."""
        folder = files("photoanimer_async.studio") / "page"
        self._contents = {
            entry.name: entry.read_text(encoding="utf-8")
            for entry in folder.iterdir()
            if entry.name.endswith(tuple(_PAGE_TYPES))
        }

    def table(self) -> Sequence[web.RouteDef]:
        """Return the routes."""
        return [web.get("/", self._index), web.get("/page/{name}", self._file)]

    async def _index(self, _: web.Request) -> web.Response:
        return self._response(_INDEX)

    async def _file(self, request: web.Request) -> web.Response:
        return self._response(request.match_info["name"])

    def _response(self, name: str) -> web.Response:
        if name not in self._contents:
            raise web.HTTPNotFound
        # After an update, the page must match the new server.
        return web.Response(
            text=self._contents[name],
            content_type=_PAGE_TYPES[Path(name).suffix],
            headers=_REVALIDATED,
        )


@frozen
class MediaRoutes:
    """Files in the studio's folder, by the ids of their photos and clips."""

    studio: Studio

    def table(self) -> Sequence[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/photos/{id}", self._photo),
            web.get(f"/photos/{{id}}/{{name:{'|'.join(THUMBNAIL_SIDES)}}}", self._thumbnail),
            web.get("/previews/{of}/{template:[0-5]}", self._preview),
            web.get("/clips/{id}", self._clip),
            web.get("/clips/{id}/download", self._download),
            web.get("/album.zip", self._zip, allow_head=False),
        ]

    async def _photo(self, request: web.Request) -> web.StreamResponse:
        return await _file_response(self._photo_file(request))

    async def _thumbnail(self, request: web.Request) -> web.StreamResponse:
        photo_id, photo = request.match_info["id"], self._photo_file(request)
        thumbnail = await self.studio.thumbnails.find(photo_id, request.match_info["name"], photo)
        return await _file_response(photo if thumbnail is None else thumbnail)

    async def _preview(self, request: web.Request) -> web.StreamResponse:
        photo_id = request.match_info["of"]
        if photo_id != SAMPLE:
            self.studio.album.photograph(photo_id)
        preview = self.studio.folder.preview(photo_id, int(request.match_info["template"]))
        # After an update, the engine may render another video.
        return await _file_response(preview, _REVALIDATED)

    async def _clip(self, request: web.Request) -> web.StreamResponse:
        return await _file_response(self._video(self.studio.album.clip(request.match_info["id"])))

    async def _download(self, request: web.Request) -> web.StreamResponse:
        clip = self.studio.album.clip(request.match_info["id"])
        name = quote(self._download_name(clip))
        disposition = f"attachment; filename*=UTF-8''{name}"
        return await _file_response(self._video(clip), {hdrs.CONTENT_DISPOSITION: disposition})

    async def _zip(self, request: web.Request) -> web.StreamResponse:
        """All finished videos."""
        response = web.StreamResponse(
            headers={
                hdrs.CONTENT_TYPE: "application/zip",
                hdrs.CONTENT_DISPOSITION: f'attachment; filename="{_ZIP_NAME}"',
            }
        )
        await response.prepare(request)
        pieces = zip_pieces(list(with_distinct_names(self._videos())))
        try:
            while piece := await asyncio.to_thread(next, pieces, b""):
                await response.write(piece)
        except ConnectionError:
            pass  # the browser cancelled the download
        return response

    def _videos(self) -> Iterator[ArchivedFile]:
        for clip in self.studio.album.clips.values():
            if clip.video is not None:
                yield ArchivedFile(self._video(clip), self._download_name(clip))

    def _download_name(self, clip: Clip) -> str:
        photograph = self.studio.album.photograph(clip.photograph)
        return f"{safe_stem(f'{photograph.name} - {EXPRESSIONS[clip.template].title}')}.mp4"

    def _video(self, clip: Clip) -> Path:
        if clip.video is None:
            raise MissingError("The clip has no video yet.")
        return self.studio.folder.videos / clip.video

    def _photo_file(self, request: web.Request) -> Path:
        file = self.studio.album.photograph(request.match_info["id"]).file
        if file is None:
            raise MissingError("The photo was refused and not kept.")
        return self.studio.folder.photos / file


async def _file_response(path: Path, headers: Mapping[str, str] = _CACHED) -> web.FileResponse:
    """Return a response with the file, or the requested range of it.

    Raises:
        MissingError: the file does not exist.
    """
    if not await asyncio.to_thread(path.is_file):
        raise MissingError("The file no longer exists.")
    content_type = _MEDIA_TYPES[path.suffix]
    return web.FileResponse(path, headers={hdrs.CONTENT_TYPE: content_type, **headers})
