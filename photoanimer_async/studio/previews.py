"""The six expressions as small clips: on the first photo, or on a portrait that comes along.

They are made on this machine, one after the other, and so cost nothing. When another photo
becomes the first, what is being made is made to its end, and the rest of it is left out.
"""

import asyncio

from attrs import define, field

from photoanimer_async import Template
from photoanimer_async.engine.samples import ASTRONAUT
from photoanimer_async.studio.album import Album
from photoanimer_async.studio.face_preview import Darkroom
from photoanimer_async.studio.studio_folder import StudioFolder

SAMPLE = "sample"
"""The id of the portrait that comes along."""


@define
class Previews:
    """Keeps previews of the first photo.

    Attributes:
        album: tells which that is.
        folder: where they are kept.
        darkroom: makes them; `None` without the engine.
        of: the photo that they are of now.
        ready: the expressions of which there is one.
    """

    album: Album
    folder: StudioFolder
    darkroom: Darkroom | None
    of: str = SAMPLE
    ready: set[Template] = field(factory=set)
    _stale: asyncio.Event = field(factory=asyncio.Event)

    def refresh(self) -> None:
        """Looks whether another photo is the first now."""
        first = self.album.first_with_a_face()
        of = SAMPLE if first is None else first.id
        if of != self.of:
            self.of = of
            self.ready = set()
            self._stale.set()
            self.album.feed.changed("previews")

    async def run(self) -> None:
        """Makes what is missing, for as long as the studio runs."""
        if self.darkroom is None:
            return
        sample = self.folder.previews / f"{SAMPLE}.jpg"
        await asyncio.to_thread(lambda: sample.write_bytes(ASTRONAUT.read_bytes()))
        self._stale.set()
        while True:
            await self._stale.wait()
            self._stale.clear()
            await self._make_all(self.darkroom, self.of)

    async def _make_all(self, darkroom: Darkroom, of: str) -> None:
        photo = self.folder.previews / f"{SAMPLE}.jpg"
        if of != SAMPLE:
            photo = self.folder.photos / (self.album.photographs[of].file or "")
        for template in Template:
            clip = self.folder.preview(of, template)
            there = await asyncio.to_thread(clip.is_file)
            made = there or await darkroom.preview(photo, template, clip)
            if self._stale.is_set():
                return
            if made:
                self.ready.add(template)
                self.album.feed.changed("previews")
