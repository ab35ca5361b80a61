"""What is seen while a batch runs: a bar in a terminal, lines everywhere else."""

from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from photoanimer_async.cli.output import shown_duration
from photoanimer_async.cli.tally import Ending, Fate, Ledger
from photoanimer_async.models import TaskId
from photoanimer_async.redaction import printable

_SPEED_WINDOW_SECONDS = 600.0


class ProgressView(Protocol):
    """Shows a ledger while it fills; a context manager around the batch."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def accepted(self, name: str, task_id: TaskId) -> None:
        """A photo has got a task."""
        ...

    def ended(self, ending: Ending) -> None:
        """A photo has ended."""
        ...


def progress_view(console: Console, ledger: Ledger) -> ProgressView:
    """The view that suits the console."""
    live = console.is_terminal and not console.is_dumb_terminal
    return LiveView(console, ledger) if live else PlainView(console, ledger)


class LiveView:
    """A bar with the time left, and the counts below it; gone when the batch is over."""

    def __init__(self, console: Console, ledger: Ledger) -> None:
        self._ledger = ledger
        self._bar = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("time left"),
            TimeRemainingColumn(compact=True),
            expand=True,
            speed_estimate_period=_SPEED_WINDOW_SECONDS,
        )
        self._task = self._bar.add_task("", total=ledger.total)
        self._live = Live(console=console, get_renderable=self._render, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def accepted(self, name: str, task_id: TaskId) -> None:
        """Nothing to do: what is shown is read from the ledger, some times a second."""

    def ended(self, ending: Ending) -> None:
        """Likewise."""

    def _render(self) -> RenderableType:
        self._bar.update(self._task, completed=len(self._ledger.endings))
        return Group(self._bar, _counts(self._ledger))


def _counts(ledger: Ledger) -> Text:
    failed = ledger.count(Fate.FAILED) + ledger.count(Fate.UNCOLLECTED)
    unclear = ledger.count(Fate.UNCLEAR)
    counts = [
        (f"{ledger.submitted} submitted", ""),
        (f"{ledger.processing} processing", "cyan"),
        (f"{ledger.count(Fate.SAVED)} finished", "green"),
        (f"{failed} failed", "red" if failed else "dim"),
    ]
    if unclear:
        counts.append((f"{unclear} unclear", "yellow"))
    separated = [part for count in counts for part in ((" · ", "dim"), count)]
    return Text.assemble("  ", *separated[1:])


class PlainView:
    """One line for each photo that gets a task, and one for each that ends."""

    def __init__(self, console: Console, ledger: Ledger) -> None:
        self._console = console
        self._ledger = ledger

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """There is nothing to take down."""

    def accepted(self, name: str, task_id: TaskId) -> None:
        """Tells the task's id, with which its result can be had whatever happens here."""
        self._say(f"submitted  {name} (task {task_id})")

    def ended(self, ending: Ending) -> None:
        """Tells what became of the photo, and how many have ended."""
        match ending.fate:
            case Fate.SAVED if ending.earlier:
                line = f"there      {ending.name} -> {printable(str(ending.place))}"
            case Fate.SAVED:
                took = "" if ending.seconds is None else f" in {shown_duration(ending.seconds)}"
                line = f"finished   {ending.name} -> {printable(str(ending.place))}{took}"
            case Fate.UNCLEAR:
                line = f"unclear    {ending.name}: {ending.reason}"
            case Fate.FAILED | Fate.UNCOLLECTED:
                line = f"failed     {ending.name}: {ending.reason}"
        self._say(f"{line} [{len(self._ledger.endings)}/{self._ledger.total}]")

    def _say(self, line: str) -> None:
        self._console.print(Text(line))
