"""A studio: what can be done in it, and what lives as long as it does."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from attrs import evolve, frozen

from photoanimer_async import (
    JournalInUseError,
    PhotoAnimerClient,
    PhotoAnimerError,
    Template,
)
from photoanimer_async.jobs.journal.journal_lock import OwnerLock
from photoanimer_async.service.fetching.addresses import LOOPBACK, AddressRules, guarded_connector
from photoanimer_async.studio.album import Album, Clip, Photograph, Stage, Voice
from photoanimer_async.studio.album_file import AlbumFile
from photoanimer_async.studio.background_tasks import OwnedTasks
from photoanimer_async.studio.face_preview import Darkroom, is_installed
from photoanimer_async.studio.photo_intake import Admission, installed_admission
from photoanimer_async.studio.previews import Previews
from photoanimer_async.studio.production import Production
from photoanimer_async.studio.refused import MalformedError, RefusedError
from photoanimer_async.studio.studio_folder import StudioFolder
from photoanimer_async.studio.studio_settings import StudioSettings, is_loopback
from photoanimer_async.studio.uploads import Intake

_log = logging.getLogger(__name__)

_FETCH_TIMEOUT = aiohttp.ClientTimeout(total=30.0, sock_connect=10.0)


@frozen
class Account:
    """What is known of the account.

    Attributes:
        seconds: video seconds that are left; `None` if that is not known.
        error: why it is not known.
    """

    seconds: float | None = None
    error: str | None = None


class Studio:
    """A studio, to be entered.

    Args:
        client: has clips made; it is used, and not closed.
        settings: how it is set up.

    Raises, when entered:
        PhotoAnimerError: the folder can not be used, or another studio is at work in it.
    """

    def __init__(self, client: PhotoAnimerClient, settings: StudioSettings) -> None:
        self.settings = settings
        self.folder = StudioFolder(settings.data_dir)
        self.account = Account()
        self.admission = Admission()
        self.album = Album()
        self._client = client
        self._file = AlbumFile(self.folder.album)
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await asyncio.to_thread(self.folder.create)
            lock = await asyncio.to_thread(_locked, self.folder.album)
            stack.push_async_callback(asyncio.to_thread, lock.release)
            self.album = await self._file.load()
            stack.callback(self.album.feed.close)
            darkroom = None
            if self.settings.use_engine and is_installed():
                darkroom = await stack.enter_async_context(Darkroom())
            session = await stack.enter_async_context(
                aiohttp.ClientSession(
                    connector=guarded_connector(_fetch_rules(self.settings.host)),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    timeout=_FETCH_TIMEOUT,
                )
            )
            tasks = await stack.enter_async_context(OwnedTasks())
            self.admission = await asyncio.to_thread(installed_admission)
            self.previews = Previews(self.album, self.folder, darkroom)
            self._intake = Intake(
                self.album,
                self.folder,
                darkroom,
                session,
                self.settings.most_photos,
                self.admission,
                takes_files=self._client.takes_files,
            )
            self._production = Production(
                self._client, self.album, self.folder, tasks, self._save, self._refresh_account
            )
            self._production.resume()
            self.previews.refresh()
            tasks.begin(self.previews.run())
            tasks.begin(self._refresh_account())
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._open.aclose()

    # --- what comes in ---

    async def take_file(self, name: str, added: float, content: AsyncIterator[bytes]) -> Photograph:
        """A photo that was uploaded; see `Intake`."""
        return await self._taken(await self._intake.take_file(name, added, content))

    async def take_url(self, url: str, added: float) -> Photograph:
        """A photo that came as a URL; see `Intake`."""
        return await self._taken(await self._intake.take_url(url, added))

    async def take_voice(
        self, name: str, seconds: float | None, content: AsyncIterator[bytes]
    ) -> Voice:
        """A voice for the next clips; see `Intake`."""
        voice = await self._intake.take_voice(name, seconds, content)
        await self._save()
        return voice

    async def drop_voice(self) -> None:
        """The next clips have no voice."""
        self.album.set_voice(None)
        await self._save()

    async def _taken(self, photograph: Photograph) -> Photograph:
        self.previews.refresh()
        await self._save()
        return photograph

    # --- what is done with it ---

    async def set_waiting(self, number: str, *, waiting: bool) -> None:
        """Puts a photo among those to be animated next, or takes it from there.

        One that is taken from there, and of which there is no clip, is gone.

        Raises:
            MissingError: there is no such photo.
        """
        photograph = self.album.photograph(number)
        if waiting or self.album.clips_of(number):
            self.album.put(evolve(photograph, waiting=waiting))
        else:
            await self._forget(photograph)
        self.previews.refresh()
        await self._save()

    async def start(
        self, numbers: Sequence[str], template: int, *, with_voice: bool
    ) -> Sequence[Clip]:
        """Has clips made of photos; gives those that are new.

        Raises:
            RefusedError: a photo or template is not there, or a voice where none can be.
        """
        voice = self.album.voice if with_voice else None
        if template not in {t.value for t in Template} or (with_voice and voice is None):
            raise MalformedError("There is no such expression or voice.")
        if voice is not None and template != Template.T0:
            raise MalformedError("A voice goes with talking only.")
        photographs = [self.album.photograph(number) for number in dict.fromkeys(numbers)]
        clips = await self._production.start(photographs, Template(template), voice)
        self.previews.refresh()
        return clips

    async def retry(self, number: str) -> Clip:
        """Asks for a clip that has failed once more.

        Raises:
            RefusedError: it is not there, or has not failed.
        """
        return await self._production.retry(self.album.clip(number))

    async def remove_clip(self, number: str) -> None:
        """Takes a clip that has ended out of the album, and its photo with its last clip.

        Raises:
            RefusedError: it is not there, or is under way.
        """
        clip = self.album.clip(number)
        if not clip.stage.ended:
            raise RefusedError("The clip is on its way, and has been paid for.")
        self.album.remove_clip(number)
        if clip.stage is Stage.DONE and clip.video is not None:
            await asyncio.to_thread((self.folder.videos / clip.video).unlink, missing_ok=True)
        photograph = self.album.photograph(clip.photograph)
        if not photograph.waiting and not self.album.clips_of(photograph.id):
            await self._forget(photograph)
        await self._save()

    async def _forget(self, photograph: Photograph) -> None:
        self.album.remove_photograph(photograph.id)
        places = [self.folder.small_photo(photograph.id)]
        places += [self.folder.preview(photograph.id, template) for template in Template]
        if photograph.file is not None:
            places.append(self.folder.photos / photograph.file)
        await asyncio.to_thread(_remove, places)

    # --- what lives as long as the studio ---

    async def _save(self) -> None:
        await self._file.save(self.album)

    async def _refresh_account(self) -> None:
        try:
            balance = await self._client.get_balance()
            self.account = Account(balance.video)
        except PhotoAnimerError as error:
            _log.warning("the balance is not known: %s", error)
            self.account = Account(error=str(error))
        self.album.feed.changed("account")


def _fetch_rules(host: str) -> AddressRules:
    """Where links may lead: not to this machine's neighbours, which others could spy out so."""
    return AddressRules(LOOPBACK if is_loopback(host) else ())


def _locked(album: Path) -> OwnerLock:
    try:
        return OwnerLock(album)
    except JournalInUseError as error:
        raise PhotoAnimerError(f"{album.parent}: another studio is at work in it") from error


def _remove(places: Sequence[Path]) -> None:
    for place in places:
        place.unlink(missing_ok=True)
