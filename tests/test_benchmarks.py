"""The benchmarks run in their short forms; they check their own premises."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PARTS = {"load_client", "load_servers", "machine", "stub"}  # imported or started by the others


def test_the_page_lists_every_benchmark() -> None:
    page = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `python benchmarks/(\w+)\.py` \|", page, flags=re.MULTILINE))
    assert listed == {path.stem for path in BENCHMARKS.glob("*.py")} - PARTS


@pytest.mark.slow
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
