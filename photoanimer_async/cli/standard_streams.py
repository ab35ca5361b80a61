"""Standard output and error that never fail: a lost terminal must not stop a batch.

Output is dropped, without an error, if a stream was closed before the command started (`>&-`), its
reader has ended (`| head -1`), its terminal is gone, or its disk is full.
"""

import io
import os
import select
import sys
from typing import Any, TextIO

STANDARD_INPUT = "/dev/stdin"
"""The name that stands for what is on standard input; on the command line also `-`."""


def make_standard_streams_lasting() -> None:
    """Replace the standard streams of this process by ones that drop what cannot be written.

    To be called before anything else opens a file: a file that got the number of a closed stream
    would receive its output.
    """
    is_missing = [not _is_open(number) for number in range(3)]
    for number in range(3):
        if is_missing[number]:
            # The lowest free number is taken, so this is the missing one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 - has no name
    if is_missing[0] or sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for the process
    sys.stdout = _lasting(1, sys.stdout)
    sys.stderr = _lasting(2, sys.stderr)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


# `None` if the stream was closed when Python started.
def _lasting(number: int, stream: TextIO | None) -> TextIO:
    return io.TextIOWrapper(
        io.BufferedWriter(_LastingFile(number)),
        encoding="utf-8" if stream is None else stream.encoding,
        errors="backslashreplace",
        # Lines are written at once, whatever they go to: a killed process has printed them.
        line_buffering=True,
    )


class _LastingFile(io.FileIO):
    """A file descriptor that is replaced by /dev/null when it cannot be written to."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "w", closefd=False)

    # Any: the parameter's name and type differ between Python's versions.
    def write(self, data: Any, /) -> int:
        """Write as much as is possible now, and at least one byte."""
        try:
            while (written := super().write(data)) is None:
                # A pipe that another process has set to non-blocking, and that is full.
                select.select([], [self.fileno()], [])
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            return len(memoryview(data).cast("B"))
        return written
