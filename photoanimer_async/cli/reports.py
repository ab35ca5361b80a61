"""What a batch reports while it runs, and at its end: for people, or for programs."""

from types import TracebackType
from typing import Protocol, Self

from photoanimer_async.cli.batch_results import BatchResults, PhotoInProgress, PhotoResult
from photoanimer_async.cli.json_report import JsonReport, SkippedEvent, print_event
from photoanimer_async.cli.output import Output
from photoanimer_async.cli.photo_folders import describe_skipped
from photoanimer_async.cli.photo_sources import PhotoSelection
from photoanimer_async.cli.progress_display import ProgressDisplay
from photoanimer_async.cli.summary import NextCommand, print_interruption, print_summary
from photoanimer_async.errors import PhotoAnimerError
from photoanimer_async.models import Location


class Report(Protocol):
    """Reports results as they are recorded; a context manager around the batch."""

    def __enter__(self) -> Self:
        """Begin to show progress."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop showing progress."""

    def accepted(self, photo: PhotoInProgress) -> None:
        """Report that a photo has a task, which is enough to get its result later."""

    def ended(self, result: PhotoResult) -> None:
        """Report what has become of a photo."""

    def finish(self, seconds: float, stopped_by: PhotoAnimerError | None = None) -> None:
        """Report what has become of all photos.

        Args:
            seconds: how long the batch took.
            stopped_by: why not all photos were tried.
        """

    def interrupt(self, seconds: float) -> None:
        """Report which photos of a stopped batch are unfinished."""


def report_of(
    results: BatchResults, out: Location, next_command: NextCommand, *, json: bool
) -> Report:
    """Return the report of a batch.

    Args:
        results: where the results are recorded.
        out: where they are saved.
        next_command: the command that continues the batch.
        json: whether programs read it.
    """
    if json:
        return JsonReport(results, next_command)
    return TextReport(results, out, next_command)


def report_skipped(selection: PhotoSelection, *, json: bool) -> None:
    """Report what was skipped in folders, if anything."""
    counts = {kind.value: count for kind, count in selection.skipped.items() if count}
    if json and counts:
        print_event(SkippedEvent(counts=counts))
    elif counts:
        Output().print(f"skipped in folders: {describe_skipped(selection.skipped)}")


class TextReport(ProgressDisplay):
    """A bar or lines while the batch runs, then a summary."""

    def __init__(self, results: BatchResults, out: Location, next_command: NextCommand) -> None:
        self._output = Output()
        super().__init__(self._output, results)
        self._ended = results
        self._out = out
        self._next_command = next_command

    def finish(self, seconds: float, stopped_by: PhotoAnimerError | None = None) -> None:
        """Print the summary."""
        print_summary(
            self._output,
            self._ended,
            self._out,
            seconds,
            next_command=self._next_command,
            stopped_by=stopped_by,
        )

    def interrupt(self, seconds: float) -> None:
        """Print what is unfinished."""
        del seconds
        print_interruption(self._output, self._ended, next_command=self._next_command)
