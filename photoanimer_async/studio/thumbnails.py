"""Small copies of photos, for the page: made once, when a photo is added.

Albums of earlier versions have none; they are made when they are first asked for.
"""

import asyncio
import secrets
import shutil
from pathlib import Path

from attrs import define, field

from photoanimer_async.studio.photo_worker import LINKED
from photoanimer_async.studio.photo_workers import PhotoWorkers, UnreadablePhotoError
from photoanimer_async.studio.studio_folder import StudioFolder


@define
class Thumbnails:
    """The thumbnails of an album.

    Attributes:
        folder: where they are stored.
        workers: make them; `None` if that is not possible.
    """

    folder: StudioFolder
    workers: PhotoWorkers | None
    _making: asyncio.Lock = field(factory=asyncio.Lock)

    async def find(self, photo_id: str, name: str, photo: Path) -> Path | None:
        """Return the path of a thumbnail; `None` if there is none and none can be made.

        Args:
            photo_id: the photo's id.
            name: one of `photo_worker.THUMBNAIL_SIDES`.
            photo: the photo's file.
        """
        path = self.folder.thumbnail(photo_id, name)
        if await asyncio.to_thread(path.is_file):
            return path
        async with self._making:
            if not await asyncio.to_thread(path.is_file):
                await self._make(photo_id, photo)
        return path if await asyncio.to_thread(path.is_file) else None

    async def _make(self, photo_id: str, photo: Path) -> None:
        if self.workers is None:
            return
        copy = self.folder.thumbnails / f"{secrets.token_hex(8)}.part"
        try:
            await asyncio.to_thread(shutil.copyfile, photo, copy)
            examined = await self.workers.examine(copy, LINKED)
            for name, made in examined.thumbnails.items():
                await asyncio.to_thread(made.replace, self.folder.thumbnail(photo_id, name))
        except (UnreadablePhotoError, FileNotFoundError):
            return
        finally:
            await asyncio.to_thread(copy.unlink, missing_ok=True)
