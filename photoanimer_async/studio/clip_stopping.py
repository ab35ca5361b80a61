"""Stops clips: what was not submitted is withdrawn, what was is cancelled where that is possible.

A batch cannot let go of single photos. So it is stopped, which lets open submits get their
answers; its journal then says which clips were not submitted, and it is resumed without those.
At a service that cannot cancel, a clip that was submitted is paid for and continues.
"""

import asyncio
import logging
from collections.abc import Sequence

from attrs import define, evolve, field, frozen

from photoanimer_async import JournalError
from photoanimer_async.studio.album import Clip
from photoanimer_async.studio.background_tasks import BackgroundTasks
from photoanimer_async.studio.clip_batches import ClipBatches
from photoanimer_async.studio.paid_tasks import Payment, Standing

_log = logging.getLogger(__name__)

_AT_ONCE = 8


@frozen
class Stopped:
    """How many clips were stopped, and how many continue since they are paid for."""

    stopped: int
    paid: int


@define
class ClipStopper:
    """Stops clips that wait or run.

    Attributes:
        batches: has the clips.
        tasks: owns the batches.
    """

    batches: ClipBatches
    tasks: BackgroundTasks
    _slots: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def resume(self) -> None:
        """Stop clips that were being stopped when the studio exited; call it before batches run."""
        await self.stop([clip for clip in self.batches.album.clips.values() if clip.stopping])

    async def stop(self, clips: Sequence[Clip]) -> Stopped:
        """Stop clips; those that have ended stay as they are.

        A clip that was not submitted is removed, and its photo selected again. One whose task is
        being cancelled is removed when the service has confirmed it.
        """
        album = self.batches.album
        async with self.batches.lock:
            ids = [clip.id for clip in clips if not album.clips.get(clip.id, clip).stage.ended]
            album.put(*(evolve(clip, stopping=True) for clip in self._still_open(ids)))
            await self.batches.album_file.save(album)
            for batch, theirs in self.batches.by_batch(self._still_open(ids)):
                if any(clip.task is None for clip in theirs):
                    await self._withdraw(batch, [clip.id for clip in theirs])
            submitted = self._still_open(ids)
            is_cancelled = await asyncio.gather(*map(self._cancel, submitted))
            paid = sum(not cancelled for cancelled in is_cancelled)
            await self.batches.album_file.save(album)
        return Stopped(len(ids) - paid, paid)

    def _still_open(self, ids: Sequence[str]) -> Sequence[Clip]:
        clips = self.batches.album.clips
        found = [clips[clip_id] for clip_id in ids if clip_id in clips]
        return [clip for clip in found if not clip.stage.ended]

    async def _withdraw(self, batch: str, ids: Sequence[str]) -> None:
        """Remove clips of a batch that were not submitted; the batch continues without them."""
        was_running = await self.tasks.stop(batch)
        try:
            standings = await self.batches.read_journal(batch)
        except JournalError as error:
            _log.warning("nothing was withdrawn: %s", error)
        else:
            for clip in self._still_open(ids):
                if standings.get(clip.id, Standing()).payment is Payment.NONE:
                    self.batches.withdraw(clip)
        if was_running:
            self.batches.resume(batch)

    async def _cancel(self, clip: Clip) -> bool:
        """Cancel the task of a clip; return whether its video will not come."""
        is_cancelled = False
        animator = self.batches.animators.of(clip)
        if animator.canceller is not None and clip.task is not None:
            async with self._slots:
                is_cancelled = await animator.canceller.cancel(clip.task)
        if is_cancelled and clip.task is not None:
            animator.client.notify(clip.task)
        elif (now := self.batches.album.clips.get(clip.id)) is not None:
            self.batches.album.put(evolve(now, stopping=False))
        return is_cancelled
