"""`photoanimer wait`."""

import asyncio
import time
from typing import Annotated

from attrs import field, frozen
from cyclopts import Parameter

from photoanimer_async.cli.clients import account_client
from photoanimer_async.cli.exit_status import ExitStatus, UsageError
from photoanimer_async.cli.logs import log_warnings
from photoanimer_async.cli.options import (
    DEFAULT_CONCURRENCY,
    DEFAULT_OUT,
    AccountOptions,
    Concurrency,
    Gif,
    Out,
    Timeout,
    result_location,
    split_out,
    wait_arguments,
)
from photoanimer_async.cli.output import Output
from photoanimer_async.cli.progress_display import ProgressDisplay
from photoanimer_async.cli.results import BatchResults, PhotoResult
from photoanimer_async.cli.signals import run_async
from photoanimer_async.cli.summary import (
    NextCommand,
    exit_status,
    print_interruption,
    print_summary,
)
from photoanimer_async.client import PhotoAnimerClient
from photoanimer_async.errors import ApiError, PhotoAnimerError
from photoanimer_async.jobs.job import DEFAULT_TIMEOUT
from photoanimer_async.models import Location, OutputFormat
from photoanimer_async.redaction import printable
from photoanimer_async.storage.result_store import ResultStore, result_store


def wait(
    *task_ids: Annotated[str, Parameter(name="TASK_ID", help="Ids of submitted tasks.")],
    gif: Gif = False,
    out: Out = DEFAULT_OUT,
    timeout: Timeout = DEFAULT_TIMEOUT,
    concurrency: Concurrency = DEFAULT_CONCURRENCY,
    account: AccountOptions = AccountOptions(),
) -> ExitStatus:
    """Wait for tasks and download their results; see `photoanimer wait --help`."""
    if not task_ids or not all(task_ids):
        raise UsageError("no task is given: name the ids of tasks")
    client = account_client(account, concurrency=concurrency)
    output_format = OutputFormat.GIF if gif else OutputFormat.MP4
    next_command = NextCommand(wait=wait_arguments(out, account, gif=gif))
    ids, name = list(dict.fromkeys(task_ids)), None
    if len(ids) == 1:
        out, name = split_out(out, output_format)
    location = result_location(out)
    log_warnings()
    waiting = _Waiting(
        client, output_format, location, BatchResults(total=len(ids)), name, timeout or None
    )
    return run_async(waiting.run(ids, next_command))


@frozen
class _Waiting:
    """Waits for tasks and saves their results, each as it ends."""

    client: PhotoAnimerClient
    output_format: OutputFormat
    out: Location
    results: BatchResults
    name: str | None
    timeout: float | None
    console: Output = field(factory=Output)

    async def run(self, task_ids: list[str], next_command: NextCommand) -> ExitStatus:
        started = time.monotonic()
        for index, task_id in enumerate(task_ids):
            self.results.add_task(index, _name(task_id), task_id)
        store = result_store(self.out)
        try:
            with ProgressDisplay(self.console, self.results) as display:
                async with self.client, asyncio.TaskGroup() as tasks:
                    for index, task_id in enumerate(task_ids):
                        tasks.create_task(self._collect(index, task_id, store, display))
        except asyncio.CancelledError:
            print_interruption(self.console, self.results, next_command=next_command)
            raise
        seconds = time.monotonic() - started
        print_summary(self.console, self.results, self.out, seconds, next_command=next_command)
        return exit_status(self.results)

    async def _collect(
        self, index: int, task_id: str, store: ResultStore, display: ProgressDisplay
    ) -> None:
        name = _name(task_id)
        try:
            result = PhotoResult(name, task_id, await self._save(task_id, store))
        except ApiError as error:
            # The service does not give this task's result, so waiting again is of no use.
            result = PhotoResult(name, error=error)
        except PhotoAnimerError as error:
            result = PhotoResult(name, task_id, error=error)
        self.results.add_result(index, result)
        display.ended(result)

    async def _save(self, task_id: str, store: ResultStore) -> Location:
        info = await self.client.wait(task_id, timeout=self.timeout)
        suffix = f".{self.output_format.value}"
        async with store.claim(task_id, suffix, name=self.name or task_id) as destination:
            return await self.client.download_to(
                info, destination, output_format=self.output_format
            )


def _name(task_id: str) -> str:
    return f"task {printable(task_id)}"
