"""Previews of the expressions on the first photo, rendered on this machine at no cost."""

import asyncio
from pathlib import Path

from attrs import define, field

from photoanimer_async import Template
from photoanimer_async.engine.samples import ASTRONAUT
from photoanimer_async.studio.album import Album
from photoanimer_async.studio.photo_workers import PhotoWorkers
from photoanimer_async.studio.studio_folder import StudioFolder

SAMPLE = "sample"
"""The photo id of the portrait that is part of the package."""


@define
class ExpressionPreviews:
    """Previews of all expressions on the first photo, or on a sample portrait.

    They are rendered on this machine, one after the other, at no cost. When the first photo
    changes, the preview in progress is finished and the remaining ones are skipped.

    Attributes:
        album: has the photos.
        folder: where previews are stored.
        workers: render them, if they use the engine; `None` without Pillow.
        photo_id: the photo that they show.
        ready: the expressions whose preview exists.
    """

    album: Album
    folder: StudioFolder
    workers: PhotoWorkers | None
    photo_id: str = SAMPLE
    ready: set[Template] = field(factory=set)
    _photo_changed: asyncio.Event = field(factory=asyncio.Event)

    @property
    def possible(self) -> bool:
        """Whether previews can be rendered."""
        return self.workers is not None and self.workers.use_engine

    def refresh(self) -> None:
        """Start over if the album has another first photo."""
        first = self.album.first_with_face()
        photo_id = SAMPLE if first is None else first.id
        if photo_id != self.photo_id:
            self.photo_id = photo_id
            self.ready = set()
            self._photo_changed.set()
            self.album.feed.publish("previews")

    async def run(self) -> None:
        """Render missing previews until cancelled."""
        if self.workers is None or not self.possible:
            return
        await asyncio.to_thread(lambda: self._sample.write_bytes(ASTRONAUT.read_bytes()))
        self._photo_changed.set()
        while True:
            await self._photo_changed.wait()
            self._photo_changed.clear()
            await self._render_all(self.workers, self.photo_id)

    @property
    def _sample(self) -> Path:
        return self.folder.previews / f"{SAMPLE}.jpg"

    async def _render_all(self, workers: PhotoWorkers, photo_id: str) -> None:
        photo = self._sample
        if photo_id != SAMPLE:
            photograph = self.album.photographs.get(photo_id)
            if photograph is None:  # it is being removed: `refresh` follows
                return
            photo = self.folder.photos / (photograph.file or "")
        for template in Template:
            clip = self.folder.preview(photo_id, template)
            exists = await asyncio.to_thread(clip.is_file)
            exists = exists or await workers.preview(photo, template, clip)
            if self._photo_changed.is_set():
                return
            if exists:
                self.ready.add(template)
                self.album.feed.publish("previews")
