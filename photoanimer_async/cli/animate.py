"""`photoanimer animate`."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from photoanimer_async.cli.clients import account_client, local_client
from photoanimer_async.cli.consent import require_consent
from photoanimer_async.cli.dry_run import rehearsed
from photoanimer_async.cli.exits import ExitStatus, WrongUseError
from photoanimer_async.cli.folders import made_place
from photoanimer_async.cli.interrupts import run_until_done
from photoanimer_async.cli.logs import show_warnings
from photoanimer_async.cli.manifest import Defaults
from photoanimer_async.cli.options import (
    CONCURRENCY,
    JOURNAL_NAME,
    OUT,
    ApiKey,
    BaseUrl,
    CheckUrls,
    Concurrency,
    Gif,
    Host,
    Local,
    Manifest,
    MaxSeconds,
    NoPrepare,
    Out,
    Photos,
    Recursive,
    ResubmitAmbiguous,
    RetryFailed,
    TemplateNumber,
    VoiceSeconds,
    VoiceUrl,
    Yes,
    resume_options,
    wait_options,
)
from photoanimer_async.cli.output import Output
from photoanimer_async.cli.requests import named_photos
from photoanimer_async.cli.running import run_watched
from photoanimer_async.cli.watched_batch import WatchedBatch
from photoanimer_async.client import PhotoAnimerClient
from photoanimer_async.jobs.budget import estimate
from photoanimer_async.models import Location, OutputFormat
from photoanimer_async.storage.result_store import parse_location

_WITHOUT_KEY = "; or animate on this machine, with no account: --local"


def animate(
    *photos: Photos,
    recursive: Recursive = False,
    manifest: Manifest = None,
    template: TemplateNumber = None,
    gif: Gif = False,
    voice_url: VoiceUrl = None,
    voice_seconds: VoiceSeconds = None,
    no_prepare: NoPrepare = False,
    check_urls: CheckUrls = False,
    out: Out = OUT,
    host: Host = None,
    journal: Annotated[
        Path | None,
        Parameter(
            name="--journal",
            help=f"File that keeps what was paid for; by default {JOURNAL_NAME} in the folder "
            "for the results, or in the current one if they go to an object store.",
        ),
    ] = None,
    no_journal: Annotated[
        bool,
        Parameter(name="--no-journal", negative="", show_default=False, help="Keep no such file."),
    ] = False,
    max_seconds: MaxSeconds = None,
    retry_failed: RetryFailed = False,
    resubmit_ambiguous: ResubmitAmbiguous = 0.0,
    dry_run: Annotated[
        bool,
        Parameter(
            name="--dry-run",
            negative="",
            show_default=False,
            help="Show what would be sent and what it would cost, and send nothing.",
        ),
    ] = False,
    yes: Yes = False,
    concurrency: Concurrency = CONCURRENCY,
    local: Local = False,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> ExitStatus:
    """Bring photos to life; see `photoanimer animate --help`."""
    if photos and local and base_url:
        raise WrongUseError("--local and --base-url exclude each other: both name a service")
    if local and host:
        raise WrongUseError("--local and --host exclude each other: files stay on this machine")
    if no_journal and journal:
        raise WrongUseError("--journal and --no-journal exclude each other")
    defaults = Defaults(
        template=template,
        output_format=OutputFormat.GIF if gif else OutputFormat.MP4,
        voice_url=voice_url,
        voice_seconds=voice_seconds,
    )
    named = named_photos(photos, manifest, defaults, recursive=recursive)
    # What a service of this process has accepted ends with it: there is nothing to go on with.
    kept = None if no_journal or local else journal or _beside(parse_location(out))
    if dry_run:
        return run_until_done(
            rehearsed(
                named,
                prepare=not no_prepare,
                check_urls=check_urls,
                journal=kept,
                retry_failed=retry_failed,
            )
        )
    client: AbstractAsyncContextManager[PhotoAnimerClient]
    if local:
        client = local_client(concurrency=concurrency)
    else:
        client = account_client(
            api_key, base_url, concurrency=concurrency, host=host, otherwise=_WITHOUT_KEY
        )
        require_consent(estimate(named.requests), yes=yes, max_seconds=max_seconds)
    place = made_place(out)
    batch = WatchedBatch(
        console := Output(),
        lambda opened, hook: opened.animate_many(
            named.requests,
            save_to=place,
            journal=kept,
            max_seconds=max_seconds,
            prepare=not no_prepare,
            check_urls=check_urls,
            retry_failed=retry_failed,
            resubmit_ambiguous=resubmit_ambiguous,
            on_progress=hook,
        ),
        len(named.requests),
        refused=named.refused,
        requests=named.requests,
    )
    show_warnings()
    return run_until_done(
        run_watched(
            console,
            batch,
            client,
            place,
            wait_options=None if local else wait_options(out, base_url, gif=gif),
            resume_options=None
            if kept is None
            else resume_options(kept, base_url, host, prepare=not no_prepare),
        )
    )


def _beside(place: Location) -> Path:
    """Where the journal is kept: on this machine in any case."""
    return place / JOURNAL_NAME if isinstance(place, Path) else Path(JOURNAL_NAME)
