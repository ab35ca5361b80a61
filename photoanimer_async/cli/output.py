"""Write to standard output, and format sizes, durations and costs."""

import shutil
import sys
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from photoanimer_async.jobs.budget import Estimate

_NAME = "photoanimer"
_UNFOLDED = 10_000


class Output(Console):
    """Standard output. Lines are folded in a terminal only, and names are never markup."""

    def __init__(self) -> None:
        width = None if sys.stdout.isatty() else _UNFOLDED
        super().__init__(width=width, markup=False, highlight=False, emoji=False)


def program() -> str:
    """Return what to type in this shell to run `photoanimer` again."""
    invoked = Path(sys.argv[0])
    if invoked.name != _NAME:
        return _NAME
    found = shutil.which(_NAME)
    with suppress(OSError):
        if found is not None and invoked.samefile(found):
            return _NAME
    absolute = invoked.absolute()
    here = Path.cwd()
    return f"./{absolute.relative_to(here)}" if absolute.is_relative_to(here) else str(absolute)


def format_size(size: int) -> str:
    """Return `340 bytes`, `98 KB` or `2.1 MB`."""
    if size >= 2**20:
        return f"{size / 2**20:.1f} MB"
    return f"{size / 2**10:.0f} KB" if size >= 2**10 else f"{size} bytes"


def format_duration(seconds: float) -> str:
    """Return `4.2 s`, `2:31` or `1:02:31`."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    return format_clock(seconds)


def format_clock(seconds: float) -> str:
    """Return `0:04`, `2:31` or `1:02:31`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_seconds(seconds: float) -> str:
    """Return video seconds to the hundredth, as `21.39`, `71300` or `1426000.05`."""
    return f"{round(seconds, 2):.15g}"


def format_estimate(cost: Estimate) -> str:
    """Return the video seconds of an estimate, and what it assumes about voices."""
    photos = f"{cost.photos} photo{'s' * (cost.photos != 1)}"
    line = f"{format_seconds(cost.seconds)} video seconds for {photos}"
    if cost.unknown:
        return f"{line}, or more: a voice costs its length (assumed), which is not known"
    return f"{line} (a voice is assumed to cost its length)" if cost.assumed else line
