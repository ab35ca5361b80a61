"""The short form of the kill test; the long one is `python -m tests.service.kills`."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_kills_lose_no_task_and_charge_nothing_twice() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.service.kills", "--kills", "25", "--control-kills", "3"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "25 kills" in done.stdout
