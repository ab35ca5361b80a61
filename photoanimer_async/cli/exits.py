"""How a command ends: its exit status, and the error for wrong use."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """What the shell is told."""

    DONE = 0
    FAILED = 1
    """Some photo, or the call as a whole, failed; the output says what and why."""
    WRONG_USE = 2
    """What was asked for can not work; nothing was begun."""
    INTERRUPTED = 130
    """Ctrl-C, as shells have it: 128 and the signal's number."""
    TERMINATED = 143
    """SIGTERM, likewise."""


class WrongUseError(Exception):
    """What was asked for can not work; the text says why, and what can."""
