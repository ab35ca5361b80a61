"""Uploads of photos and voices, and photos added by a link.

A photo is added to the album after it has been checked, prepared and searched for faces, so that
a photo that would be refused is marked with the reason from the start. A refused photo stays in
the album until the user removes it; its file is deleted at once.
"""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import AsyncIterator
from pathlib import Path, PurePath
from urllib.parse import unquote, urlsplit

import aiohttp
from attrs import define, evolve, frozen

from photoanimer_async import InvalidPhotoError, InvalidRequestError, check_photo
from photoanimer_async.photos.links import exact_url, open_link
from photoanimer_async.photos.rules import MAX_BYTES
from photoanimer_async.photos.voice import MAX_VOICE_BYTES, check_voice
from photoanimer_async.redaction import printable, safe_text
from photoanimer_async.studio.album import Album, Photograph, Voice
from photoanimer_async.studio.photo_policy import PhotoPolicy, require_acceptable
from photoanimer_async.studio.photo_worker import LINKED, UPLOADED
from photoanimer_async.studio.photo_workers import Examined, PhotoWorkers, UnreadablePhotoError
from photoanimer_async.studio.refusal_words import in_words
from photoanimer_async.studio.studio_errors import MalformedError, RefusedError, TooLargeError
from photoanimer_async.studio.studio_folder import StudioFolder

_log = logging.getLogger(__name__)

_MAX_NAME_LENGTH = 80
_ID_LENGTH = 24
_CHUNK = 64 * 1024
_FETCH_SECONDS = 30.0
_FETCH_TIMEOUT = aiohttp.ClientTimeout(sock_connect=10.0)
_MAX_REDIRECTS = 10
_NO_SOUND = "This is not a sound file that can be used. Choose an MP3, M4A or WAV file."
_NO_FILE_ACCESS = (
    "The service cannot fetch files from this machine. Add the photo by its link instead; or "
    "start the studio with --local, or with an object store in PHOTOANIMER_HOST."
)


@frozen
class _TemporaryFile:
    """A complete file under a temporary name, and the SHA-256 of its content."""

    path: Path
    digest: str

    @property
    def id(self) -> str:
        return self.digest[:_ID_LENGTH]


@define
class Uploads:
    """Receives photos and voices, and adds them to the album.

    Attributes:
        album: where they are added.
        folder: where their files are stored.
        workers: decode photos; `None` without Pillow, so that they are stored as they are.
        session: fetches photos that are added by a link.
        most_photos: the album's capacity in photos.
        policy: the limits for photos.
        takes_files: whether the service can be given files from this machine.
    """

    album: Album
    folder: StudioFolder
    workers: PhotoWorkers | None
    session: aiohttp.ClientSession
    most_photos: int
    policy: PhotoPolicy
    takes_files: bool = True

    async def receive_photo(
        self, name: str, added: float, content: AsyncIterator[bytes]
    ) -> Photograph:
        """Receive a photo as a file.

        Args:
            name: the file's name.
            added: when the user added it, in seconds since the epoch.
            content: its bytes.

        Raises:
            TooLargeError: it is too large; the rest of it was not read.
            RefusedError: the album is full.
        """
        self._require_capacity()
        file = await self._receive(self.folder.photos, content, self.policy.max_bytes, "photo")
        return await self._store(file, Photograph(id=file.id, name=_shown(name), added=added))

    async def receive_link(self, url: str, added: float) -> Photograph:
        """Add a photo by its URL, from which the service fetches it; the page shows a copy.

        Args:
            url: the URL.
            added: when the user added it, in seconds since the epoch.

        Raises:
            RefusedError: the album is full.
        """
        self._require_capacity()
        digest = hashlib.sha256(b"url\0" + url.encode(errors="surrogatepass")).hexdigest()
        name = _shown(PurePath(unquote(_path_of(url))).name or "photo")
        photograph = Photograph(id=digest[:_ID_LENGTH], name=name, added=added, url=url)
        try:
            await check_photo(url)
            file = await self._fetch(url)
        except InvalidPhotoError as error:
            return self._refuse(photograph, str(error).removeprefix(f"{error.photo}: "))
        except RefusedError as error:
            return self._refuse(photograph, str(error))
        return await self._store(file, photograph)

    async def receive_voice(
        self, name: str, seconds: float | None, content: AsyncIterator[bytes]
    ) -> Voice:
        """Receive the voice for the next clips; it replaces the previous one.

        Args:
            name: the file's name.
            seconds: its duration, if the page could measure it.
            content: its bytes.

        Raises:
            RefusedError: it is not a sound file, or too large.
        """
        arrived = await self._receive(self.folder.voices, content, MAX_VOICE_BYTES, "voice")
        try:
            kind = await check_voice(arrived.path)
        except InvalidRequestError as error:
            await asyncio.to_thread(arrived.path.unlink)
            raise MalformedError(_NO_SOUND) from error
        file = f"{arrived.id}{kind.suffix if kind else ''}"
        await asyncio.to_thread(arrived.path.replace, self.folder.voices / file)
        voice = Voice(id=arrived.id, name=_shown(name), file=file, seconds=seconds)
        self.album.set_voice(voice)
        return voice

    # --- checks ---

    def _require_capacity(self) -> None:
        if len(self.album.photographs) >= self.most_photos:
            raise RefusedError(
                f"The album is full: it has {self.most_photos} photos. Remove some first."
            )

    async def _store(self, arrived: _TemporaryFile, photograph: Photograph) -> Photograph:
        known = self.album.photographs.get(photograph.id)
        if known is not None and known.file is not None:
            await asyncio.to_thread(arrived.path.unlink)
            return self._add(evolve(known, waiting=True))
        try:
            examined = await self._examine(arrived.path, photograph)
            header = await require_acceptable(examined.photo)
        except (RefusedError, UnreadablePhotoError) as error:
            await asyncio.to_thread(_delete_all, arrived.path)
            return self._refuse(photograph, str(error))
        except BaseException:  # a full disk, which must not be filled further
            await asyncio.to_thread(_delete_all, arrived.path)
            raise
        file = f"{photograph.id}{header.format.suffix}"
        await asyncio.to_thread(self._keep, arrived.path, examined, photograph.id, file)
        return self._add(evolve(photograph, file=file, faces=examined.faces))

    async def _examine(self, photo: Path, photograph: Photograph) -> Examined:
        """Prepare a file; a linked photo must be acceptable as it is."""
        if photograph.url is None and not self.takes_files:
            raise RefusedError(_NO_FILE_ACCESS)
        if photograph.url is not None or self.workers is None:
            await require_acceptable(photo)
        else:
            await self.policy.require_readable(photo)
        if self.workers is None:
            return Examined(photo, {}, None)
        kind = UPLOADED if photograph.url is None else LINKED
        return await self.workers.examine(photo, kind)

    def _keep(self, arrived: Path, examined: Examined, photo_id: str, file: str) -> None:
        """Move the files of an examined photo to where they belong. Blocking."""
        for name, path in examined.thumbnails.items():
            path.replace(self.folder.thumbnail(photo_id, name))
        examined.photo.replace(self.folder.photos / file)
        _delete_all(arrived)

    def _refuse(self, photograph: Photograph, reason: str) -> Photograph:
        _log.info("%s was refused: %s", photograph.id, reason)
        # A refused link is not kept: it may have characters that the album's file cannot hold.
        return self._add(evolve(photograph, url=None, refusal=safe_text(in_words(reason))))

    def _add(self, photograph: Photograph) -> Photograph:
        self.album.put(photograph)
        return photograph

    # --- bytes ---

    async def _receive(
        self, folder: Path, content: AsyncIterator[bytes], limit: int, what: str
    ) -> _TemporaryFile:
        """Write the content to a file with a random name.

        Raises:
            TooLargeError: it has `limit` bytes or more.
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
                            f"The {what} is too large: it must have less than {limit // 2**20} MB."
                        )
                    digest.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
            finally:
                await asyncio.to_thread(file.close)
        except BaseException:
            await asyncio.to_thread(path.unlink)
            raise
        return _TemporaryFile(path, digest.hexdigest())

    async def _fetch(self, url: str) -> _TemporaryFile:
        """Download a photo.

        Raises:
            RefusedError: the URL cannot be fetched.
        """
        try:
            async with (
                asyncio.timeout(_FETCH_SECONDS),
                await open_link(
                    self.session,
                    exact_url(url),
                    headers={},
                    timeout=_FETCH_TIMEOUT,
                    max_redirects=_MAX_REDIRECTS,
                ) as response,
            ):
                if response.status != 200:  # noqa: PLR2004 - OK
                    raise RefusedError(
                        f"The link does not lead to a photo: its server answered with status "
                        f"{response.status}."
                    )
                content = response.content.iter_chunked(_CHUNK)
                return await self._receive(self.folder.photos, content, MAX_BYTES, "photo")
        except (aiohttp.ClientError, TimeoutError, ValueError):
            # Not chained: aiohttp's texts contain the whole URL.
            raise RefusedError("The link cannot be opened from this machine.") from None


def _path_of(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def _shown(name: str) -> str:
    """Return a file's name without folder and suffix."""
    stem = PurePath(name.replace("\\", "/")).stem.strip() or "photo"
    return printable(stem[:_MAX_NAME_LENGTH])


def _delete_all(arrived: Path) -> None:
    """Delete an upload, and what its examination has written beside it."""
    for path in arrived.parent.glob(f"{arrived.stem}.*"):
        path.unlink(missing_ok=True)
