"""`photoanimer animate`."""

import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated

from attrs import evolve, frozen
from cyclopts import Parameter

from photoanimer_async.cli.clients import account_client, local_client
from photoanimer_async.cli.dry_run import dry_run as show_dry_run
from photoanimer_async.cli.exit_status import ExitStatus, UsageError
from photoanimer_async.cli.logs import log_warnings
from photoanimer_async.cli.options import (
    DEFAULT_CONCURRENCY,
    DEFAULT_OUT,
    FLAG,
    AccountOptions,
    Concurrency,
    Gif,
    Local,
    Out,
    PhotoOptions,
    Photos,
    SubmitOptions,
    result_location,
    split_out,
    wait_arguments,
)
from photoanimer_async.cli.output import Output, format_estimate
from photoanimer_async.cli.photo_sources import PhotoSelection, select_photos
from photoanimer_async.cli.run_batch import BatchRun
from photoanimer_async.cli.signals import run_async
from photoanimer_async.cli.summary import NextCommand
from photoanimer_async.client import PhotoAnimerClient
from photoanimer_async.jobs.budget import Estimate, estimate
from photoanimer_async.models import OutputFormat
from photoanimer_async.storage.result_store import parse_location

CONSENT_ABOVE = 100.0
"""Video seconds that are spent without asking the user."""

_JOURNAL_NAME = "photoanimer.journal"


@Parameter(name="*")
@frozen(kw_only=True)
class JournalOptions:
    """Where the journal of a batch is kept."""

    journal: Annotated[
        Path | None,
        Parameter(
            help=f"File that records what was paid for; by default {_JOURNAL_NAME} in the folder "
            "for the results, or in the current one if they go to an object store.",
        ),
    ] = None
    no_journal: Annotated[bool, FLAG, Parameter(help="Keep no journal.")] = False

    def path(self, out: str, *, local: bool) -> Path | None:
        """Return where the journal is, or `None` for a batch without one.

        With `--local` there is none: the service's tasks end with the process.

        Raises:
            UsageError: both options are given.
        """
        if self.no_journal and self.journal:
            raise UsageError("--journal and --no-journal exclude each other")
        if self.no_journal or local:
            return None
        location = parse_location(out)
        folder = location if isinstance(location, Path) else Path()
        return self.journal or folder / _JOURNAL_NAME


def animate(
    *photos: Photos,
    photo_options: PhotoOptions = PhotoOptions(),
    gif: Gif = False,
    out: Out = DEFAULT_OUT,
    journal_options: JournalOptions = JournalOptions(),
    submit: SubmitOptions = SubmitOptions(),
    dry_run: Annotated[
        bool,
        FLAG,
        Parameter(help="Show what would be sent and what it would cost, and send nothing."),
    ] = False,
    yes: Annotated[bool, FLAG, Parameter(help="Do not ask before spending much.")] = False,
    concurrency: Concurrency = DEFAULT_CONCURRENCY,
    local: Local = False,
    account: AccountOptions = AccountOptions(),
) -> ExitStatus:
    """Animate photos; see `photoanimer animate --help`."""
    if local and account.base_url:
        raise UsageError("--local and --base-url exclude each other: both name a service")
    if local and submit.host:
        raise UsageError("--local and --host exclude each other: files stay on this machine")
    selection = select_photos(photos, photo_options, OutputFormat.GIF if gif else OutputFormat.MP4)
    out, selection = _with_name_of(out, selection)
    journal = journal_options.path(out, local=local)
    if dry_run:
        return run_async(show_dry_run(selection, submit, journal))
    client: AbstractAsyncContextManager[PhotoAnimerClient]
    if local:
        client = local_client(concurrency=concurrency)
        next_command = NextCommand()
    else:
        client = account_client(
            account,
            concurrency=concurrency,
            host=submit.host,
            without_key="; or animate on this machine, with no account: --local",
        )
        next_command = NextCommand(
            wait=wait_arguments(out, account, gif=gif),
            resume=None
            if journal is None
            else [str(journal), *account.as_arguments(), *submit.as_arguments()],
        )
        if not yes and submit.max_seconds is None:
            _require_consent(estimate(selection.requests))
    batch = BatchRun(
        Output(),
        len(selection.requests),
        result_location(out),
        next_command=next_command,
        refused=selection.refused,
        requests=selection.requests,
    )
    log_warnings()
    if local:  # a task of a service in this process ends, however long its queue is
        submit = evolve(submit, timeout=0.0)
    return run_async(_animate(client, batch, selection, submit, journal))


def _with_name_of(out: str, selection: PhotoSelection) -> tuple[str, PhotoSelection]:
    """Return the folder and the photos; `--out` may name the file of a single photo."""
    if len(selection.requests) != 1:
        return out, selection
    [request] = selection.requests
    out, name = split_out(out, request.options.output_format)
    request = request if name is None else evolve(request, name=name)
    return out, evolve(selection, requests=[request])


async def _animate(
    client: AbstractAsyncContextManager[PhotoAnimerClient],
    batch: BatchRun,
    selection: PhotoSelection,
    submit: SubmitOptions,
    journal: Path | None,
) -> ExitStatus:
    async with client as opened:
        await batch.run(
            opened.animate_many(
                selection.requests,
                journal=journal,
                **submit.batch_options(batch.on_progress, save_to=batch.out),
            )
        )
    return batch.print_summary()


def _require_consent(cost: Estimate) -> None:
    """Ask in the terminal before spending much.

    Raises:
        UsageError: the answer is no, or there is no terminal.
    """
    if cost.seconds <= CONSENT_ABOVE:
        return
    question = f"this may cost {format_estimate(cost)}"
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(f"{question}; agree with --yes, or set a limit with --max-seconds")
    # `input` would ask on standard error.
    sys.stdout.write(f"{question[0].upper()}{question[1:]}. Continue? [y/N] ")
    sys.stdout.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise UsageError("nothing was started")
