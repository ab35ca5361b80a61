"""`photoanimer animate`."""

import os
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from attrs import evolve
from cyclopts import Parameter

from photoanimer_async.cli.clients import (
    account_client,
    local_base_url,
    local_client,
    persistent_local_client,
)
from photoanimer_async.cli.earlier_photos import (
    EarlierPhoto,
    count_to_render,
    read_earlier,
    source_of,
)
from photoanimer_async.cli.exit_status import ExitStatus, UsageError
from photoanimer_async.cli.journals import (
    JournalOptions,
    local_folder,
    require_service,
    resume_arguments,
)
from photoanimer_async.cli.logs import log_warnings
from photoanimer_async.cli.options import (
    DEFAULT_CONCURRENCY,
    DEFAULT_OUT,
    FLAG,
    AccountOptions,
    AllFaces,
    Concurrency,
    Gif,
    Json,
    Local,
    Out,
    PhotoOptions,
    Photos,
    SubmitOptions,
    refuse_with_local,
    require_local_for,
    result_location,
    split_out,
    wait_arguments,
    without_limit,
)
from photoanimer_async.cli.output import format_estimate
from photoanimer_async.cli.photo_sources import PhotoSelection, select_photos
from photoanimer_async.cli.reports import report_skipped
from photoanimer_async.cli.run_batch import BatchRun
from photoanimer_async.cli.signals import run_async
from photoanimer_async.cli.summary import NextCommand
from photoanimer_async.cli.template_names import name_by_expression
from photoanimer_async.jobs.budget import Estimate, estimate
from photoanimer_async.models import AnimationRequest, OutputFormat
from photoanimer_async.redaction import is_url, shown_url

if TYPE_CHECKING:
    from photoanimer_async.client import PhotoAnimerClient

CONSENT_ABOVE = 100.0
"""Video seconds that are spent without asking the user."""


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
    all_faces: AllFaces = False,
    json: Json = False,
    account: AccountOptions = AccountOptions(),
) -> ExitStatus:
    """Animate photos; see `photoanimer animate --help`."""
    _require_honoured(photo_options, journal_options, submit)
    if json and dry_run:
        raise UsageError("--json and --dry-run exclude each other: `estimate --json` has the cost")
    _require_place(account, submit, local=local, all_faces=all_faces)
    selection = select_photos(photos, photo_options, OutputFormat.GIF if gif else OutputFormat.MP4)
    out, selection = _with_name_of(out, selection)
    journal = journal_options.path(out, local=local)
    earlier = read_earlier(journal)
    selection = evolve(selection, requests=name_by_expression(selection.requests, earlier))
    if dry_run:
        return _show_dry_run(selection, submit, journal)
    client: AbstractAsyncContextManager[PhotoAnimerClient]
    if local:
        next_command = NextCommand(
            resume=resume_arguments(journal, submit, all_faces=all_faces), free=True
        )
        submit = without_limit(submit)
        to_render = count_to_render(selection.requests, earlier)
        client = _local_client(journal, concurrency, to_render, all_faces=all_faces)
    else:
        client = _account_client(account, submit, journal, concurrency)
        _require_host(client, selection.requests, earlier)
        next_command = NextCommand(
            resume=resume_arguments(journal, submit, account),
            wait=wait_arguments(out, account, gif=gif),
        )
        if not yes and submit.max_seconds is None:
            _require_consent(estimate(selection.requests), ask=not json)
    location = result_location(out)
    report_skipped(selection, json=json)
    batch = BatchRun(
        len(selection.requests),
        location,
        next_command=next_command,
        refused=selection.refused,
        requests=selection.requests,
        json=json,
    )
    log_warnings()
    return run_async(_animate(client, batch, selection, submit, journal))


def _require_honoured(photos: PhotoOptions, journal: JournalOptions, submit: SubmitOptions) -> None:
    """Refuse options that would have no effect.

    Raises:
        UsageError: there is one.
    """
    if journal.no_journal and (submit.retry_failed or submit.resubmit_ambiguous):
        option = "--retry-failed" if submit.retry_failed else "--resubmit-ambiguous"
        raise UsageError(f"{option} needs the journal of an earlier run: leave out --no-journal")
    if photos.voice_seconds is not None and photos.voice_url is None and photos.manifest is None:
        raise UsageError("--voice-seconds needs a voice: add --voice-url")


def _require_place(
    account: AccountOptions, submit: SubmitOptions, *, local: bool, all_faces: bool
) -> None:
    """Refuse options that do not fit the place where photos are animated.

    Raises:
        UsageError: there is one.
    """
    if local:
        refuse_with_local(account, submit)
    else:
        require_local_for(all_faces=all_faces)


def _show_dry_run(
    selection: PhotoSelection, submit: SubmitOptions, journal: Path | None
) -> ExitStatus:
    # It needs aiohttp, whose import would delay the workers of a batch.
    from photoanimer_async.cli.dry_run import dry_run  # noqa: PLC0415

    return run_async(dry_run(selection, submit, journal))


def _account_client(
    account: AccountOptions, submit: SubmitOptions, journal: Path | None, concurrency: int
) -> "PhotoAnimerClient":
    client = account_client(
        account,
        concurrency=concurrency,
        host=submit.host,
        without_key="; or animate on this machine, with no account: --local",
    )
    require_service(journal, client.base_url)
    return client


def _require_host(
    client: "PhotoAnimerClient",
    requests: Sequence[AnimationRequest],
    earlier: Sequence[EarlierPhoto],
) -> None:
    """Refuse new files that the service could not fetch, before anything is started.

    Raises:
        UsageError: there are some.
    """
    if client.takes_files:
        return
    known = {one.source for one in earlier}  # what is paid for can be fetched without a host
    files = [request.photo for request in requests if not is_url(os.fsdecode(request.photo))]
    if any(source_of(file) not in known and Path(os.fsdecode(file)).exists() for file in files):
        raise UsageError(
            f"{shown_url(client.base_url)} cannot fetch files from this machine; have them "
            "uploaded to an object store with --host s3://bucket/prefix (or PHOTOANIMER_HOST), "
            "name public URLs in place of files, or animate on this machine with --local"
        )


def _local_client(
    journal: Path | None, concurrency: int, photos: int, *, all_faces: bool
) -> "AbstractAsyncContextManager[PhotoAnimerClient]":
    if journal is None:
        return local_client(concurrency=concurrency, photos=photos, all_faces=all_faces)
    folder = local_folder(journal)
    require_service(journal, local_base_url(folder))
    return persistent_local_client(
        folder, concurrency=concurrency, photos=photos, all_faces=all_faces
    )


def _with_name_of(out: str, selection: PhotoSelection) -> tuple[str, PhotoSelection]:
    """Return the folder and the photos; `--out` may name the file of a single photo."""
    if len(selection.requests) != 1:
        return out, selection
    [request] = selection.requests
    out, name = split_out(out, request.options.output_format)
    request = request if name is None else evolve(request, name=name)
    return out, evolve(selection, requests=[request])


async def _animate(
    client: "AbstractAsyncContextManager[PhotoAnimerClient]",
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
    return batch.finish()


def _require_consent(cost: Estimate, *, ask: bool) -> None:
    """Ask in the terminal before spending much.

    Args:
        cost: what may be spent.
        ask: whether a person can answer.

    Raises:
        UsageError: the answer is no, or there is no terminal.
    """
    if cost.seconds <= CONSENT_ABOVE:
        return
    question = f"this may cost {format_estimate(cost)}"
    if not (ask and sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(f"{question}; agree with --yes, or set a limit with --max-seconds")
    # `input` would ask on standard error.
    sys.stdout.write(f"{question[0].upper()}{question[1:]}. Continue? [y/N] ")
    sys.stdout.flush()
    try:
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        sys.stdout.write("\n")
        raise
    if answer.strip().lower() not in {"y", "yes"}:
        raise UsageError("nothing was started")
