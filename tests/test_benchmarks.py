"""The benchmarks run, in their short form; what they find out is checked by themselves."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("startup", "imports"),
        ("polling", "optimum, s"),
        ("scale", "CPU us / poll"),
        ("peers", "CPU us / request"),
        ("overhead", "layer"),
    ],
)
def test_the_short_form_prints_its_table(name: str, column: str) -> None:
    done = subprocess.run(
        [sys.executable, BENCHMARKS / f"{name}.py", "--quick"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"| {column}" in done.stdout
    assert "nan" not in done.stdout
