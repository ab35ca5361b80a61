"""`photoanimer wait`."""

import asyncio
import time
from typing import Annotated

from attrs import frozen
from cyclopts import Parameter

from photoanimer_async.cli.batch_results import BatchResults, PhotoResult
from photoanimer_async.cli.clients import account_client
from photoanimer_async.cli.exit_status import ExitStatus, UsageError
from photoanimer_async.cli.logs import log_warnings
from photoanimer_async.cli.options import (
    DEFAULT_CONCURRENCY,
    DEFAULT_OUT,
    AccountOptions,
    Concurrency,
    Gif,
    Json,
    Out,
    Timeout,
    limit_of,
    result_location,
    split_out,
    wait_arguments,
)
from photoanimer_async.cli.reports import Report, report_of
from photoanimer_async.cli.signals import run_async
from photoanimer_async.cli.summary import NextCommand, exit_status
from photoanimer_async.client import PhotoAnimerClient
from photoanimer_async.errors import PhotoAnimerError, RefusedRequestError
from photoanimer_async.jobs.lifecycle import DEFAULT_TIMEOUT
from photoanimer_async.models import OutputFormat
from photoanimer_async.redaction import printable


def wait(
    *task_ids: Annotated[str, Parameter(name="TASK_ID", help="Ids of submitted tasks.")],
    gif: Gif = False,
    out: Out = DEFAULT_OUT,
    timeout: Annotated[
        Timeout,
        Parameter(
            help="Seconds to wait for the end of each task, which can be waited for again; 0 for "
            f"no limit; by default {DEFAULT_TIMEOUT:g}."
        ),
    ] = None,
    concurrency: Concurrency = DEFAULT_CONCURRENCY,
    json: Json = False,
    account: AccountOptions = AccountOptions(),
) -> ExitStatus:
    """Wait for tasks and download their results; see `photoanimer wait --help`."""
    if not task_ids or not all(task_ids):
        raise UsageError("no task is given: name the ids of tasks")
    client = account_client(account, concurrency=concurrency)
    output_format = OutputFormat.GIF if gif else OutputFormat.MP4
    ids = list(dict.fromkeys(task_ids))
    folder = split_out(out, output_format)[0] if len(ids) == 1 else out
    results = BatchResults(total=len(ids))
    next_command = NextCommand(wait=wait_arguments(out, account, gif=gif))
    report = report_of(results, result_location(folder), next_command, json=json)
    log_warnings()
    waiting = _Waiting(client, output_format, out, results, report, limit_of(timeout))
    return run_async(waiting.run(ids))


@frozen
class _Waiting:
    """Waits for tasks and saves their results, each as it ends."""

    client: PhotoAnimerClient
    output_format: OutputFormat
    out: str
    results: BatchResults
    report: Report
    timeout: float | None

    async def run(self, task_ids: list[str]) -> ExitStatus:
        started = time.monotonic()
        for index, task_id in enumerate(task_ids):
            self.results.add_task(index, _name(task_id), task_id)
        try:
            with self.report:
                async with self.client, asyncio.TaskGroup() as tasks:
                    for index, task_id in enumerate(task_ids):
                        tasks.create_task(self._collect(index, task_id))
        except asyncio.CancelledError:
            self.report.interrupt(time.monotonic() - started)
            raise
        self.report.finish(time.monotonic() - started)
        return exit_status(self.results)

    async def _collect(self, index: int, task_id: str) -> None:
        name = _name(task_id)
        try:
            animation = await self.client.attach(
                task_id, self.output_format, save_to=self.out, timeout=self.timeout
            )
            result = PhotoResult(name, task_id, animation.place, index=index)
        except RefusedRequestError as error:
            # The service does not know this task, so waiting again is of no use.
            result = PhotoResult(name, error=error, index=index)
        except PhotoAnimerError as error:
            result = PhotoResult(name, task_id, error=error, index=index)
        self.results.add_result(index, result)
        self.report.ended(result)


def _name(task_id: str) -> str:
    return f"task {printable(task_id)}"
