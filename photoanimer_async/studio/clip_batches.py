"""Batches of clips: one `animate_many` with its own journal for each start.

How double payment is prevented:

* A clip is on disk, in the album's file, before its batch begins, and the batch records every
  step in its journal before it takes the next one.
* When the studio starts, each clip that has not ended is passed to `animate_many` again with the
  same journal, which resumes it.
* Starting a clip that is finished or in progress starts nothing.
* A failed clip is retried only on request, as part of a new batch, which is charged.
"""

import logging
import secrets
import time
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from itertools import groupby
from operator import attrgetter

from attrs import define, evolve

from photoanimer_async import (
    AmbiguousSubmitError,
    AnimationOptions,
    AnimationRequest,
    Evidence,
    InvalidPhotoError,
    NotSubmittedError,
    Outcome,
    PhotoAnimerClient,
    PhotoAnimerError,
    ProgressEvent,
    State,
    TaskFailedError,
    Template,
    estimate,
)
from photoanimer_async.studio.album import (
    Album,
    ChangeFeed,
    Clip,
    Photograph,
    Stage,
    Voice,
    derive_clip_id,
)
from photoanimer_async.studio.background_tasks import BackgroundTasks
from photoanimer_async.studio.studio_errors import RefusedError
from photoanimer_async.studio.studio_folder import AlbumFile, StudioFolder

_log = logging.getLogger(__name__)

_STAGES = {
    State.PLANNED: Stage.WAITING,
    State.SUBMITTING: Stage.SENDING,
    State.SUBMITTED: Stage.MOVING,
    State.FINISHED: Stage.SAVING,
}
_RESPONSE_LOST = (
    "The service's response was lost. It may have accepted and charged the task: check your "
    "account before you try again."
)
_RESPONSE_LOST_AFTER_FETCH = (
    "The service accepted the task, but its response was lost, so the video cannot be fetched "
    "from here: check your account."
)


@define
class AccountBalance:
    """The account's remaining video seconds, as last read.

    Attributes:
        client: reads the balance.
        feed: receives changes.
        seconds: video seconds left; `None` if unknown.
        error: why they are unknown.
    """

    client: PhotoAnimerClient
    feed: ChangeFeed
    seconds: float | None = None
    error: str | None = None

    async def refresh(self) -> None:
        """Read the balance from the service."""
        try:
            balance = await self.client.get_balance()
            self.seconds, self.error = balance.video, None
        except PhotoAnimerError as error:
            _log.warning("cannot read the account balance: %s", error)
            self.seconds, self.error = None, str(error)
        self.feed.publish("account")


@define
class ClipBatches:
    """Starts, resumes and retries clips.

    Attributes:
        client: animates the photos.
        album: has the photos, and shows the clips.
        album_file: saves the album.
        folder: has the journals and videos.
        balance: is refreshed after each batch.
        tasks: owns the running batches.
    """

    client: PhotoAnimerClient
    album: Album
    album_file: AlbumFile
    folder: StudioFolder
    balance: AccountBalance
    tasks: BackgroundTasks

    async def start(
        self, photographs: Sequence[Photograph], template: Template, voice: Voice | None
    ) -> Sequence[Clip]:
        """Start a batch, and return its clips: those that are neither finished nor in progress.

        Raises:
            RefusedError: none of the photos can be animated.
        """
        usable = [photograph for photograph in photographs if photograph.file is not None]
        if not usable:
            raise RefusedError("None of the photos can be animated. Add another photo.")
        batch = secrets.token_hex(8)
        now = time.time()
        clips = [self._make_clip(photograph, template, voice, batch, now) for photograph in usable]
        new = [clip for clip in clips if self._may_start(clip.id)]
        self.album.put(*new, *(evolve(photograph, waiting=False) for photograph in usable))
        await self._start_batch(new)
        return new

    async def retry(self, clip: Clip) -> Clip:
        """Start a failed clip again.

        Raises:
            RefusedError: it has not failed, or may have been charged for good.
        """
        if not clip.stage.ended or clip.stage is Stage.DONE or not clip.repeatable:
            raise RefusedError("This clip cannot be retried.")
        again = evolve(
            clip,
            batch=secrets.token_hex(8),
            stage=Stage.WAITING,
            error=None,
            added=time.time(),
        )
        self.album.put(again)
        await self._start_batch([again])
        return again

    def resume(self) -> None:
        """Resume every batch that has clips in progress."""
        by_batch = attrgetter("batch")
        in_progress = [clip for clip in self.album.clips.values() if not clip.stage.ended]
        for _, clips in groupby(sorted(in_progress, key=by_batch), key=by_batch):
            self.tasks.start(self._run(list(clips)))

    def _make_clip(
        self,
        photograph: Photograph,
        template: Template,
        voice: Voice | None,
        batch: str,
        now: float,
    ) -> Clip:
        clip = Clip(
            id=derive_clip_id(photograph.id, template, voice),
            photograph=photograph.id,
            template=template,
            cost=0.0,
            batch=batch,
            added=now,
            voice=voice,
        )
        return evolve(clip, cost=estimate([self._request(clip)]).seconds)

    def _may_start(self, clip_id: str) -> bool:
        known = self.album.clips.get(clip_id)
        return known is None or (known.stage is Stage.FAILED and known.repeatable)

    async def _start_batch(self, clips: Sequence[Clip]) -> None:
        await self.album_file.save(self.album)
        if clips:
            self.tasks.start(self._run(clips))

    async def _run(self, clips: Sequence[Clip]) -> None:
        """Animate the clips of one batch."""
        outcomes = self.client.animate_many(
            [self._request(clip) for clip in clips],
            save_to=self.folder.videos,
            # A clip that has failed is paid for again: the studio waits as long as it runs.
            timeout=None,
            journal=self.folder.journal(clips[0].batch),
            on_progress=lambda event: self._show_progress(clips, event),
        )
        try:
            async with aclosing(outcomes):
                async for outcome in outcomes:
                    self._record_outcome(clips[outcome.index], outcome)
                    await self.album_file.save(self.album)
        except PhotoAnimerError as error:
            _log.warning("a batch stopped before its end: %s", error)
            self._fail_unfinished(clips, error)
            await self.album_file.save(self.album)
        await self.balance.refresh()

    def _request(self, clip: Clip) -> AnimationRequest:
        photograph = self.album.photograph(clip.photograph)
        voice = clip.voice
        options = AnimationOptions(
            template=clip.template,
            voice=None if voice is None else self.folder.voices / voice.file,
            voice_seconds=None if voice is None else voice.seconds,
        )
        photo = photograph.url or self.folder.photos / (photograph.file or "")
        return AnimationRequest(photo, options, name=clip.id)

    def _show_progress(self, clips: Sequence[Clip], event: ProgressEvent) -> None:
        if event.error is None and event.state in _STAGES:
            self.album.advance(clips[event.index].id, _STAGES[event.state])

    def _record_outcome(self, clip: Clip, outcome: Outcome) -> None:
        clip = self.album.clips.get(clip.id, clip)
        path = None if outcome.animation is None else outcome.animation.path
        if path is not None:
            self.album.put(evolve(clip, stage=Stage.DONE, video=path.name, error=None))
            return
        error = outcome.error or PhotoAnimerError("There is no video.")
        if isinstance(error, AmbiguousSubmitError):
            fetched = error.evidence is Evidence.FETCHED
            self.album.put(
                evolve(
                    clip,
                    stage=Stage.UNCLEAR,
                    error=_RESPONSE_LOST_AFTER_FETCH if fetched else _RESPONSE_LOST,
                    repeatable=not fetched,
                )
            )
        else:
            self.album.put(evolve(clip, stage=Stage.FAILED, error=failure_text(error)))

    def _fail_unfinished(self, clips: Iterable[Clip], error: PhotoAnimerError) -> None:
        for clip_id in [clip.id for clip in clips]:
            clip = self.album.clips.get(clip_id)
            if clip is not None and not clip.stage.ended:
                self.album.put(evolve(clip, stage=Stage.FAILED, error=failure_text(error)))


def failure_text(error: PhotoAnimerError) -> str:
    """Return the sentence that the page shows beside the photo of a failed clip."""
    match error:
        case TaskFailedError():
            text = error.info.fail_reason or (
                "The service gave no reason; often it has found no face"
            )
        case InvalidPhotoError():
            text = str(error).removeprefix(f"{error.photo}: ")
        case NotSubmittedError(__cause__=PhotoAnimerError() as cause):
            return f"Not sent. {failure_text(cause)}"
        case _:
            text = str(error)
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
