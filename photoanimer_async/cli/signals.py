"""Run a command's coroutine until it returns, or a signal cancels it."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from photoanimer_async.cli.exit_status import ExitStatus

_ENDING = (signal.SIGTERM, signal.SIGHUP)
"""SIGHUP is sent when the terminal is closed, or its connection is lost."""


def run_async(work: Coroutine[Any, Any, ExitStatus]) -> ExitStatus:
    """Run a coroutine on an event loop of its own, and return its exit status.

    The first Ctrl-C, SIGTERM or SIGHUP cancels the coroutine, so that it can close what it has
    opened and report which tasks are unfinished. A second Ctrl-C exits at once. Further SIGTERM
    and SIGHUP are ignored: a closed terminal sends several. A signal that was ignored when the
    command started stays ignored (`nohup`).
    """
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_cancelled_by_signals(work))
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    except asyncio.CancelledError:
        return ExitStatus.TERMINATED


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's if it is installed: it takes less time for each request."""
    try:
        import uvloop  # noqa: PLC0415 - the extra `speed` may be missing
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _cancelled_by_signals(work: Coroutine[Any, Any, ExitStatus]) -> ExitStatus:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task

    def cancel() -> None:
        if not task.cancelling():
            task.cancel()

    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, cancel)
    return await work
