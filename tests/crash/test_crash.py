"""The crash test in its short form; the long one is `python -m tests.crash`."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_kills_lose_nothing_and_charge_nothing_twice() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash", "--kills", "60", "--photos", "400"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "60 kills" in done.stdout
