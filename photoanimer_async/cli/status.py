"""`photoanimer status`."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from rich.text import Text

import photoanimer_async
from photoanimer_async.cli.batch_results import source_of
from photoanimer_async.cli.exit_status import ExitStatus
from photoanimer_async.cli.journals import is_local, journal_in
from photoanimer_async.cli.json_report import BatchEvent, StateEvent, print_event
from photoanimer_async.cli.options import AccountOptions, JournalFile, Json
from photoanimer_async.cli.output import Output, format_seconds, program
from photoanimer_async.jobs.journal import Entry, Summary, read_journal
from photoanimer_async.jobs.journal.journal_store import JournalStore
from photoanimer_async.jobs.lifecycle import State
from photoanimer_async.models import Evidence
from photoanimer_async.redaction import printable, shown_photo, shown_url

_MEANINGS = {
    State.PLANNED: "not submitted yet",
    State.SUBMITTING: "being submitted now, or when the process was killed",
    State.SUBMITTED: "paid for; the service is working on them",
    State.FINISHED: "paid for and done, but not saved",
    State.SAVED: "done",
    State.FAILED: "without a result; tried again only with `--retry-failed`",
    State.AMBIGUOUS: "may or may not have been accepted and charged",
}
_LOCAL_MEANINGS = _MEANINGS | {
    State.PLANNED: "not begun yet",
    State.SUBMITTING: "being begun now, or when the process was killed",
    State.SUBMITTED: "begun; finished by `photoanimer resume`",
    State.FINISHED: "done, but not saved",
    State.AMBIGUOUS: "may or may not have been begun",
}
_UNFINISHED = (State.PLANNED, State.SUBMITTING, State.SUBMITTED, State.FINISHED)
_EVIDENCE = {
    Evidence.NONE: "nothing is known about whether it was accepted",
    Evidence.FETCHED: "the service fetched the photo: it was accepted",
    Evidence.NOT_FETCHED: "the service did not fetch the photo before it was withdrawn, so there "
    "will be no video; it may have been charged",
}


def status(journal: JournalFile, /, *, json: Json = False) -> ExitStatus:
    """Show the state of a batch, and what it has cost; see `photoanimer status --help`."""
    journal = journal_in(journal)
    with read_journal(journal) as store:
        if json:
            _print_events(journal, store)
        else:
            _print_texts(journal, store)
    return ExitStatus.DONE


def _print_texts(journal: Path, store: JournalStore) -> None:
    summary = store.summary()
    unsaved = list(store.entries([State.FINISHED, State.FAILED, State.AMBIGUOUS]))
    lost = [entry for entry in store.entries([State.SAVED]) if not entry.has_result()]
    console = Output()
    is_here = is_local(journal, store.latest_service())
    _print_counts(console, summary, _LOCAL_MEANINGS if is_here else _MEANINGS)
    if is_here:
        console.print("\nanimated on this machine, at no cost")
    else:
        _print_costs(console, summary)
    for state in (State.FAILED, State.FINISHED, State.AMBIGUOUS):
        _print_entries(console, state.value, [entry for entry in unsaved if entry.state is state])
    _print_entries(console, "no longer where they were saved", lost)
    if _is_finished(summary) and not lost:
        console.print("\nThe batch is finished: all photos are saved.")
    elif any(summary.counts.get(state) for state in _UNFINISHED):
        planned = 0.0 if is_here else summary.planned
        _print_resume_command(console, journal, _service_arguments(journal, store), planned)


def _print_resume_command(
    console: Output, journal: Path, service: Sequence[str], planned: float
) -> None:
    command = shlex.join([program(), "resume", str(journal), *service])
    cost = f", for {format_seconds(planned)} video seconds" if planned else ""
    console.print(f"\nTo continue{cost}, if it is not running:")
    console.print(Text(f"  {command}", "bold"), soft_wrap=True)


def _service_arguments(journal: Path, store: JournalStore) -> Sequence[str]:
    """Return the arguments that name the journal's service, where it would not be chosen."""
    service = store.latest_service()
    if service is None or is_local(journal, service):
        return []
    chosen = AccountOptions().chosen_base_url or photoanimer_async.DEFAULT_BASE_URL
    return [] if service == chosen else ["--base-url", shown_url(service)]


def _print_counts(console: Output, summary: Summary, meanings: Mapping[State, str]) -> None:
    for state in State:
        count = summary.counts.get(state, 0)
        if count:
            console.print(f"{count:>7} {state.value:<11}{meanings[state]}")
    console.print(f"{summary.photos:>7} in all")


def _print_costs(console: Output, summary: Summary) -> None:
    console.print(f"\n{format_seconds(summary.spent)} video seconds spent", end="")
    if summary.at_risk:
        console.print(f"; {format_seconds(summary.at_risk)} more may have been charged", end="")
    if summary.planned:
        console.print(f"; {format_seconds(summary.planned)} planned", end="")
    console.print()


def _is_finished(summary: Summary) -> bool:
    return summary.photos > 0 and summary.counts.get(State.SAVED, 0) == summary.photos


def _print_entries(console: Output, title: str, entries: Sequence[Entry]) -> None:
    if entries:
        console.print(Text(f"\n{title}:", "bold"))
    for line in _lines(entries):
        console.print(Text(f"  {line}"))


def _lines(entries: Iterable[Entry]) -> Iterable[str]:
    for entry in entries:
        task = "" if entry.task_id is None else f" (task {entry.task_id})"
        why = entry.error or "not downloaded yet"
        if entry.state is State.SAVED:
            why = f"not at {printable(str(entry.path))}; the same batch downloads it again"
        yield f"{_name(entry)}{task}: {why}"
        if entry.state is State.AMBIGUOUS:
            when = "at an unknown time"
            if entry.submitted_at is not None:
                local_time = datetime.fromtimestamp(entry.submitted_at).astimezone()
                when = f"{local_time:%Y-%m-%d %H:%M:%S}"
            where = "" if entry.image_url is None else f" as {shown_url(entry.image_url)}"
            yield (
                f"  submitted {when}{where}, {format_seconds(entry.cost)} video seconds; "
                + _EVIDENCE[entry.evidence]
            )


def _name(entry: Entry) -> str:
    if entry.has_photo:
        return shown_photo(entry.request.photo)
    return entry.request.name or f"photo {entry.id}"


def _print_events(journal: Path, store: JournalStore) -> None:
    lost = 0
    for entry in store.entries([*State]):
        is_there = entry.has_result()
        lost += entry.state is State.SAVED and not is_there
        print_event(
            StateEvent(
                photo=source_of(entry.request.photo) if entry.has_photo else None,
                name=_name(entry),
                template=int(entry.request.options.template),
                state=entry.state.value,
                task=entry.task_id,
                file=None if entry.path is None else str(entry.path),
                is_there=is_there,
                video_seconds=entry.cost,
                submitted_at=entry.submitted_at,
                error=entry.error,
            )
        )
    summary = store.summary()
    print_event(
        BatchEvent(
            journal=str(journal),
            photos=summary.photos,
            states={state.value: count for state, count in summary.counts.items()},
            finished=_is_finished(summary) and not lost,
            spent=summary.spent,
            at_risk=summary.at_risk,
            planned=summary.planned,
        )
    )
