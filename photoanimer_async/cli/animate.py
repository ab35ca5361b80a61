"""`photoanimer animate`."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from photoanimer_async.cli.batch import WatchedBatch
from photoanimer_async.cli.clients import account_client, local_client
from photoanimer_async.cli.consent import require_consent
from photoanimer_async.cli.exits import ExitStatus, WrongUseError
from photoanimer_async.cli.folders import made_folder
from photoanimer_async.cli.interrupts import run_until_done
from photoanimer_async.cli.logs import show_warnings
from photoanimer_async.cli.options import (
    CONCURRENCY,
    JOURNAL_NAME,
    OUT,
    ApiKey,
    BaseUrl,
    Concurrency,
    Gif,
    Local,
    MaxSeconds,
    Out,
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
from photoanimer_async.client import PhotoAnimerClient
from photoanimer_async.core.budget import estimate

_WITHOUT_KEY = "; or animate on this machine, with no account: --local"


def animate(
    *photos: Annotated[str, Parameter(name="PHOTO", help="URLs, files, and folders of photos.")],
    template: TemplateNumber = None,
    gif: Gif = False,
    voice_url: VoiceUrl = None,
    voice_seconds: VoiceSeconds = None,
    out: Out = OUT,
    journal: Annotated[
        Path | None,
        Parameter(
            name="--journal",
            help=f"File that keeps what was paid for; by default {JOURNAL_NAME} in the folder "
            "for the results.",
        ),
    ] = None,
    no_journal: Annotated[
        bool,
        Parameter(name="--no-journal", negative="", show_default=False, help="Keep no such file."),
    ] = False,
    max_seconds: MaxSeconds = None,
    retry_failed: RetryFailed = False,
    resubmit_ambiguous: ResubmitAmbiguous = 0.0,
    yes: Yes = False,
    concurrency: Concurrency = CONCURRENCY,
    local: Local = False,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> ExitStatus:
    """Bring photos to life; see `photoanimer animate --help`."""
    if photos and local and base_url:
        raise WrongUseError("--local and --base-url exclude each other: both name a service")
    if no_journal and journal:
        raise WrongUseError("--journal and --no-journal exclude each other")
    named = named_photos(photos, template, voice_url, voice_seconds, gif=gif)
    client: AbstractAsyncContextManager[PhotoAnimerClient]
    if local:
        client = local_client(concurrency=concurrency)
    else:
        client = account_client(api_key, base_url, concurrency=concurrency, otherwise=_WITHOUT_KEY)
        require_consent(estimate(named.requests), yes=yes, max_seconds=max_seconds)
    folder = made_folder(out)
    # What a service of this process has accepted ends with it: there is nothing to go on with.
    kept = None if no_journal or local else journal or folder / JOURNAL_NAME
    batch = WatchedBatch(
        console := Output(),
        lambda opened, hook: opened.animate_many(
            named.requests,
            save_to=folder,
            journal=kept,
            max_seconds=max_seconds,
            retry_failed=retry_failed,
            resubmit_ambiguous=resubmit_ambiguous,
            on_progress=hook,
        ),
        len(named.requests),
        refused=named.refused,
    )
    show_warnings()
    return run_until_done(
        run_watched(
            console,
            batch,
            client,
            out,
            wait_options=None if local else wait_options(out, base_url, gif=gif),
            resume_options=None if kept is None else resume_options(kept, base_url),
        )
    )
