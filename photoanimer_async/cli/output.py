"""Where a command writes: a terminal with colours and a width, or a pipe or file with neither."""

import os
import sys

from rich.console import Console

_UNFOLDED = 10_000


class Output(Console):
    """Standard output. Nothing is folded where it is no terminal, and names are never markup."""

    def __init__(self) -> None:
        width = None if sys.stdout.isatty() else _UNFOLDED
        super().__init__(width=width, markup=False, highlight=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """Goes on in silence: the reader left, but tasks that are paid for are under way."""
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, sys.stdout.fileno())
        os.close(silence)


def shown_size(size: int) -> str:
    """`340 bytes`, `98 KB` or `2.1 MB`."""
    if size >= 2**20:
        return f"{size / 2**20:.1f} MB"
    return f"{size / 2**10:.0f} KB" if size >= 2**10 else f"{size} bytes"


def shown_duration(seconds: float) -> str:
    """`4.2 s`, `2:31` or `1:02:31`."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
