"""`photoanimer resume`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from photoanimer_async.cli.clients import account_client
from photoanimer_async.cli.exits import ExitStatus
from photoanimer_async.cli.interrupts import run_until_done
from photoanimer_async.cli.logs import show_warnings
from photoanimer_async.cli.options import (
    CONCURRENCY,
    ApiKey,
    BaseUrl,
    CheckUrls,
    Concurrency,
    Host,
    MaxSeconds,
    NoPrepare,
    ResubmitAmbiguous,
    RetryFailed,
    resume_options,
)
from photoanimer_async.cli.output import Output
from photoanimer_async.cli.running import run_watched
from photoanimer_async.cli.watched_batch import WatchedBatch
from photoanimer_async.jobs.journal import read_journal
from photoanimer_async.jobs.lifecycle import State


def resume(
    journal: Annotated[Path, Parameter(name="JOURNAL", help="The journal of a batch.")],
    *,
    max_seconds: MaxSeconds = None,
    no_prepare: NoPrepare = False,
    check_urls: CheckUrls = False,
    retry_failed: RetryFailed = False,
    resubmit_ambiguous: ResubmitAmbiguous = 0.0,
    host: Host = None,
    concurrency: Concurrency = CONCURRENCY,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> ExitStatus:
    """Go on with a batch; see `photoanimer resume --help`."""
    with read_journal(journal) as store:
        summary = store.summary()
        out = next((entry.folder for entry in store.entries([*State])), None) or Path()
    client = account_client(api_key, base_url, concurrency=concurrency, host=host)
    batch = WatchedBatch(
        console := Output(),
        lambda opened, hook: opened.resume(
            journal,
            max_seconds=max_seconds,
            prepare=not no_prepare,
            check_urls=check_urls,
            retry_failed=retry_failed,
            resubmit_ambiguous=resubmit_ambiguous,
            on_progress=hook,
        ),
        summary.photos - summary.counts.get(State.SAVED, 0),
    )
    show_warnings()
    again = resume_options(journal, base_url, host, prepare=not no_prepare)
    return run_until_done(run_watched(console, batch, client, out, resume_options=again))
