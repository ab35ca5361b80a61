"""The crash tests in their short forms; the long ones are `python -m tests.crash[.hostile]`."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_kills_lose_nothing_and_charge_nothing_twice() -> None:
    printed = run("tests.crash", "--kills", "60", "--photos", "400")
    assert "60 kills" in printed


@pytest.mark.slow
def test_a_batch_through_every_fault_at_once_loses_nothing() -> None:
    # More photos than two kills can interrupt: 64 submits are open at once.
    few = ["--photos", "160", "--kills", "2", "--rate", "50"]
    quick = ["--silence", "1", "--task-seconds", "0.5"]
    assert "160 photos" in run("tests.crash.hostile", *few, *quick)


def run(module: str, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
