"""`photoanimer wait`."""

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated

from attrs import frozen
from cyclopts import Parameter

from photoanimer_async.cli.clients import account_client
from photoanimer_async.cli.exits import ExitStatus, WrongUseError
from photoanimer_async.cli.folders import made_place
from photoanimer_async.cli.interrupts import run_until_done
from photoanimer_async.cli.logs import show_warnings
from photoanimer_async.cli.options import (
    CONCURRENCY,
    OUT,
    ApiKey,
    BaseUrl,
    Concurrency,
    Gif,
    Out,
    wait_options,
)
from photoanimer_async.cli.output import Output
from photoanimer_async.cli.progress_display import ProgressView, progress_view
from photoanimer_async.cli.summary import exit_status, print_interruption, print_summary
from photoanimer_async.cli.tally import Ending, Ledger
from photoanimer_async.client import PhotoAnimerClient
from photoanimer_async.errors import ApiError, PhotoAnimerError
from photoanimer_async.models import Location, OutputFormat
from photoanimer_async.redaction import printable
from photoanimer_async.storage.result_store import ResultStore, result_store


def wait(
    *task_ids: Annotated[str, Parameter(name="TASK_ID", help="Ids that submits were given.")],
    gif: Gif = False,
    out: Out = OUT,
    concurrency: Concurrency = CONCURRENCY,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> ExitStatus:
    """Wait for tasks and download their results; see `photoanimer wait --help`."""
    if not task_ids or not all(task_ids):
        raise WrongUseError("no task is given: name the ids of tasks")
    client = account_client(api_key, base_url, concurrency=concurrency)
    output_format = OutputFormat.GIF if gif else OutputFormat.MP4
    place = made_place(out)
    show_warnings()
    afterwards = wait_options(out, base_url, gif=gif)
    unique = list(dict.fromkeys(task_ids))
    return run_until_done(_run(client, unique, output_format, place, afterwards))


async def _run(
    client: PhotoAnimerClient,
    task_ids: Sequence[str],
    output_format: OutputFormat,
    out: Location,
    afterwards: Sequence[str],
) -> ExitStatus:
    begun = time.monotonic()
    console = Output()
    ledger = Ledger(total=len(task_ids))
    for index, task_id in enumerate(task_ids):
        ledger.accepted(index, _name(task_id), task_id)
    try:
        with progress_view(console, ledger) as view:
            async with client, asyncio.TaskGroup() as waiters:
                collection = _Collection(client, output_format, result_store(out), ledger, view)
                for index, task_id in enumerate(task_ids):
                    waiters.create_task(collection.collect(index, task_id))
    except asyncio.CancelledError:
        print_interruption(console, ledger, wait_options=afterwards)
        raise
    print_summary(console, ledger, out, time.monotonic() - begun, wait_options=afterwards)
    return exit_status(ledger)


@frozen
class _Collection:
    """Brings in the results of tasks."""

    client: PhotoAnimerClient
    output_format: OutputFormat
    store: ResultStore
    ledger: Ledger
    view: ProgressView

    async def collect(self, index: int, task_id: str) -> None:
        """Waits for one task and saves its result; whatever happens is written down."""
        name = _name(task_id)
        try:
            ending = Ending(name, task_id, await self._save(task_id))
        except ApiError as error:
            # The service knows no such task, or will not tell: waiting again is of no use.
            ending = Ending(name, error=error)
        except PhotoAnimerError as error:
            ending = Ending(name, task_id, error=error)
        self.ledger.ended(index, ending)
        self.view.ended(ending)

    async def _save(self, task_id: str) -> Location:
        info = await self.client.wait(task_id)
        suffix = f".{self.output_format.value}"
        async with self.store.claim(task_id, suffix, name=task_id) as destination:
            return await self.client.download_to(
                info, destination, output_format=self.output_format
            )


def _name(task_id: str) -> str:
    return f"task {printable(task_id)}"
