"""How this program is called again, and how times are written."""

import shutil
from pathlib import Path

import pytest

from photoanimer_async.cli.output import (
    format_clock,
    format_duration,
    format_estimate,
    format_seconds,
    program,
)
from photoanimer_async.jobs.budget import Estimate


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    script = tmp_path / "clone/.venv/bin/photoanimer"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.chdir(tmp_path / "clone")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return script


class TestProgram:
    def test_is_its_path_where_it_is_not_found_by_its_name(
        self, installed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for typed in (".venv/bin/photoanimer", str(installed)):
            monkeypatch.setattr("sys.argv", [typed, "demo"])
            assert program() == "./.venv/bin/photoanimer"
        monkeypatch.chdir("/usr")
        monkeypatch.setattr("sys.argv", [str(installed)])
        assert program() == str(installed)

    def test_is_its_name_where_it_is_found_by_it(
        self, installed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(installed.parent))
        assert shutil.which("photoanimer") is not None
        for typed in (".venv/bin/photoanimer", str(installed)):
            monkeypatch.setattr("sys.argv", [typed])
            assert program() == "photoanimer"

    def test_is_its_name_if_another_program_calls_it(
        self, installed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.argv", [str(installed.with_name("pytest"))])
        assert program() == "photoanimer"


def test_durations() -> None:
    assert [format_duration(seconds) for seconds in (4.21, 151, 3751)] == [
        "4.2 s", "2:31", "1:02:31"
    ]  # fmt: skip
    assert format_clock(4.2) == "0:04"


def test_video_seconds_are_shown_to_the_hundredth_however_many_they_are() -> None:
    sums = {0: "0", 21.39: "21.39", 12345 * 3.13: "38639.85", sum([7.13] * 200_000): "1426000"}
    assert {seconds: format_seconds(seconds) for seconds in sums} == sums
    cost = Estimate(photos=12345, seconds=12345 * 3.13)
    assert format_estimate(cost) == "38639.85 video seconds for 12345 photos"
