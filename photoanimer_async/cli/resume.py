"""`photoanimer resume`."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from photoanimer_async.cli.clients import account_client, persistent_local_client
from photoanimer_async.cli.exit_status import ExitStatus
from photoanimer_async.cli.journals import (
    is_local,
    journal_in,
    local_folder,
    require_service,
    resume_arguments,
)
from photoanimer_async.cli.logs import log_warnings
from photoanimer_async.cli.options import (
    DEFAULT_CONCURRENCY,
    AccountOptions,
    AllFaces,
    Concurrency,
    JournalFile,
    Json,
    SubmitOptions,
    refuse_with_local,
    require_local_for,
    without_limit,
)
from photoanimer_async.cli.output import Output
from photoanimer_async.cli.run_batch import BatchRun
from photoanimer_async.cli.signals import run_async
from photoanimer_async.cli.summary import NextCommand
from photoanimer_async.client import PhotoAnimerClient
from photoanimer_async.jobs.journal import read_journal
from photoanimer_async.jobs.lifecycle import State
from photoanimer_async.redaction import printable


def resume(
    journal: JournalFile,
    /,
    *,
    submit: SubmitOptions = SubmitOptions(),
    concurrency: Concurrency = DEFAULT_CONCURRENCY,
    all_faces: AllFaces = False,
    json: Json = False,
    account: AccountOptions = AccountOptions(),
) -> ExitStatus:
    """Continue a batch; see `photoanimer resume --help`."""
    journal = journal_in(journal)
    with read_journal(journal) as store:
        total = store.count_unsaved()
        photos = store.summary().photos
        latest = store.latest_service()
        out = next((entry.folder for entry in store.entries([*State])), None) or Path()
    if not total and not json:
        saved = "the photo is saved" if photos == 1 else f"all {photos} photos are saved"
        Output().print(f"{printable(str(journal))}: {saved}; nothing is left to do.")
        return ExitStatus.DONE
    client: AbstractAsyncContextManager[PhotoAnimerClient]
    if is_local(journal, latest):
        refuse_with_local(account, submit)
        next_command = NextCommand(
            resume=resume_arguments(journal, submit, all_faces=all_faces), free=True
        )
        submit = without_limit(submit)
        client = persistent_local_client(
            local_folder(journal), concurrency=concurrency, all_faces=all_faces
        )
    else:
        require_local_for(all_faces=all_faces)
        client = account_client(account, concurrency=concurrency, host=submit.host)
        require_service(journal, client.base_url)
        next_command = NextCommand(resume=resume_arguments(journal, submit, account))
    batch = BatchRun(total, out, next_command=next_command, json=json)
    log_warnings()
    return run_async(_resume(client, batch, journal, submit))


async def _resume(
    client: AbstractAsyncContextManager[PhotoAnimerClient],
    batch: BatchRun,
    journal: Path,
    submit: SubmitOptions,
) -> ExitStatus:
    async with client as opened:
        await batch.run(opened.resume(journal, **submit.batch_options(batch.on_progress)))
    return batch.finish()
