"""Having clips made: one batch, with a journal of its own, for each time that was asked.

How nothing is paid for twice. What is asked for is on the disk, in the album, before its batch
begins; the batch writes every step into its journal before it takes the next one. A clip that
the album does not know to have ended is handed to its batch again when the studio starts, with
the same journal: `animate_many` then goes on where it was. Asking again for a clip that is
there, or on its way, asks for nothing. A clip that failed is tried again as part of a new
batch, which is to be paid for, and only if somebody asks for it.
"""

import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from itertools import groupby

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
from photoanimer_async.studio.album import Album, Clip, Photograph, Stage, Voice, clip_id
from photoanimer_async.studio.background_tasks import OwnedTasks
from photoanimer_async.studio.refused import RefusedError
from photoanimer_async.studio.studio_folder import StudioFolder

_log = logging.getLogger(__name__)

_STAGES = {
    State.PLANNED: Stage.WAITING,
    State.SUBMITTING: Stage.SENDING,
    State.SUBMITTED: Stage.MOVING,
    State.FINISHED: Stage.SAVING,
}


@define
class Production:
    """Has clips made by a client.

    Attributes:
        client: makes them.
        album: what they are made of, and where they are shown.
        folder: where journals and videos are.
        tasks: owns the batches.
        save: puts the album on the disk.
        settled: is called when a batch has ended.
    """

    client: PhotoAnimerClient
    album: Album
    folder: StudioFolder
    tasks: OwnedTasks
    save: Callable[[], Awaitable[None]]
    settled: Callable[[], Awaitable[None]]

    async def start(
        self, photographs: Sequence[Photograph], template: Template, voice: Voice | None
    ) -> Sequence[Clip]:
        """Has clips made; gives those that are new.

        Raises:
            RefusedError: none of the photographs can be animated.
        """
        sound = [photograph for photograph in photographs if photograph.file is not None]
        if not sound:
            raise RefusedError("There is no photo that can be brought to life.")
        batch = secrets.token_hex(8)
        now = time.time()
        clips = [self._new(photograph, template, voice, batch, now) for photograph in sound]
        new = [clip for clip in clips if self._may_begin(clip.id)]
        self.album.put(*new, *(evolve(photograph, waiting=False) for photograph in sound))
        await self._begin(new)
        return new

    async def retry(self, clip: Clip) -> Clip:
        """Asks for a clip that has failed once more.

        Raises:
            RefusedError: it has not failed, or has been paid for.
        """
        if not clip.stage.ended or clip.stage is Stage.DONE or not clip.repeatable:
            raise RefusedError("The clip can not be asked for again.")
        again = evolve(
            clip,
            batch=secrets.token_hex(8),
            stage=Stage.WAITING,
            error=None,
            added=time.time(),
        )
        self.album.put(again)
        await self._begin([again])
        return again

    def resume(self) -> None:
        """Goes on with everything that has not ended."""
        under_way = [clip for clip in self.album.clips.values() if not clip.stage.ended]
        for _, clips in groupby(sorted(under_way, key=_batch_of), key=_batch_of):
            self.tasks.begin(self._run(list(clips)))

    def _new(
        self,
        photograph: Photograph,
        template: Template,
        voice: Voice | None,
        batch: str,
        now: float,
    ) -> Clip:
        clip = Clip(
            id=clip_id(photograph.id, template, voice),
            photograph=photograph.id,
            template=template,
            cost=0.0,
            batch=batch,
            added=now,
            voice=voice,
        )
        return evolve(clip, cost=estimate([self._request(clip)]).seconds)

    def _may_begin(self, number: str) -> bool:
        known = self.album.clips.get(number)
        return known is None or (known.stage is Stage.FAILED and known.repeatable)

    async def _begin(self, clips: Sequence[Clip]) -> None:
        await self.save()
        if clips:
            self.tasks.begin(self._run(clips))

    async def _run(self, clips: Sequence[Clip]) -> None:
        """Takes clips of one batch to their ends."""
        requests = [self._request(clip) for clip in clips]
        outcomes = self.client.animate_many(
            requests,
            save_to=self.folder.videos,
            journal=self.folder.journal(clips[0].batch),
            on_progress=lambda event: self._follow(clips, event),
        )
        try:
            async with aclosing(outcomes):
                async for outcome in outcomes:
                    self._end(clips[outcome.index], outcome)
                    await self.save()
        except PhotoAnimerError as error:
            _log.warning("a batch was stopped: %s", error)
            self._fail_rest(clips, error)
            await self.save()
        await self.settled()

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

    def _follow(self, clips: Sequence[Clip], event: ProgressEvent) -> None:
        if event.error is None and event.state in _STAGES:
            self.album.advance(clips[event.index].id, _STAGES[event.state])

    def _end(self, clip: Clip, outcome: Outcome) -> None:
        clip = self.album.clips.get(clip.id, clip)
        path = None if outcome.animation is None else outcome.animation.path
        if path is not None:
            self.album.put(evolve(clip, stage=Stage.DONE, video=path.name, error=None))
            return
        error = outcome.error or PhotoAnimerError("There is no video.")
        if isinstance(error, AmbiguousSubmitError):
            accepted = error.evidence is Evidence.FETCHED
            self.album.put(
                evolve(
                    clip,
                    stage=Stage.UNCLEAR,
                    error=_UNCLEAR_ACCEPTED if accepted else _UNCLEAR,
                    repeatable=not accepted,
                )
            )
        else:
            self.album.put(evolve(clip, stage=Stage.FAILED, error=reason_of(error)))

    def _fail_rest(self, clips: Iterable[Clip], error: PhotoAnimerError) -> None:
        for number in [clip.id for clip in clips]:
            clip = self.album.clips.get(number)
            if clip is not None and not clip.stage.ended:
                self.album.put(evolve(clip, stage=Stage.FAILED, error=reason_of(error)))


def _batch_of(clip: Clip) -> str:
    return clip.batch


_UNCLEAR = (
    "The answer of the service was lost. It may have taken the order and charged for it: look "
    "at your account before you try again."
)
_UNCLEAR_ACCEPTED = (
    "The service has taken the order, but its answer was lost, so that the video can not be "
    "fetched from here: look at your account."
)


def reason_of(error: PhotoAnimerError) -> str:
    """Why there is no video, for the person at the page, who sees the photo beside it."""
    match error:
        case TaskFailedError():
            text = error.info.fail_reason or "The service gives no reason; often it sees no face"
        case InvalidPhotoError():
            text = str(error).removeprefix(f"{error.photo}: ")
        case NotSubmittedError(__cause__=PhotoAnimerError() as cause):
            return f"Not sent. {reason_of(cause)}"
        case _:
            text = str(error)
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
