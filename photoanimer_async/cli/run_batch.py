"""Run a batch, display its progress, and print its summary."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from rich.console import Console

from photoanimer_async.cli.exit_status import ExitStatus
from photoanimer_async.cli.progress_display import ProgressDisplay
from photoanimer_async.cli.results import BatchResults, PhotoResult
from photoanimer_async.cli.summary import (
    NextCommand,
    exit_status,
    print_interruption,
    print_summary,
)
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

        batch = BatchRun(console, total, out)
        await batch.run(client.animate_many(..., on_progress=batch.on_progress))
        status = batch.print_summary()

    Args:
        console: where to display it.
        total: how many photos there are, without those that are refused.
        out: where the videos are saved.
        next_command: the command that continues the batch if it is not finished.
        refused: errors of names that stand for no photo.
        requests: the photos, where they may have names of their own.
    """

    def __init__(
        self,
        console: Console,
        total: int,
        out: Location,
        *,
        next_command: NextCommand,
        refused: Sequence[InvalidPhotoError] = (),
        requests: Sequence[AnimationRequest] = (),
    ) -> None:
        self.results = BatchResults(total=total + len(refused))
        self.outcomes: list[Outcome] = []
        self._console = console
        self.out = out
        self._next_command = next_command
        self._refused = refused
        self._requests = requests
        self._display = ProgressDisplay(console, self.results)
        self._submitted_now: set[int] = set()
        self._stopped_by: PhotoAnimerError | None = None
        self._started = time.monotonic()

    async def run(self, outcomes: AsyncGenerator[Outcome]) -> None:
        """Display the outcomes of a batch until its end; if cancelled, print what is unfinished."""
        try:
            with self._display:
                for error in self._refused:
                    self._add_result(None, PhotoResult(error.photo, error=error))
                await self._display_outcomes(outcomes)
        except asyncio.CancelledError:
            print_interruption(self._console, self.results, next_command=self._next_command)
            raise

    async def _display_outcomes(self, outcomes: AsyncGenerator[Outcome]) -> None:
        try:
            async with aclosing(outcomes):
                async for outcome in outcomes:
                    self.outcomes.append(outcome)
                    if not isinstance(outcome.error, (NotSubmittedError, *_STOPS_BATCH)):
                        self._add_result(outcome.index, self._result(outcome))
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
                self.results.add_task(event.index, name, event.task_id)
                self._display.accepted(name, event.task_id)

    def print_summary(self) -> ExitStatus:
        """Print what became of all photos, and return the exit status."""
        print_summary(
            self._console,
            self.results,
            self.out,
            time.monotonic() - self._started,
            next_command=self._next_command,
            stopped_by=self._stopped_by,
        )
        return exit_status(self.results)

    def _add_result(self, index: int | None, result: PhotoResult) -> None:
        self.results.add_result(index, result)
        self._display.ended(result)

    def _result(self, outcome: Outcome) -> PhotoResult:
        name = outcome.request.name or shown_photo(outcome.photo)
        animation = outcome.animation
        if animation is None:
            return PhotoResult(name, outcome.task_id, error=outcome.error)
        if outcome.index not in self._submitted_now:
            return PhotoResult(name, outcome.task_id, animation.place, earlier=True)
        return PhotoResult(name, outcome.task_id, animation.place, animation.seconds)
