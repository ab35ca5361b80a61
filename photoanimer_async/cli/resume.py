"""`photoanimer resume`."""

from pathlib import Path

from photoanimer_async.cli.clients import account_client
from photoanimer_async.cli.exit_status import ExitStatus
from photoanimer_async.cli.logs import log_warnings
from photoanimer_async.cli.options import (
    DEFAULT_CONCURRENCY,
    AccountOptions,
    Concurrency,
    JournalFile,
    SubmitOptions,
)
from photoanimer_async.cli.output import Output
from photoanimer_async.cli.run_batch import BatchRun
from photoanimer_async.cli.signals import run_async
from photoanimer_async.cli.summary import NextCommand
from photoanimer_async.client import PhotoAnimerClient
from photoanimer_async.jobs.journal import read_journal
from photoanimer_async.jobs.lifecycle import State


def resume(
    journal: JournalFile,
    *,
    submit: SubmitOptions = SubmitOptions(),
    concurrency: Concurrency = DEFAULT_CONCURRENCY,
    account: AccountOptions = AccountOptions(),
) -> ExitStatus:
    """Continue a batch; see `photoanimer resume --help`."""
    with read_journal(journal) as store:
        total = store.count_unsaved()
        out = next((entry.folder for entry in store.entries([*State])), None) or Path()
    client = account_client(account, concurrency=concurrency, host=submit.host)
    batch = BatchRun(
        Output(),
        total,
        out,
        next_command=NextCommand(
            resume=[str(journal), *account.as_arguments(), *submit.as_arguments()]
        ),
    )
    log_warnings()
    return run_async(_resume(client, batch, journal, submit))


async def _resume(
    client: PhotoAnimerClient, batch: BatchRun, journal: Path, submit: SubmitOptions
) -> ExitStatus:
    async with client:
        await batch.run(client.resume(journal, **submit.batch_options(batch.on_progress)))
    return batch.print_summary()
