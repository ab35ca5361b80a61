"""Batches of clips: one `animate_many` with its own journal for each start.

How double payment is prevented:

* A clip is on disk, in the album's file, before its batch begins, and the batch records every
  step in its journal before it takes the next one.
* When the studio starts, each clip that has not ended is passed to `animate_many` again with the
  same journal, which resumes it.
* Starting a clip that is finished or in progress starts nothing.
* A failed clip that is started or retried is looked up in its journal. If it has been paid for,
  its task is attached to, which costs nothing; if its submit was lost, it is shown as unclear.
  Only a clip whose task has failed, or that was never submitted, is bought, in a new batch.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from itertools import groupby
from operator import attrgetter, itemgetter

from attrs import define, evolve, field

from photoanimer_async import (
    AnimationOptions,
    AnimationRequest,
    JournalError,
    Outcome,
    PhotoAnimerError,
    ProgressEvent,
    State,
    TaskFailedError,
    TaskId,
    Template,
    estimate,
)
from photoanimer_async.studio.account_balance import AccountBalance
from photoanimer_async.studio.album import (
    Album,
    Clip,
    Photograph,
    Stage,
    Voice,
    derive_clip_id,
)
from photoanimer_async.studio.animators import Animators
from photoanimer_async.studio.background_tasks import BackgroundTasks
from photoanimer_async.studio.clip_outcomes import failed, finished, unclear
from photoanimer_async.studio.paid_tasks import Payment, Standing, read_standings
from photoanimer_async.studio.studio_errors import RefusedError
from photoanimer_async.studio.studio_folder import AlbumFile, StudioFolder

_log = logging.getLogger(__name__)

_STAGES = {
    State.PLANNED: Stage.WAITING,
    State.SUBMITTING: Stage.SENDING,
    State.SUBMITTED: Stage.MOVING,
    State.FINISHED: Stage.SAVING,
}
_BATCH = attrgetter("batch")
_EVERYONE = "-everyone"
"""Ending of the name of a batch in which everyone moves: a journal belongs to one service."""


@define
class ClipBatches:
    """Starts, resumes and retries clips.

    Attributes:
        animators: animate the photos.
        album: has the photos, and shows the clips.
        album_file: saves the album.
        folder: has the journals and videos.
        balance: is refreshed after each batch.
        tasks: owns the running batches, under their names.
        lock: is held while clips are started or stopped.
        in_flight: clips of a batch that the service has at once, at most; `None` for the
            client's own limit.
    """

    animators: Animators
    album: Album
    album_file: AlbumFile
    folder: StudioFolder
    balance: AccountBalance
    tasks: BackgroundTasks
    in_flight: int | None = None
    lock: asyncio.Lock = field(factory=asyncio.Lock)
    _failed_tasks: set[TaskId] = field(factory=set, init=False)

    async def start(
        self,
        photographs: Sequence[Photograph],
        template: Template,
        voice: Voice | None,
        *,
        everyone: bool = False,
    ) -> Sequence[Clip]:
        """Start clips, and return them without those that are finished or in progress.

        With `everyone`, all faces move in the photos that have more than one.

        Raises:
            RefusedError: none of the photos can be animated.
        """
        usable = [photograph for photograph in photographs if photograph.file is not None]
        if not usable:
            raise RefusedError("None of the photos can be animated. Add another photo.")
        clips = [
            clip
            for photograph in usable
            if (clip := self._startable(photograph, template, voice, everyone=everyone)) is not None
        ]
        self.album.put(*(evolve(photograph, waiting=False) for photograph in usable))
        await self._begin(clips)
        return clips

    async def retry(self, clips: Sequence[Clip]) -> None:
        """Start clips again that have failed; those that are paid for cost nothing.

        Raises:
            RefusedError: one has not failed, or was charged and is lost for good.
        """
        for clip in clips:
            if not clip.stage.ended or clip.stage is Stage.DONE or not clip.repeatable:
                raise RefusedError("This clip cannot be retried.")
        await self._begin(clips)

    def resume(self, name: str | None = None) -> None:
        """Resume a batch, or every one, that has clips in progress."""
        for batch, clips in self.by_batch(self.album.clips.values()):
            if name is None or batch == name:
                self._start_run(batch, clips)

    def withdraw(self, clip: Clip) -> None:
        """Remove a clip that will have no video, and select its photo again."""
        self.album.remove_clip(clip.id)
        photograph = self.album.photographs.get(clip.photograph)
        if photograph is not None:
            self.album.put(evolve(photograph, waiting=True))

    @staticmethod
    def by_batch(clips: Iterable[Clip]) -> Iterable[tuple[str, Sequence[Clip]]]:
        """Return those clips that are in progress, by their batches."""
        in_progress = sorted((clip for clip in clips if not clip.stage.ended), key=_BATCH)
        return [(batch, list(theirs)) for batch, theirs in groupby(in_progress, key=_BATCH)]

    def _startable(
        self, photograph: Photograph, template: Template, voice: Voice | None, *, everyone: bool
    ) -> Clip | None:
        """Return the clip to start; `None` if it is finished, in progress or unclear."""
        everyone = everyone and (photograph.faces or 0) > 1
        clip_id = derive_clip_id(photograph.id, template, voice, everyone=everyone)
        known = self.album.clips.get(clip_id)
        if known is not None:
            return known if known.stage is Stage.FAILED and known.repeatable else None
        clip = Clip(
            id=clip_id,
            photograph=photograph.id,
            template=template,
            cost=0.0,
            batch="",
            added=0.0,
            voice=voice,
            everyone=everyone,
        )
        return evolve(clip, cost=estimate([self._request(clip)]).seconds)

    async def _begin(self, clips: Sequence[Clip]) -> None:
        """Attach to the clips that are paid for, and start a batch of the others."""
        now, name = time.time(), secrets.token_hex(8)
        before = {clip.id: clip.stage for clip in clips}
        # At once, so that a second request finds them in progress.
        self.album.put(
            *(
                evolve(
                    clip,
                    stage=Stage.WAITING,
                    error=None,
                    added=now,
                    batch=clip.batch or _batch_name(name, clip),
                )
                for clip in clips
            )
        )
        async with self.lock:
            waiting = [
                self.album.clips[clip_id] for clip_id in before if clip_id in self.album.clips
            ]
            standings = await self._standings(waiting)
            paid = []
            for clip in waiting:
                match standings[clip.id]:
                    case JournalError() as error:
                        why = PhotoAnimerError(f"it is not known whether it was paid for: {error}")
                        self.album.put(failed(clip, why))
                    case Standing(Payment.PAID, task):
                        paid.append(evolve(clip, stage=Stage.SAVING, task=task))
                    case Standing(Payment.UNCLEAR) if before[clip.id] is not Stage.UNCLEAR:
                        self.album.put(unclear(clip))
                    case _:
                        self.album.put(evolve(clip, batch=_batch_name(name, clip)))
            self.album.put(*paid)
            await self.album_file.save(self.album)
            for batch in (name, f"{name}{_EVERYONE}"):
                self.resume(batch)
            for clip in paid:
                self.tasks.start(self._collect(clip))

    async def _standings(self, clips: Sequence[Clip]) -> Mapping[str, Standing | JournalError]:
        """Return whether clips are paid for, or why that is not known, by their ids."""
        found: dict[str, Standing | JournalError] = {clip.id: Standing() for clip in clips}
        by_batch = itemgetter(0)
        unknown = sorted((clip.batch, clip.id) for clip in clips if clip.task is None)
        for batch, theirs in groupby(unknown, key=by_batch):
            ids = {clip_id for _, clip_id in theirs}
            try:
                standings = await self.read_journal(batch)
                found |= {
                    id_: standing
                    for id_, standing in standings.items()
                    # A journal has the failure a moment later, and one that was attached to never.
                    if id_ in ids and standing.task not in self._failed_tasks
                }
            except JournalError as error:
                found |= dict.fromkeys(ids, error)
        return found | {
            clip.id: Standing(Payment.PAID, clip.task) for clip in clips if clip.task is not None
        }

    async def read_journal(self, batch: str) -> Mapping[str, Standing]:
        """Return what the journal of a batch knows of its clips; see `read_standings`."""
        return await asyncio.to_thread(read_standings, self.folder.journal(batch))

    # --- work in the background ---

    def _start_run(self, batch: str, clips: Sequence[Clip]) -> None:
        self.tasks.start(self._run(batch, clips), batch)

    async def _run(self, batch: str, clips: Sequence[Clip]) -> None:
        """Animate the clips of one batch."""
        outcomes = self.animators.of(clips[0]).client.animate_many(
            [self._request(clip) for clip in clips],
            save_to=self.folder.videos,
            # A clip that has failed is paid for again: the studio waits as long as it runs.
            timeout=None,
            in_flight=self.in_flight,
            journal=self.folder.journal(batch),
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

    async def _collect(self, clip: Clip) -> None:
        """Fetch the video of a clip that is paid for."""
        assert clip.task is not None  # noqa: S101 - only such clips are collected
        try:
            animation = await self.animators.of(clip).client.attach(
                clip.task, save_to=self.folder.videos / f"{clip.id}.mp4", timeout=None
            )
        except PhotoAnimerError as error:
            self._record_failure(self.album.clips.get(clip.id, clip), error)
        else:
            self.album.put(finished(clip, animation))
        await self.album_file.save(self.album)

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
            self.album.advance(clips[event.index].id, _STAGES[event.state], event.task_id)

    def _record_outcome(self, clip: Clip, outcome: Outcome) -> None:
        clip = self.album.clips.get(clip.id, clip)
        animation = outcome.animation
        if animation is not None and animation.path is not None:
            self.album.put(finished(clip, animation))
        else:
            error = outcome.error or PhotoAnimerError("There is no video.")
            self._record_failure(clip, error, outcome.task_id)

    def _record_failure(
        self, clip: Clip, error: PhotoAnimerError, task: TaskId | None = None
    ) -> None:
        if isinstance(error, TaskFailedError) and error.task_id is not None:
            self._failed_tasks.add(error.task_id)
        if clip.stopping and isinstance(error, TaskFailedError):
            self.withdraw(clip)
        else:
            self.album.put(failed(clip, error, task))

    def _fail_unfinished(self, clips: Iterable[Clip], error: PhotoAnimerError) -> None:
        for clip_id in [clip.id for clip in clips]:
            clip = self.album.clips.get(clip_id)
            if clip is not None and not clip.stage.ended:
                self.album.put(failed(clip, error))


def _batch_name(name: str, clip: Clip) -> str:
    return f"{name}{_EVERYONE}" if clip.everyone else name
