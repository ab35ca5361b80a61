"""The album on the disk: one file of JSON, replaced as a whole.

The album says what is there and what was asked for; what was paid for stands in the journals.
So an album that is a moment old costs nothing: a clip whose end it has missed is looked up in
its journal again.
"""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from cattrs import BaseValidationError
from cattrs.preconf.json import make_converter

from photoanimer_async import PhotoAnimerError
from photoanimer_async.studio.album import Album, Clip, Photograph, Voice

_VERSION = 1
_converter = make_converter(omit_if_default=True)


class AlbumFile:
    """Reads and writes an album.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = asyncio.Lock()
        self._asked = 0
        self._written = 0

    async def load(self) -> Album:
        """The album; an empty one if there is no file.

        Raises:
            PhotoAnimerError: the file is there and is no album.
        """
        return await asyncio.to_thread(self._load)

    async def save(self, album: Album) -> None:
        """The album as it is now is on the disk when this returns.

        Saves that are asked for while another is under way are done together.
        """
        self._asked += 1
        mine = self._asked
        async with self._lock:
            if self._written >= mine:
                return
            included = self._asked
            content = json.dumps(_unstructured(album), ensure_ascii=False)
            await asyncio.to_thread(self._replace, content)
            self._written = included

    def _load(self) -> Album:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            if found["version"] > _VERSION:
                raise PhotoAnimerError(f"{self._path}: was written by a newer version")
            return _structured(found)
        except FileNotFoundError:
            return Album()
        except (ValueError, KeyError, TypeError, BaseValidationError) as error:
            raise PhotoAnimerError(f"{self._path}: is no album, or is damaged") from error

    def _replace(self, content: str) -> None:
        part = self._path.with_name(f"{self._path.name}.part")
        with part.open("w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)


def _unstructured(album: Album) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "photographs": _converter.unstructure(list(album.photographs.values())),
        "clips": _converter.unstructure(list(album.clips.values())),
        "voice": _converter.unstructure(album.voice),
    }


def _structured(found: dict[str, Any]) -> Album:
    photographs = _converter.structure(found["photographs"], list[Photograph])
    clips = _converter.structure(found["clips"], list[Clip])
    return Album(
        photographs={photograph.id: photograph for photograph in photographs},
        clips={clip.id: clip for clip in clips},
        voice=_converter.structure(found["voice"], Voice | None),  # type: ignore[arg-type] # a union is no class to the checker
    )
