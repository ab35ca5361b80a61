"""Print what became of a batch, when it has ended or was stopped."""

import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence

from attrs import field, frozen
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from photoanimer_async.cli.batch_results import (
    BatchResults,
    PhotoInProgress,
    PhotoResult,
    ResultKind,
)
from photoanimer_async.cli.error_texts import error_text
from photoanimer_async.cli.exit_status import ExitStatus
from photoanimer_async.cli.output import format_duration, program
from photoanimer_async.errors import BudgetExceededError, NotSentError, PhotoAnimerError
from photoanimer_async.models import Location
from photoanimer_async.redaction import printable

_MOST_NAMES = 10


@frozen(kw_only=True)
class NextCommand:
    """The command that continues an unfinished batch.

    Attributes:
        resume: arguments of `photoanimer resume`; `None` without a journal.
        wait: arguments of `photoanimer wait` besides the tasks' ids, for batches without a
            journal; `None` where the tasks end with this command.
        free: whether the photos are animated on this machine, where nothing is paid for.
        program: how to run `photoanimer` again.
    """

    resume: Sequence[str] | None = None
    wait: Sequence[str] | None = None
    free: bool = False
    program: str = field(factory=program)


def command_to_continue(results: BatchResults, next_command: NextCommand) -> Sequence[str] | None:
    """Return the command that finishes a batch; `None` if there is nothing to do, or no way."""
    paid: list[PhotoResult | PhotoInProgress] = [*results.of_kind(ResultKind.UNCOLLECTED)]
    paid += results.in_progress
    task_ids = [str(photo.task_id) for photo in paid if photo.task_id is not None]
    if not task_ids and not results.is_resumable:
        return None
    if next_command.resume is not None:
        return [next_command.program, "resume", *next_command.resume]
    if next_command.wait is not None and task_ids:
        return [next_command.program, "wait", *task_ids, *next_command.wait]
    return None


def exit_status(results: BatchResults) -> ExitStatus:
    """Return whether all photos are done."""
    done = results.count(ResultKind.SAVED) == results.total
    return ExitStatus.DONE if done else ExitStatus.FAILED


def print_summary(
    console: Console,
    results: BatchResults,
    out: Location,
    seconds: float,
    *,
    next_command: NextCommand,
    stopped_by: PhotoAnimerError | None = None,
) -> None:
    """Print what was saved, and what was not, grouped by what it means.

    Args:
        console: where to print.
        results: the results of the batch.
        out: where the videos are saved.
        seconds: how long the batch took.
        next_command: the command that continues the batch.
        stopped_by: why not all photos were tried.
    """
    _print_saved(console, results, out, seconds)
    if failed := results.of_kind(ResultKind.FAILED):
        console.print(Text(f"\n{len(failed)} failed:", "bold red"))
        _print_by_reason(console, failed)
    uncollected = results.of_kind(ResultKind.UNCOLLECTED)
    if uncollected:
        console.print(Text(f"\n{len(uncollected)} accepted, but not saved:", "bold red"))
        _print_by_reason(console, uncollected)
        _print_wait_command(console, uncollected, next_command)
    if unclear := results.of_kind(ResultKind.UNCLEAR):
        _print_unclear(console, len(unclear))
        _print_by_reason(console, unclear)
        _print_resubmit_command(console, next_command)
    if results.remaining:
        why = "" if stopped_by is None else f": {error_text(stopped_by)}"
        console.print(Text(f"\n{results.remaining} not tried{why}", "bold red"))
    if results.is_resumable:
        is_limited = isinstance(stopped_by, BudgetExceededError)
        how = ", with a higher --max-seconds" if is_limited else ""
        _print_resume_command(console, next_command, how)


def print_interruption(
    console: Console, results: BatchResults, *, next_command: NextCommand
) -> None:
    """Print which photos of a stopped batch are paid for, or may be."""
    saved, failed = results.count(ResultKind.SAVED), results.count(ResultKind.FAILED)
    console.print(Text(f"Stopped: {saved} of {results.total} saved, {failed} failed.", "bold"))
    if next_command.free:
        _print_resume_command(console, next_command)
    if next_command.free or (next_command.resume is None and next_command.wait is None):
        return
    paid: list[PhotoResult | PhotoInProgress] = [*results.of_kind(ResultKind.UNCOLLECTED)]
    paid += [photo for photo in results.in_progress if photo.task_id is not None]
    if paid:
        console.print(
            Text(f"\n{len(paid)} submitted and paid for; the service still works on them:", "bold")
        )
        names = sorted(map(_name_and_task, paid))
        _print_lines(console, names if next_command.resume is None else _shortened(names))
        _print_wait_command(console, paid, next_command)
    unsettled = [photo.name for photo in results.in_progress if photo.task_id is None]
    unclear = unsettled + [result.name for result in results.of_kind(ResultKind.UNCLEAR)]
    if unclear:
        _print_unclear(console, len(unclear))
        _print_lines(console, sorted(unclear))
        _print_resubmit_command(console, next_command)
    if paid or results.remaining > len(unsettled):
        _print_resume_command(console, next_command)


def _print_saved(console: Console, results: BatchResults, out: Location, seconds: float) -> None:
    saved = results.of_kind(ResultKind.SAVED)
    earlier = sum(result.earlier for result in saved)
    console.print(
        Text.assemble(
            (f"{len(saved)} of {results.total} finished", "bold green" if saved else "bold"),
            f" in {format_duration(seconds)}",
            f", saved in {printable(str(out))}" if saved else "",
            f"; {earlier} of them by an earlier run" if earlier else "",
        )
    )
    if len(saved) <= _MOST_NAMES:
        _print_lines(console, sorted(result.file_name for result in saved if result.file_name))


def _print_unclear(console: Console, count: int) -> None:
    console.print(Text(f"\n{count} unclear:", "bold yellow"))
    console.print(
        Text(
            "Their submits were sent, but no answer says whether they were accepted, so they may "
            "have been charged. They were not sent again, because that could be charged twice."
        )
    )


def _print_wait_command(
    console: Console, photos: Sequence[PhotoResult | PhotoInProgress], next_command: NextCommand
) -> None:
    if next_command.resume is None and next_command.wait is not None:
        task_ids = (str(photo.task_id) for photo in photos)
        command = shlex.join([next_command.program, "wait", *task_ids, *next_command.wait])
        console.print("To download their results:")
        console.print(Text(f"  {command}", "bold"), soft_wrap=True)


def _print_resubmit_command(console: Console, next_command: NextCommand) -> None:
    if next_command.resume is not None:
        resume = [next_command.program, "resume", *next_command.resume]
        command = shlex.join([*resume, "--resubmit-ambiguous", "SECONDS"])
        console.print(
            "To submit them again, with the most video seconds that may be paid for them twice:"
        )
        console.print(Text(f"  {command}", "bold"), soft_wrap=True)


def _print_resume_command(console: Console, next_command: NextCommand, how: str = "") -> None:
    if next_command.resume is not None:
        command = shlex.join([next_command.program, "resume", *next_command.resume])
        console.print(f"\nTo continue{how}:")
        console.print(Text(f"  {command}", "bold"), soft_wrap=True)


def _print_by_reason(console: Console, results: Sequence[PhotoResult]) -> None:
    grouped: Mapping[str, list[PhotoResult]] = defaultdict(list)
    for result in results:
        grouped[result.reason].append(result)
    for reason, alike in grouped.items():
        names = sorted(map(_name_and_task, alike))
        if len(names) == 1:
            _print_lines(console, [f"{names[0]}: {reason}"])
            continue
        _print_lines(console, [f"{reason}:"])
        # Without a connection all fail alike, and none needs anything of its own done.
        is_unsent = all(isinstance(result.error, NotSentError) for result in alike)
        _print_lines(console, _shortened(names) if is_unsent else names, indent=4)


def _shortened(names: Sequence[str]) -> Sequence[str]:
    if len(names) <= _MOST_NAMES:
        return names
    return [*names[:_MOST_NAMES], f"and {len(names) - _MOST_NAMES} more"]


def _name_and_task(photo: PhotoResult | PhotoInProgress) -> str:
    if photo.task_id is None or str(photo.task_id) in photo.name:
        return photo.name
    return f"{photo.name} (task {photo.task_id})"


def _print_lines(console: Console, lines: Sequence[str], indent: int = 2) -> None:
    for line in lines:
        console.print(Padding(Text(line), (0, 0, 0, indent), expand=False))
