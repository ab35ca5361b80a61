"""Run a batch, display its progress, and print its summary."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from photoanimer_async.cli.batch_results import BatchResults, PhotoResult, source_of
from photoanimer_async.cli.exit_status import ExitStatus
from photoanimer_async.cli.reports import report_of
from photoanimer_async.cli.summary import NextCommand, exit_status
from photoanimer_async.errors import (
    AuthenticationError,
    BudgetExceededError,
    InsufficientCreditsError,
    InvalidPhotoError,
    MachineShortageError,
    NotSubmittedError,
    PhotoAnimerError,
)
from photoanimer_async.jobs.lifecycle import State
from photoanimer_async.jobs.progress import ProgressEvent
from photoanimer_async.models import AnimationRequest, Location, Outcome
from photoanimer_async.redaction import shown_photo

_STOPS_BATCH = (
    AuthenticationError,
    BudgetExceededError,
    InsufficientCreditsError,
    MachineShortageError,
)


class BatchRun:
    """A batch in the foreground: its results, their display, and the summary.

    ::

        batch = BatchRun(total, out, next_command=NextCommand())
        await batch.run(client.animate_many(..., on_progress=batch.on_progress))
        status = batch.finish()

    Args:
        total: how many photos there are, without those that are refused.
        out: where the videos are saved.
        next_command: the command that continues the batch if it is not finished.
        refused: errors of names that stand for no photo.
        requests: the photos, where they may have names of their own.
        json: whether programs read the output.
    """

    def __init__(
        self,
        total: int,
        out: Location,
        *,
        next_command: NextCommand,
        refused: Sequence[InvalidPhotoError] = (),
        requests: Sequence[AnimationRequest] = (),
        json: bool = False,
    ) -> None:
        self.results = BatchResults(total=total + len(refused))
        self.outcomes: list[Outcome] = []
        self.out = out
        self._refused = refused
        self._requests = requests
        self._report = report_of(self.results, out, next_command, json=json)
        self._submitted_now: set[int] = set()
        self._stopped_by: PhotoAnimerError | None = None
        self._started = time.monotonic()

    async def run(self, outcomes: AsyncGenerator[Outcome]) -> None:
        """Display the outcomes of a batch until its end; if cancelled, print what is unfinished."""
        try:
            with self._report:
                for error in self._refused:
                    self._add_result(PhotoResult(error.photo, error=error, source=error.photo))
                await self._display_outcomes(outcomes)
        except asyncio.CancelledError:
            self._report.interrupt(time.monotonic() - self._started)
            raise

    async def _display_outcomes(self, outcomes: AsyncGenerator[Outcome]) -> None:
        try:
            async with aclosing(outcomes):
                async for outcome in outcomes:
                    self.outcomes.append(outcome)
                    if not isinstance(outcome.error, (NotSubmittedError, *_STOPS_BATCH)):
                        self._add_result(self._result(outcome))
        except _STOPS_BATCH as error:
            self._stopped_by = error

    def on_progress(self, event: ProgressEvent) -> None:
        """Record and display a step of a photo."""
        if event.state in {State.SUBMITTING, State.SUBMITTED, State.FINISHED}:
            self._submitted_now.add(event.index)
        name = self._requests[event.index].name if self._requests else None
        name = name or shown_photo(event.photo)
        match event.state:
            case State.SUBMITTING:
                self.results.add_submit(event.index, name)
            case State.SUBMITTED if event.task_id is not None and event.error is None:
                source = source_of(event.photo)
                photo = self.results.add_task(event.index, name, event.task_id, source)
                self._report.accepted(photo)

    def finish(self) -> ExitStatus:
        """Report what became of all photos, and return the exit status."""
        self._report.finish(time.monotonic() - self._started, self._stopped_by)
        return exit_status(self.results)

    def _add_result(self, result: PhotoResult) -> None:
        self.results.add_result(result.index, result)
        self._report.ended(result)

    def _result(self, outcome: Outcome) -> PhotoResult:
        animation = outcome.animation
        is_earlier = animation is not None and outcome.index not in self._submitted_now
        return PhotoResult(
            outcome.request.name or shown_photo(outcome.photo),
            outcome.task_id,
            None if animation is None else animation.place,
            None if animation is None or is_earlier else animation.seconds,
            outcome.error,
            earlier=is_earlier,
            index=outcome.index,
            source=source_of(outcome.photo),
        )
