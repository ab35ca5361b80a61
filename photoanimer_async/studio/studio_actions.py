"""The actions of the page, and the resources that they share while the studio runs."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from attrs import evolve

from photoanimer_async import (
    JournalInUseError,
    PhotoAnimerClient,
    PhotoAnimerError,
    Template,
)
from photoanimer_async.jobs.journal.journal_lock import OwnerLock
from photoanimer_async.photos.loopback import is_loopback
from photoanimer_async.service.fetching.addresses import LOOPBACK, AddressRules
from photoanimer_async.service.fetching.guarded_session import guarded_connector
from photoanimer_async.studio.account_balance import AccountBalance
from photoanimer_async.studio.album import Album, Clip, Photograph, Stage, Voice
from photoanimer_async.studio.animators import Animator, Animators
from photoanimer_async.studio.background_tasks import BackgroundTasks
from photoanimer_async.studio.clip_batches import ClipBatches
from photoanimer_async.studio.clip_stopping import ClipStopper, Stopped
from photoanimer_async.studio.expression_previews import ExpressionPreviews
from photoanimer_async.studio.photo_policy import PhotoPolicy, installed_photo_policy
from photoanimer_async.studio.photo_workers import PhotoWorkers, is_engine_installed
from photoanimer_async.studio.studio_errors import MalformedError, RefusedError
from photoanimer_async.studio.studio_folder import AlbumFile, StudioFolder
from photoanimer_async.studio.studio_settings import StudioSettings
from photoanimer_async.studio.task_cancelling import TaskCanceller
from photoanimer_async.studio.thumbnails import Thumbnails
from photoanimer_async.studio.uploads import Uploads


class Studio:
    """An async context manager with every action that the page can request.

    Each action saves the album before it returns.

    Args:
        client: an open client, which animates the photos; it is not closed.
        settings: the studio's settings.
        canceller: stops clips that were submitted, if the service offers that; entered here.
        everyone: animates all faces of a photo, where the user asks for it.

    Raises, when entered:
        PhotoAnimerError: the folder cannot be used, or another studio is using it.
    """

    previews: ExpressionPreviews
    balance: AccountBalance
    stopper: ClipStopper
    thumbnails: Thumbnails

    def __init__(
        self,
        client: PhotoAnimerClient,
        settings: StudioSettings,
        canceller: TaskCanceller | None = None,
        everyone: Animator | None = None,
    ) -> None:
        self.settings = settings
        self.folder = StudioFolder(settings.data_dir)
        self.policy = PhotoPolicy()
        self.album = Album()
        self._client = client
        self.animators = Animators(Animator(client, canceller), everyone)
        self._album_file = AlbumFile(self.folder.album)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await asyncio.to_thread(self.folder.create)
            lock = await asyncio.to_thread(_lock_folder, self.folder.album)
            stack.push_async_callback(asyncio.to_thread, lock.release)
            self.album = await self._album_file.load()
            stack.callback(self.album.feed.close)
            self.policy = await asyncio.to_thread(installed_photo_policy)
            workers = None
            if self.policy.prepares:
                use_engine = self.settings.use_engine and is_engine_installed()
                workers = await stack.enter_async_context(PhotoWorkers(use_engine=use_engine))
            session = await stack.enter_async_context(_open_session(self.settings.host))
            tasks = await stack.enter_async_context(BackgroundTasks())
            self.balance = AccountBalance(self._client, self.album.feed)
            self.previews = ExpressionPreviews(self.album, self.folder, workers)
            self.thumbnails = Thumbnails(self.folder, workers)
            self._uploads = Uploads(
                self.album,
                self.folder,
                workers,
                session,
                self.settings.most_photos,
                self.policy,
                takes_files=self._client.takes_files,
            )
            self._batches = ClipBatches(
                self.animators,
                self.album,
                self._album_file,
                self.folder,
                self.balance,
                tasks,
                self.settings.in_flight,
            )
            await self.animators.enter(stack)
            self.stopper = ClipStopper(self._batches, tasks)
            await self.stopper.resume()
            self._batches.resume()
            self.previews.refresh()
            tasks.start(self.previews.run())
            tasks.start(self.balance.refresh())
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    # --- photos and voice ---

    async def add_photo(self, name: str, added: float, content: AsyncIterator[bytes]) -> Photograph:
        """Add a photo as a file; see `Uploads.receive_photo`."""
        photograph = await self._uploads.receive_photo(name, added, content)
        await self._photos_changed()
        return photograph

    async def add_link(self, url: str, added: float) -> Photograph:
        """Add a photo by its URL; see `Uploads.receive_link`."""
        photograph = await self._uploads.receive_link(url, added)
        await self._photos_changed()
        return photograph

    async def set_waiting(self, photo_id: str, *, waiting: bool) -> None:
        """Select a photo for the next clips, or deselect it.

        A deselected photo without clips is deleted.

        Raises:
            MissingError: the photo does not exist.
        """
        photograph = self.album.photograph(photo_id)
        if waiting or self.album.clips_of(photo_id):
            self.album.put(evolve(photograph, waiting=waiting))
        else:
            await self._delete_photo(photograph)
        await self._photos_changed()

    async def set_voice(
        self, name: str, seconds: float | None, content: AsyncIterator[bytes]
    ) -> Voice:
        """Set the voice for the next clips; see `Uploads.receive_voice`."""
        voice = await self._uploads.receive_voice(name, seconds, content)
        await self._save()
        return voice

    async def remove_voice(self) -> None:
        """Make the next clips without a voice."""
        self.album.set_voice(None)
        await self._save()

    # --- clips ---

    async def start(
        self,
        photo_ids: Sequence[str],
        template: int,
        *,
        with_voice: bool,
        everyone: bool = False,
    ) -> Sequence[Clip]:
        """Start clips of photos, and return them without those that exist or are in progress.

        Raises:
            RefusedError: a photo, the template or the voice does not exist, or the voice is used
                with another template than talking.
        """
        voice = self.album.voice if with_voice else None
        if template not in {t.value for t in Template}:
            raise MalformedError("This expression does not exist.")
        if with_voice and voice is None:
            raise MalformedError("There is no voice: add a sound file first.")
        if voice is not None and template != Template.T0:
            raise MalformedError("A voice can be used with the talking expression only.")
        photographs = [self.album.photograph(photo_id) for photo_id in dict.fromkeys(photo_ids)]
        clips = await self._batches.start(
            photographs,
            Template(template),
            voice,
            everyone=everyone and self.animators.everyone is not None,
        )
        self.previews.refresh()
        return clips

    async def retry(self, clip_ids: Sequence[str]) -> Sequence[Clip]:
        """Start failed clips again; those that are paid for are only fetched.

        Raises:
            RefusedError: a clip does not exist, or cannot be retried.
        """
        await self._batches.retry([self.album.clip(clip_id) for clip_id in dict.fromkeys(clip_ids)])
        return [self.album.clip(clip_id) for clip_id in clip_ids]

    async def stop(self, clip_ids: Sequence[str]) -> Stopped:
        """Stop clips that wait or run; see `ClipStopper.stop`.

        Raises:
            RefusedError: a clip does not exist.
        """
        clips = [self.album.clip(clip_id) for clip_id in dict.fromkeys(clip_ids)]
        stopped = await self.stopper.stop(clips)
        self._batches.tasks.start(self.balance.refresh())
        self.previews.refresh()
        return stopped

    async def remove_clip(self, clip_id: str) -> None:
        """Delete a clip that has ended, and its photo if this was its last clip.

        Raises:
            RefusedError: the clip does not exist, or is in progress.
        """
        clip = self.album.clip(clip_id)
        if not clip.stage.ended:
            raise RefusedError(
                "The video is still being made. Stop it first, or wait until it has ended."
            )
        self.album.remove_clip(clip_id)
        if clip.stage is Stage.DONE and clip.video is not None:
            await asyncio.to_thread((self.folder.videos / clip.video).unlink, missing_ok=True)
        photograph = self.album.photograph(clip.photograph)
        if not photograph.waiting and not self.album.clips_of(photograph.id):
            await self._delete_photo(photograph)
        await self._save()

    async def _delete_photo(self, photograph: Photograph) -> None:
        self.album.remove_photograph(photograph.id)
        paths = list(await asyncio.to_thread(self.folder.made_of, photograph.id))
        if photograph.file is not None:
            paths.append(self.folder.photos / photograph.file)
        await asyncio.to_thread(_delete, paths)

    async def _photos_changed(self) -> None:
        self.previews.refresh()
        await self._save()

    async def _save(self) -> None:
        await self._album_file.save(self.album)


def _open_session(host: str) -> aiohttp.ClientSession:
    """Return a session for links; they must not lead to private addresses of the network."""
    rules = AddressRules(LOOPBACK if is_loopback(host) else ())
    return aiohttp.ClientSession(
        connector=guarded_connector(rules),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def _lock_folder(album: Path) -> OwnerLock:
    try:
        return OwnerLock(album)
    except JournalInUseError as error:
        raise PhotoAnimerError(f"{album.parent}: another studio is using this folder") from error


def _delete(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
