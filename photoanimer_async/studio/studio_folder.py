"""The studio's folder on disk: its layout, and the album's file.

`album.json` lists what exists and what was started; what was paid for is in the journals. An
album that is slightly out of date is therefore harmless: a clip whose end is missing in it is
resumed from its journal.
"""

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import frozen
from cattrs import BaseValidationError
from cattrs.preconf.json import make_converter

from photoanimer_async import PhotoAnimerError
from photoanimer_async.studio.album import Album, Clip, Photograph, Voice

_VERSION = 1
_INCOMPLETE = ("*.part", "*.prepared", "*.report", "*.small", "*.poster")
_converter = make_converter(omit_if_default=True)


@frozen
class StudioFolder:
    """The paths in a studio's folder.

    Args:
        root: the folder.
    """

    root: Path

    @property
    def album(self) -> Path:
        """The album's file."""
        return self.root / "album.json"

    @property
    def photos(self) -> Path:
        """Photos as they are sent, and incomplete uploads."""
        return self.root / "photos"

    @property
    def thumbnails(self) -> Path:
        """Small copies of the photos."""
        return self.root / "small"

    @property
    def voices(self) -> Path:
        """Voices, and incomplete uploads."""
        return self.root / "voices"

    @property
    def previews(self) -> Path:
        """Previews of the expressions."""
        return self.root / "previews"

    @property
    def journals(self) -> Path:
        """One journal for each batch."""
        return self.root / "journals"

    @property
    def videos(self) -> Path:
        """Finished videos."""
        return self.root / "videos"

    def create(self) -> None:
        """Create missing folders and delete incomplete uploads. Blocking.

        Raises:
            PhotoAnimerError: the folder cannot be used.
        """
        try:
            for folder in (
                self.root,
                self.photos,
                self.thumbnails,
                self.voices,
                self.previews,
                self.journals,
                self.videos,
            ):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.photos, self.voices, self.thumbnails):
                for pattern in _INCOMPLETE:
                    for path in folder.glob(pattern):
                        path.unlink(missing_ok=True)
        except OSError as error:
            raise PhotoAnimerError(f"{self.root}: cannot be used: {error.strerror}") from error

    def journal(self, batch: str) -> Path:
        """Return the path of a batch's journal."""
        return self.journals / f"{batch}.journal"

    def preview(self, photo_id: str, template: int) -> Path:
        """Return the path of the preview of an expression on a photo."""
        return self.previews / f"{photo_id}-{template}.mp4"

    def made_of(self, photo_id: str) -> Sequence[Path]:
        """Return what was made of a photo: its thumbnails and previews. Blocking."""
        folders = (self.thumbnails, self.previews)
        return [path for folder in folders for path in folder.glob(f"{photo_id}*")]

    def thumbnail(self, photo_id: str, name: str) -> Path:
        """Return the path of a photo's thumbnail; see `photo_worker.THUMBNAIL_SIDES`."""
        return self.thumbnails / f"{photo_id}-{name}.jpg"


class AlbumFile:
    """Loads and saves an album as one JSON file, which is replaced as a whole.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = asyncio.Lock()
        self._requested = 0
        self._written = 0

    async def load(self) -> Album:
        """Return the saved album, or an empty one if there is no file.

        Raises:
            PhotoAnimerError: the file is damaged, or from a newer version.
        """
        return await asyncio.to_thread(self._load)

    async def save(self, album: Album) -> None:
        """Write the album to disk, synced.

        Calls made while another one is writing share one write.
        """
        self._requested += 1
        request = self._requested
        async with self._lock:
            if self._written >= request:
                return
            included = self._requested
            content = json.dumps(_to_json(album))
            await asyncio.to_thread(self._replace, content)
            self._written = included

    def _load(self) -> Album:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            if content["version"] > _VERSION:
                raise PhotoAnimerError(
                    f"{self._path}: was written by a newer version of photoanimer-async; update it"
                )
            return _from_json(content)
        except FileNotFoundError:
            return Album()
        except (ValueError, KeyError, TypeError, BaseValidationError) as error:
            raise PhotoAnimerError(
                f"{self._path}: is not an album or is damaged; restore it, or use another folder"
            ) from error

    def _replace(self, content: str) -> None:
        part = self._path.with_name(f"{self._path.name}.part")
        with part.open("w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)


def _to_json(album: Album) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "photographs": _converter.unstructure(list(album.photographs.values())),
        "clips": _converter.unstructure(list(album.clips.values())),
        "voice": _converter.unstructure(album.voice),
    }


def _from_json(content: dict[str, Any]) -> Album:
    photographs = [
        _converter.structure(_with_faces(photograph), Photograph)
        for photograph in content["photographs"]
    ]
    clips = _converter.structure(content["clips"], list[Clip])
    return Album(
        photographs={photograph.id: photograph for photograph in photographs},
        clips={clip.id: clip for clip in clips},
        voice=_converter.structure(content["voice"], Voice | None),  # type: ignore[arg-type] # mypy accepts only classes here, not unions
    )


def _with_faces(photograph: dict[str, Any]) -> dict[str, Any]:
    """Return a photo as it is saved today: earlier versions saved only whether it has no face."""
    faceless = photograph.pop("faceless", False)
    return {"faces": 0, **photograph} if faceless else photograph
