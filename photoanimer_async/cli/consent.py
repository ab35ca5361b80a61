"""Asking before much is spent."""

import sys

from photoanimer_async.cli.exits import WrongUseError
from photoanimer_async.jobs.budget import Estimate

ASK_ABOVE = 100.0
"""Video seconds that are spent without asking."""


def require_consent(cost: Estimate, *, yes: bool, max_seconds: float | None) -> None:
    """Asks at the terminal, unless it costs little, or the user has said how much it may.

    Raises:
        WrongUseError: the answer is no, or there is nobody to ask.
    """
    if yes or max_seconds is not None or cost.seconds <= ASK_ABOVE:
        return
    said = f"this may cost {shown_estimate(cost)}"
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise WrongUseError(f"{said}; agree with --yes, or set a limit with --max-seconds")
    # `input` would ask on standard error.
    sys.stdout.write(f"{said[0].upper()}{said[1:]}. Go on? [y/N] ")
    sys.stdout.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise WrongUseError("nothing was begun")


def shown_estimate(cost: Estimate) -> str:
    """The video seconds, and what they rest on."""
    line = f"{cost.seconds:g} video seconds for {cost.photos} photo{'s' * (cost.photos != 1)}"
    if cost.unknown:
        return f"{line}, or more: a voice costs its length (assumed), which is not known"
    return f"{line} (a voice is assumed to cost its length)" if cost.assumed else line
