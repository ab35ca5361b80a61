"""What is said when a batch is over, or is stopped."""

import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from photoanimer_async.cli.exits import ExitStatus
from photoanimer_async.cli.output import shown_duration
from photoanimer_async.cli.tally import Ending, Fate, Ledger, UnderWay
from photoanimer_async.errors import PhotoAnimerError
from photoanimer_async.models import Location
from photoanimer_async.redaction import printable

_FEW = 10


def exit_status(ledger: Ledger) -> ExitStatus:
    """Whether all are done."""
    saved = ledger.count(Fate.SAVED)
    return ExitStatus.DONE if saved == ledger.total else ExitStatus.FAILED


def print_summary(
    console: Console,
    ledger: Ledger,
    out: Location,
    seconds: float,
    *,
    wait_options: Sequence[str] | None,
    resume_options: Sequence[str] | None = None,
    stopped_by: PhotoAnimerError | None = None,
) -> None:
    """What was saved, then what was not, each kind with what it means.

    Args:
        console: where to.
        ledger: what became of each photo.
        out: where the results are.
        seconds: how long it took.
        wait_options: what `photoanimer wait` needs besides the tasks' ids; `None` where the
            tasks end with this command.
        resume_options: what `photoanimer resume` needs, where there is a journal.
        stopped_by: why not all were tried.
    """
    _saved(console, ledger, out, seconds)
    if failed := ledger.with_fate(Fate.FAILED):
        console.print(Text(f"\n{len(failed)} failed:", "bold red"))
        _by_reason(console, failed)
    if uncollected := ledger.with_fate(Fate.UNCOLLECTED):
        console.print(Text(f"\n{len(uncollected)} accepted, but not saved:", "bold red"))
        _by_reason(console, uncollected)
        if resume_options is None:
            _how_to_collect(console, uncollected, wait_options)
    if unclear := ledger.with_fate(Fate.UNCLEAR):
        _unclear(console, [ending.name for ending in unclear])
        _by_reason(console, unclear)
    if ledger.remaining:
        why = "" if stopped_by is None else f": {stopped_by}"
        console.print(Text(f"\n{ledger.remaining} not tried{why}", "bold red"))
    if resume_options is not None and (uncollected or ledger.remaining):
        _how_to_resume(console, resume_options)


def print_interruption(
    console: Console,
    ledger: Ledger,
    *,
    wait_options: Sequence[str] | None,
    resume_options: Sequence[str] | None = None,
) -> None:
    """What is left behind by a batch that was stopped: whatever has been paid for.

    Args:
        console: where to.
        ledger: what has become of each photo so far.
        wait_options: what `photoanimer wait` needs besides the tasks' ids; `None` where the
            tasks end with this command.
        resume_options: what `photoanimer resume` needs, where there is a journal.
    """
    saved, failed = ledger.count(Fate.SAVED), ledger.count(Fate.FAILED)
    console.print(Text(f"Stopped: {saved} of {ledger.total} saved, {failed} failed.", "bold"))
    if wait_options is None:
        return
    left: list[Ending | UnderWay] = [*ledger.with_fate(Fate.UNCOLLECTED)]
    left += [photo for photo in ledger.under_way if photo.task_id is not None]
    if left:
        console.print(
            Text(f"\n{len(left)} submitted, and paid for; they go on at the service:", "bold")
        )
        _lines(console, [_with_task(photo) for photo in left])
        if resume_options is None:
            _how_to_collect(console, left, wait_options)
    in_doubt = [photo.name for photo in ledger.under_way if photo.task_id is None]
    in_doubt += [ending.name for ending in ledger.with_fate(Fate.UNCLEAR)]
    if in_doubt:
        _unclear(console, in_doubt)
        _lines(console, in_doubt)
    if resume_options is not None and (left or ledger.remaining):
        _how_to_resume(console, resume_options)


def _saved(console: Console, ledger: Ledger, out: Location, seconds: float) -> None:
    saved = ledger.with_fate(Fate.SAVED)
    earlier = sum(ending.earlier for ending in saved)
    console.print(
        Text.assemble(
            (f"{len(saved)} of {ledger.total} finished", "bold green" if saved else "bold"),
            f" in {shown_duration(seconds)}",
            f", saved in {printable(str(out))}" if saved else "",
            f"; {earlier} of them were there already" if earlier else "",
        )
    )
    if len(saved) <= _FEW:
        names = [ending.result_name for ending in saved if ending.place is not None]
        _lines(console, names)


def _unclear(console: Console, names: Sequence[str]) -> None:
    console.print(Text(f"\n{len(names)} unclear:", "bold yellow"))
    console.print(
        Text(
            "Their submits left, but no answer came, so that they may have been accepted and "
            "charged. They were not sent again, since that could be charged twice."
        )
    )


def _how_to_collect(
    console: Console, photos: Sequence[Ending | UnderWay], wait_options: Sequence[str] | None
) -> None:
    if wait_options is not None:
        task_ids = (str(photo.task_id) for photo in photos)
        command = shlex.join(["photoanimer", "wait", *task_ids, *wait_options])
        console.print("Their results can still be had:")
        console.print(Text(f"  {command}", "bold"), soft_wrap=True)


def _how_to_resume(console: Console, resume_options: Sequence[str]) -> None:
    command = shlex.join(["photoanimer", "resume", *resume_options])
    console.print("\nGo on with:")
    console.print(Text(f"  {command}", "bold"), soft_wrap=True)


def _by_reason(console: Console, endings: Sequence[Ending]) -> None:
    grouped: Mapping[str, list[str]] = defaultdict(list)
    for ending in endings:
        grouped[ending.reason].append(_with_task(ending))
    for reason, names in grouped.items():
        if len(names) == 1:
            _lines(console, [f"{names[0]}: {reason}"])
        else:
            _lines(console, [f"{reason}:"])
            _lines(console, sorted(names), indent=4)


def _with_task(photo: Ending | UnderWay) -> str:
    if photo.task_id is None or str(photo.task_id) in photo.name:
        return photo.name
    return f"{photo.name} (task {photo.task_id})"


def _lines(console: Console, lines: Sequence[str], indent: int = 2) -> None:
    for line in lines:
        console.print(Padding(Text(line), (0, 0, 0, indent), expand=False))
