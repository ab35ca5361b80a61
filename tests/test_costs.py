"""Bounds on what a request costs, in counts that do not depend on the machine.

They are a tenth above what was reached: how many answers arrive in one turn of the event loop
matters a little. A change that lowers a count lowers its bound.
"""

import json
import subprocess
import sys

import pytest

from .support.pages import ROOT

COUNTS = ROOT / "benchmarks" / "counts.py"

# Calls are of Python and C functions; see `benchmarks/counts.py`, which also says what is counted.
BOUNDS = {
    "submit": 185,  # calls, above those of aiohttp's own `get`
    "poll": 100,  # likewise, with the wait in the scheduler
    "photo": 920,  # calls in `animate_many`: a submit, a poll, the batch
    "plan": 56,  # calls of `AdaptivePolling` for a poll
    "polls": 2.05,  # for a task of about two seconds, in the simulation
    "waiting": 2.8,  # blocks of memory that a task in `wait_all` holds
    "in flight": 98,  # blocks of memory that a photo in `animate_many` holds
    "imports": 76,  # modules, beyond those of the four dependencies
    "modules": 26,  # of this package, entered by one `animate(path, save_to=...)`
    "changes": 134,  # from one of them to another
}


@pytest.fixture(scope="module")
def counts() -> dict[str, float]:
    """Count everything in one process, whose start costs as much as a count."""
    done = subprocess.run(
        [sys.executable, COUNTS, "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", BOUNDS)
def test_it_costs_no_more_than_it_did(counts: dict[str, float], name: str) -> None:
    assert 0 < counts[name] <= BOUNDS[name], (
        f"{name}: {counts[name]:.4g}, not {BOUNDS[name]:g} as before. Every request pays for it."
        f" Where it comes from: python benchmarks/counts.py --only '{name}' --details"
    )
