"""Photos and voices on their way in: read within bounds, made fit, looked at, put away.

A photo is in the album when everything is known of it that can be known here, so that one
which would be refused is marked from the first moment on, with the reason. One that was
refused keeps its place in the album until it is taken out, but not its file.
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path, PurePath
from urllib.parse import unquote, urlsplit

import aiohttp
from attrs import define, evolve, field, frozen

from photoanimer_async import InvalidPhotoError, InvalidRequestError, check_photo
from photoanimer_async.photos.check import MAX_BYTES
from photoanimer_async.photos.header import PictureHeader
from photoanimer_async.photos.voice import MAX_VOICE_BYTES, check_voice
from photoanimer_async.redaction import printable
from photoanimer_async.studio.album import Album, Photograph, Voice
from photoanimer_async.studio.face_preview import Darkroom, UnreadablePhotoError
from photoanimer_async.studio.photo_intake import Admission
from photoanimer_async.studio.refused import MalformedError, RefusedError, TooLargeError
from photoanimer_async.studio.studio_folder import StudioFolder

_LONGEST_NAME = 80
_ID_CHARACTERS = 24
_CHUNK = 64 * 1024
_VERBS = ("is ", "has ", "contains ", "cannot ")
_NOT_REACHABLE = (
    "The service can not fetch files from this machine. Add the photo by its link instead; or "
    "start the studio with --local, or with an object store in PHOTOANIMER_HOST."
)


@frozen
class _Arrival:
    """A file that has arrived under a name of its own, and the digest of its content."""

    path: Path
    digest: str


@define
class Intake:
    """Takes photos and voices in.

    Attributes:
        album: where they go.
        folder: where their files go.
        darkroom: looks at photos; `None` without the engine.
        session: fetches photos that come as URLs.
        most_photos: how many photos the album takes.
        admission: what photos may be, and makes them fit.
        takes_files: whether photos that come as files can reach the service.
    """

    album: Album
    folder: StudioFolder
    darkroom: Darkroom | None
    session: aiohttp.ClientSession
    most_photos: int
    admission: Admission = field(factory=Admission)
    takes_files: bool = True
    _looks: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(4))

    async def take_file(self, name: str, added: float, content: AsyncIterator[bytes]) -> Photograph:
        """A photo that was uploaded.

        Args:
            name: its file's name.
            added: when it was dropped, in seconds since the epoch.
            content: its bytes, as they come.

        Raises:
            TooLargeError: it has too many bytes; it was not read to its end.
            RefusedError: the album is full.
        """
        self._require_room()
        arrival = await self._arrived(self.folder.photos, content, self.admission.limit, "photo")
        return await self._put_away(
            arrival, Photograph(id=arrival.digest[:_ID_CHARACTERS], name=_shown(name), added=added)
        )

    async def take_url(self, url: str, added: float) -> Photograph:
        """A photo that came as a URL. The service fetches it from there; the page shows a copy.

        Args:
            url: the URL.
            added: when it was dropped, in seconds since the epoch.

        Raises:
            RefusedError: the album is full.
        """
        self._require_room()
        digest = hashlib.sha256(b"url\0" + url.encode(errors="replace")).hexdigest()
        name = _shown(PurePath(unquote(_path_of(url))).name or "photo")
        photograph = Photograph(id=digest[:_ID_CHARACTERS], name=name, added=added, url=url)
        try:
            await check_photo(url)
            arrival = await self._fetched(url)
        except InvalidPhotoError as error:
            return self._refuse(photograph, str(error).removeprefix(f"{error.photo}: "))
        except RefusedError as error:
            return self._refuse(photograph, str(error))
        return await self._put_away(arrival, photograph)

    async def take_voice(
        self, name: str, seconds: float | None, content: AsyncIterator[bytes]
    ) -> Voice:
        """A voice that was uploaded: for the next clips, in place of the one before.

        Args:
            name: its file's name.
            seconds: how long it is, if the page knows.
            content: its bytes, as they come.

        Raises:
            RefusedError: it is no sound, or too large.
        """
        arrival = await self._arrived(self.folder.voices, content, MAX_VOICE_BYTES, "voice")
        try:
            kind = await check_voice(arrival.path)
        except InvalidRequestError as error:
            await asyncio.to_thread(arrival.path.unlink)
            raise MalformedError(_sentence(str(error).partition(": ")[2])) from error
        file = f"{arrival.digest[:_ID_CHARACTERS]}{kind.suffix if kind else ''}"
        await asyncio.to_thread(arrival.path.replace, self.folder.voices / file)
        voice = Voice(
            id=arrival.digest[:_ID_CHARACTERS], name=_shown(name), file=file, seconds=seconds
        )
        self.album.set_voice(voice)
        return voice

    # --- from arrival to album ---

    def _require_room(self) -> None:
        if len(self.album.photographs) >= self.most_photos:
            raise RefusedError(
                f"The album is full: it has {self.most_photos} photos. Remove some first."
            )

    async def _admitted(self, photo: Path, photograph: Photograph) -> PictureHeader:
        if photograph.url is not None:
            return await self.admission.admit_copy(photo)
        if not self.takes_files:
            raise RefusedError(_NOT_REACHABLE)
        return await self.admission.admit_file(photo)

    async def _put_away(self, arrival: _Arrival, photograph: Photograph) -> Photograph:
        known = self.album.photographs.get(photograph.id)
        if known is not None and known.file is not None:
            await asyncio.to_thread(arrival.path.unlink)
            return self._remember(evolve(known, waiting=True))
        try:
            header = await self._admitted(arrival.path, photograph)
            faceless = not await self._has_face(arrival.path, photograph.id)
        except (RefusedError, UnreadablePhotoError) as error:
            await asyncio.to_thread(arrival.path.unlink)
            return self._refuse(photograph, str(error))
        file = f"{photograph.id}{header.format.suffix}"
        await asyncio.to_thread(arrival.path.replace, self.folder.photos / file)
        return self._remember(evolve(photograph, file=file, faceless=faceless))

    async def _has_face(self, photo: Path, number: str) -> bool:
        if self.darkroom is None:
            return True
        async with self._looks:
            return await self.darkroom.has_face(photo, self.folder.small_photo(number))

    def _refuse(self, photograph: Photograph, why: str) -> Photograph:
        return self._remember(evolve(photograph, refusal=_sentence(why)))

    def _remember(self, photograph: Photograph) -> Photograph:
        self.album.put(photograph)
        return photograph

    # --- bytes ---

    async def _arrived(
        self, folder: Path, content: AsyncIterator[bytes], limit: int, what: str
    ) -> _Arrival:
        """A file with the content, under a name that nobody else has.

        Raises:
            TooLargeError: it has as many bytes as the limit, or more.
        """
        path = folder / f"{secrets.token_hex(12)}.part"
        digest = hashlib.sha256()
        size = 0
        file = await asyncio.to_thread(path.open, "xb")
        try:
            try:
                async for chunk in content:
                    size += len(chunk)
                    if size >= limit:
                        raise TooLargeError(
                            f"The {what} is too large: allowed is less than {limit // 2**20} MB."
                        )
                    digest.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
            finally:
                await asyncio.to_thread(file.close)
        except BaseException:
            await asyncio.to_thread(path.unlink)
            raise
        return _Arrival(path, digest.hexdigest())

    async def _fetched(self, url: str) -> _Arrival:
        """The photo behind a URL.

        Raises:
            RefusedError: it can not be had.
        """
        try:
            async with self.session.get(url) as response:
                if response.status != 200:  # noqa: PLR2004 - OK
                    raise RefusedError(
                        f"The link leads to no photo: its server answers with {response.status}."
                    )
                content = response.content.iter_chunked(_CHUNK)
                return await self._arrived(self.folder.photos, content, MAX_BYTES, "photo")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RefusedError("The link can not be opened from here.") from error


def _path_of(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def _shown(name: str) -> str:
    """A file's name without folder and suffix, for a person."""
    stem = PurePath(name.replace("\\", "/")).stem.strip() or "photo"
    return printable(stem[:_LONGEST_NAME])


def _sentence(text: str) -> str:
    text = f"It {text}" if text.startswith(_VERBS) else text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
