"""Exit statuses, and the error for wrong use of a command."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """The exit status of a command."""

    DONE = 0
    FAILED = 1
    """A photo failed, or the whole call did; the output says which and why."""
    WRONG_USE = 2
    """The arguments are not allowed; nothing was started."""
    INTERRUPTED = 130
    """Ended by Ctrl-C: 128 and the number of SIGINT, as in shells."""
    TERMINATED = 143
    """Ended by SIGTERM, or by SIGHUP, which is treated alike: 128 and the number of SIGTERM."""


class UsageError(Exception):
    """The command was used in a way that is not allowed. The text says why, and what is allowed."""
