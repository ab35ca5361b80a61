"""Running a watched batch, and telling what came of it."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from photoanimer_async.cli.exits import ExitStatus
from photoanimer_async.cli.output import Output
from photoanimer_async.cli.summary import exit_status, print_interruption, print_summary
from photoanimer_async.cli.watched_batch import WatchedBatch
from photoanimer_async.client import PhotoAnimerClient
from photoanimer_async.models import Location


async def run_watched(
    console: Output,
    batch: WatchedBatch,
    client: AbstractAsyncContextManager[PhotoAnimerClient],
    out: Location,
    *,
    wait_options: Sequence[str] | None = (),
    resume_options: Sequence[str] | None = None,
) -> ExitStatus:
    """Runs the batch to its end, or until it is stopped; see `print_summary` for the options."""
    begun = time.monotonic()
    try:
        async with client as opened:
            await batch.run(opened)
    except asyncio.CancelledError:
        print_interruption(
            console, batch.ledger, wait_options=wait_options, resume_options=resume_options
        )
        raise
    print_summary(
        console,
        batch.ledger,
        out,
        time.monotonic() - begun,
        wait_options=wait_options,
        resume_options=resume_options,
        stopped_by=batch.stopped_by,
    )
    return exit_status(batch.ledger)
