"""Display the progress of a batch: a bar in a terminal, lines everywhere else."""

import asyncio
import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
)
from rich.text import Text

from photoanimer_async.cli.batch_results import (
    BatchResults,
    PhotoInProgress,
    PhotoResult,
    ResultKind,
)
from photoanimer_async.cli.output import format_clock, format_duration
from photoanimer_async.redaction import printable

_WIDEST = 100


class ProgressDisplay:
    """Displays results while they are recorded; a context manager around the batch.

    In a terminal it is a bar with the time left, and counts below it, removed at the end.
    Elsewhere it is one line for each photo that is accepted, and one for each that ends.
    """

    def __init__(self, console: Console, results: BatchResults) -> None:
        self._console = console
        self._results = results
        self._pace = Pace(results)
        self._live: Live | None = None

    def __enter__(self) -> Self:
        """Begin to display; the current task is the one that Ctrl-C cancels."""
        self._pace.start()
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            batch = asyncio.current_task()
            assert batch is not None  # noqa: S101 - a batch runs in a task
            self._live = _live_bar(self._console, self._results, self._pace, batch)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def accepted(self, photo: PhotoInProgress) -> None:
        """Display the id of a photo's task, which is enough to get its result later."""
        self._print(f"submitted  {photo.name} (task {photo.task_id})")

    def ended(self, result: PhotoResult) -> None:
        """Display the result of a photo, and how many have ended."""
        match result.kind:
            case ResultKind.SAVED if result.earlier:
                line = f"skipped    {result.name} -> {printable(str(result.location))}"
            case ResultKind.SAVED:
                took = "" if result.seconds is None else f" in {format_duration(result.seconds)}"
                line = f"finished   {result.name} -> {printable(str(result.location))}{took}"
            case ResultKind.UNCLEAR:
                line = f"unclear    {result.name}: {result.reason}"
            case ResultKind.FAILED | ResultKind.UNCOLLECTED:
                line = f"failed     {result.name}: {result.reason}"
        self._print(f"{line} [{len(self._results.ended)}/{self._results.total}]")

    def _print(self, line: str) -> None:
        if self._live is None:
            self._console.print(Text(line))


class Pace:
    """Estimates the time left, from the first result on."""

    def __init__(self, results: BatchResults) -> None:
        self._results = results
        self._started = time.monotonic()

    def start(self) -> None:
        """Begin to measure."""
        self._started = time.monotonic()

    def time_left(self) -> str:
        """Return the time left as `1:05`; `-:--` before the first result."""
        # Results of an earlier run took no time.
        done = sum(not result.earlier for result in self._results.ended)
        if not done:
            return "-:--"
        elapsed = time.monotonic() - self._started
        return format_clock(elapsed / done * self._results.remaining)


def _live_bar(
    console: Console, results: BatchResults, pace: Pace, batch: "asyncio.Task[object]"
) -> Live:
    bar = Progress(
        SpinnerColumn(),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("time left {task.fields[left]}"),
        expand=True,
    )
    task = bar.add_task("", total=results.total, left=pace.time_left())

    def render() -> RenderableType:
        bar.update(task, completed=len(results.ended), left=pace.time_left())
        lines = [_counts(results), *[_stopping(results)] * bool(batch.cancelling())]
        return Constrain(Group(bar, *lines), _WIDEST)

    return Live(console=console, get_renderable=render, transient=True)


def _stopping(results: BatchResults) -> Text:
    sent = sum(photo.task_id is None for photo in results.in_progress)
    answers = f"the answer to {sent} submit" if sent == 1 else f"the answers to {sent} submits"
    waiting = f": waiting for {answers}; Ctrl-C again exits at once" if sent else ""
    return Text(f"  stopping{waiting}", "yellow")


def _counts(results: BatchResults) -> Text:
    failed = results.count(ResultKind.FAILED) + results.count(ResultKind.UNCOLLECTED)
    unclear = results.count(ResultKind.UNCLEAR)
    counts = [
        (f"{results.submitted} submitted", ""),
        (f"{results.processing} processing", "cyan"),
        (f"{results.count(ResultKind.SAVED)} finished", "green"),
        (f"{failed} failed", "red" if failed else "dim"),
    ]
    if unclear:
        counts.append((f"{unclear} unclear", "yellow"))
    separated = [part for count in counts for part in ((" · ", "dim"), count)]
    return Text.assemble("  ", *separated[1:])
