"""Run a command's coroutine until it returns, or a signal cancels it."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

from photoanimer_async.cli.exit_status import ExitStatus


def run_async(work: Coroutine[Any, Any, ExitStatus]) -> ExitStatus:
    """Run a coroutine on an event loop of its own, and return its exit status.

    The first Ctrl-C and SIGTERM cancel the coroutine, so that it can close what it has opened
    and report which tasks are unfinished. A second Ctrl-C exits at once.
    """
    try:
        with asyncio.Runner() as runner:
            return runner.run(_cancelled_by_sigterm(work))
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    except asyncio.CancelledError:
        return ExitStatus.TERMINATED


async def _cancelled_by_sigterm(work: Coroutine[Any, Any, ExitStatus]) -> ExitStatus:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work
