"""Running a command until it is done, or until somebody stops it."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

from photoanimer_async.cli.exits import ExitStatus


def run_until_done(work: Coroutine[Any, Any, ExitStatus]) -> ExitStatus:
    """Runs the work on an event loop of its own.

    The first Ctrl-C, and SIGTERM, cancel it, so that it can close what it has opened and tell
    what it leaves behind; the second Ctrl-C leaves at once.
    """
    try:
        with asyncio.Runner() as runner:
            return runner.run(_terminable(work))
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    except asyncio.CancelledError:
        return ExitStatus.TERMINATED


async def _terminable(work: Coroutine[Any, Any, ExitStatus]) -> ExitStatus:
    this = asyncio.current_task()
    assert this is not None  # noqa: S101 - a coroutine runs in a task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    return await work
