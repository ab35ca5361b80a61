"""The photos, previews and videos themselves, and all videos in one zip."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from aiohttp import hdrs, web
from attrs import frozen

from photoanimer_async.storage.result_names import safe_stem
from photoanimer_async.studio.album import Clip
from photoanimer_async.studio.archive import ArchivedFile, with_distinct_names, zip_pieces
from photoanimer_async.studio.expression_names import EXPRESSIONS
from photoanimer_async.studio.previews import SAMPLE
from photoanimer_async.studio.refused import MissingError
from photoanimer_async.studio.studio import Studio

_ALBUM_NAME = "photos-alive.zip"
_KEEP: Mapping[str, str] = {hdrs.CACHE_CONTROL: "private, max-age=86400"}
_TYPES = {
    ".bmp": "image/bmp",
    ".jpg": "image/jpeg",
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".webp": "image/webp",
}


@frozen
class FileRoutes:
    """Files of the studio's folder, by the ids of what they show."""

    studio: Studio

    def table(self) -> Sequence[web.RouteDef]:
        """The routes."""
        return [
            web.get("/photos/{id}", self._photo),
            web.get("/photos/{id}/small", self._small_photo),
            web.get("/previews/{of}/{template:[0-5]}", self._preview),
            web.get("/clips/{id}", self._clip),
            web.get("/clips/{id}/download", self._download),
            web.get("/album.zip", self._archive, allow_head=False),
        ]

    async def _photo(self, request: web.Request) -> web.StreamResponse:
        return await _sent(self._photo_file(request))

    async def _small_photo(self, request: web.Request) -> web.StreamResponse:
        small = self.studio.folder.small_photo(self._known_photo(request))
        if await asyncio.to_thread(small.is_file):
            return await _sent(small)
        return await _sent(self._photo_file(request))

    async def _preview(self, request: web.Request) -> web.StreamResponse:
        of = request.match_info["of"]
        if of != SAMPLE:
            self.studio.album.photograph(of)
        return await _sent(
            self.studio.folder.preview(of, int(request.match_info["template"])),
            # Another version may play an expression otherwise.
            {hdrs.CACHE_CONTROL: "no-cache"},
        )

    async def _clip(self, request: web.Request) -> web.StreamResponse:
        return await _sent(self._video(self.studio.album.clip(request.match_info["id"])))

    async def _download(self, request: web.Request) -> web.StreamResponse:
        clip = self.studio.album.clip(request.match_info["id"])
        name = quote(self._name(clip))
        disposition = f"attachment; filename*=UTF-8''{name}"
        return await _sent(self._video(clip), {hdrs.CONTENT_DISPOSITION: disposition})

    async def _archive(self, request: web.Request) -> web.StreamResponse:
        """All clips that are done."""
        response = web.StreamResponse(
            headers={
                hdrs.CONTENT_TYPE: "application/zip",
                hdrs.CONTENT_DISPOSITION: f'attachment; filename="{_ALBUM_NAME}"',
            }
        )
        await response.prepare(request)
        pieces = zip_pieces(list(with_distinct_names(self._videos())))
        try:
            while piece := await asyncio.to_thread(next, pieces, b""):
                await response.write(piece)
        except ConnectionError:
            pass  # the browser has changed its mind
        return response

    def _videos(self) -> Iterator[ArchivedFile]:
        for clip in self.studio.album.clips.values():
            if clip.video is not None:
                yield ArchivedFile(self._video(clip), self._name(clip))

    def _name(self, clip: Clip) -> str:
        """What a video is called outside."""
        photograph = self.studio.album.photograph(clip.photograph)
        return f"{safe_stem(f'{photograph.name} - {EXPRESSIONS[clip.template].title}')}.mp4"

    def _video(self, clip: Clip) -> Path:
        if clip.video is None:
            raise MissingError("The clip has no video yet.")
        return self.studio.folder.videos / clip.video

    def _known_photo(self, request: web.Request) -> str:
        return self.studio.album.photograph(request.match_info["id"]).id

    def _photo_file(self, request: web.Request) -> Path:
        file = self.studio.album.photograph(request.match_info["id"]).file
        if file is None:
            raise MissingError("The photo was refused, and is not here.")
        return self.studio.folder.photos / file


async def _sent(path: Path, headers: Mapping[str, str] = _KEEP) -> web.FileResponse:
    """A file, whole or in ranges.

    Raises:
        MissingError: it is not there.
    """
    if not await asyncio.to_thread(path.is_file):
        raise MissingError("The file is not there any more.")
    return web.FileResponse(path, headers={hdrs.CONTENT_TYPE: _TYPES[path.suffix], **headers})
