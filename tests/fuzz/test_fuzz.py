"""Fuzzing in its short form; the long one is `python -m tests.fuzz`."""

import subprocess
import sys
from pathlib import Path

import pytest

from .containers import put_together, taken_apart
from .mutations import mutated
from .seeds import SEEDS

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_mutated_files_end_their_tasks_and_nothing_else() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--pictures", "250", "--sounds", "80"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "250 mutated pictures" in done.stdout
    assert "80 mutated sounds" in done.stdout
    assert "finished" in done.stdout


@pytest.mark.parametrize("kind", SEEDS)
def test_a_seed_always_gives_the_same_files(kind: str) -> None:
    first, again = (
        [mutated(seeds, 1, number) for number in range(50)]
        for seeds in (SEEDS[kind](), SEEDS[kind]())
    )
    assert first == again
    assert len(set(first)) > 45


@pytest.mark.parametrize("kind", SEEDS)
def test_a_file_taken_apart_can_be_put_together(kind: str) -> None:
    for file in SEEDS[kind]():
        again = put_together(taken_apart(file), like=file)
        assert taken_apart(again) == taken_apart(file)
        if not file.startswith(b"\x89PNG"):  # which is packed again
            assert again == file
