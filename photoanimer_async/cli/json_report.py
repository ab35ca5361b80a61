"""The output for programs, `--json`: one JSON object on a line for each event.

The events and their fields are described in this folder's README. Fields may be added; none is
renamed or removed.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Literal, Self, TypeAlias

import attrs
from attrs import frozen

from photoanimer_async.cli.batch_results import (
    BatchResults,
    PhotoInProgress,
    PhotoResult,
    ResultKind,
)
from photoanimer_async.cli.summary import NextCommand, command_to_continue
from photoanimer_async.errors import InvalidPhotoError, PhotoAnimerError
from photoanimer_async.models import TaskId


@frozen(kw_only=True)
class PhotoEvent:
    """A photo of `animate` or `resume`, or a task of `wait`, has a task or has ended."""

    event: Literal["submitted", "saved", "failed", "unclear", "uncollected"]
    index: int | None
    photo: str | None
    name: str
    task: TaskId | None
    file: str | None = None
    seconds: float | None = None
    earlier: bool = False
    error: str | None = None
    reason: str | None = None


@frozen(kw_only=True)
class SkippedEvent:
    """What was skipped in folders."""

    event: Literal["skipped"] = "skipped"
    counts: Mapping[str, int]


@frozen(kw_only=True)
class SummaryEvent:
    """What has become of all photos; always the last line of `animate`, `resume` and `wait`."""

    event: Literal["summary"] = "summary"
    photos: int
    saved: int
    earlier: int
    failed: int
    unclear: int
    uncollected: int
    remaining: int
    seconds: float
    interrupted: bool
    stopped_by: str | None
    next: Sequence[str] | None


@frozen(kw_only=True)
class EstimateEvent:
    """What photos cost."""

    event: Literal["estimate"] = "estimate"
    photos: int
    video_seconds: float
    voices_assumed: int
    voices_unknown: int


@frozen(kw_only=True)
class BalanceEvent:
    """What is left on the account; `null` where the service does not say."""

    event: Literal["balance"] = "balance"
    video: float | None
    month: float | None
    image: float | None
    month_start: str | None
    month_expire: str | None


@frozen(kw_only=True)
class StateEvent:
    """A photo in a journal."""

    event: Literal["photo"] = "photo"
    photo: str | None
    name: str
    template: int
    state: str
    task: TaskId | None
    file: str | None
    is_there: bool
    video_seconds: float
    submitted_at: float | None
    error: str | None


@frozen(kw_only=True)
class BatchEvent:
    """The totals of a journal; always the last line of `status`."""

    event: Literal["batch"] = "batch"
    journal: str
    photos: int
    states: Mapping[str, int]
    finished: bool
    spent: float
    at_risk: float
    planned: float


Event: TypeAlias = (
    PhotoEvent
    | SkippedEvent
    | SummaryEvent
    | EstimateEvent
    | BalanceEvent
    | StateEvent
    | BatchEvent
)

_EVENTS: Mapping[ResultKind, Literal["saved", "failed", "unclear", "uncollected"]] = {
    ResultKind.SAVED: "saved",
    ResultKind.FAILED: "failed",
    ResultKind.UNCLEAR: "unclear",
    ResultKind.UNCOLLECTED: "uncollected",
}


def print_event(event: Event) -> None:
    """Print an event as one line of ASCII."""
    sys.stdout.write(f"{json.dumps(attrs.asdict(event))}\n")


def print_refused(error: InvalidPhotoError) -> None:
    """Print the event of a name that stands for no photo."""
    print_result(PhotoResult(error.photo, error=error, source=error.photo))


def print_result(result: PhotoResult) -> None:
    """Print what has become of a photo."""
    print_event(
        PhotoEvent(
            event=_EVENTS[result.kind],
            index=result.index,
            photo=result.source,
            name=result.name,
            task=result.task_id,
            file=None if result.location is None else str(result.location),
            seconds=result.seconds,
            earlier=result.earlier,
            error=None if result.error is None else type(result.error).__name__,
            reason=result.reason or None,
        )
    )


class JsonReport:
    """The events of a batch; see `reports.Report`."""

    def __init__(self, results: BatchResults, next_command: NextCommand) -> None:
        self._results = results
        self._next_command = next_command

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def accepted(self, photo: PhotoInProgress) -> None:
        """Print that a photo has a task."""
        print_event(
            PhotoEvent(
                event="submitted",
                index=photo.index,
                photo=photo.source,
                name=photo.name,
                task=photo.task_id,
            )
        )

    def ended(self, result: PhotoResult) -> None:
        """Print what has become of a photo."""
        print_result(result)

    def finish(self, seconds: float, stopped_by: PhotoAnimerError | None = None) -> None:
        """Print the summary."""
        self._print_summary(seconds, stopped_by=stopped_by, interrupted=False)

    def interrupt(self, seconds: float) -> None:
        """Print the summary of a stopped batch."""
        self._print_summary(seconds, stopped_by=None, interrupted=True)

    def _print_summary(
        self, seconds: float, *, stopped_by: PhotoAnimerError | None, interrupted: bool
    ) -> None:
        results = self._results
        print_event(
            SummaryEvent(
                photos=results.total,
                saved=results.count(ResultKind.SAVED),
                earlier=sum(result.earlier for result in results.ended),
                failed=results.count(ResultKind.FAILED),
                unclear=results.count(ResultKind.UNCLEAR),
                uncollected=results.count(ResultKind.UNCOLLECTED),
                remaining=results.remaining,
                seconds=round(seconds, 3),
                interrupted=interrupted,
                stopped_by=None if stopped_by is None else str(stopped_by),
                next=command_to_continue(results, self._next_command),
            )
        )
