"""Standard streams may be closed, full or gone: no batch ends, and no traceback appears."""

import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from ..support.command_line import COMMAND, PATIENCE, CommandLine
from .conftest import SLOW, VIDEO, Service, png

ANIMATE = f"{COMMAND} animate anna.png ben.png --out out"


def shell(photoanimer: CommandLine, line: str) -> "subprocess.CompletedProcess[str]":
    """Run a line of bash, and return what came through the streams that it did not redirect."""
    return subprocess.run(
        ["bash", "-c", line],
        cwd=photoanimer.folder,
        env=photoanimer.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture
def photos(connected: CommandLine) -> CommandLine:
    """A command line with two photos in its folder."""
    for name in ("anna.png", "ben.png"):
        (connected.folder / name).write_bytes(png(name.encode()))
    return connected


def assert_both_are_saved(photoanimer: CommandLine) -> None:
    for name in ("anna.mp4", "ben.mp4"):
        assert (photoanimer.folder / "out" / name).read_bytes() == VIDEO
    assert "2 saved" in photoanimer("status", "out/photoanimer.journal").stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "redirection",
    [">&-", "<&- >&- 2>&-", "> /dev/full 2>&1"],
)
def test_a_batch_runs_without_its_streams(photos: CommandLine, redirection: str) -> None:
    done = shell(photos, f"{ANIMATE} {redirection}")
    assert done.returncode == 0
    assert done.stderr == ""
    assert_both_are_saved(photos)


@pytest.mark.slow
def test_a_batch_goes_on_when_its_reader_has_ended(photos: CommandLine) -> None:
    done = shell(photos, f"set -o pipefail; {ANIMATE} | head -1")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
    assert_both_are_saved(photos)


@pytest.mark.parametrize(
    "line",
    [
        "animate --help | head -0",
        "estimate anna.png 2>&1 | head -0",
        "estimate anna.png >&- 2>&-",
        "animate --no-such-option 2>&-",
        "animate --no-such-option &> /dev/full",
    ],
)
def test_no_command_prints_a_traceback(photos: CommandLine, line: str) -> None:
    done = shell(photos, f"{COMMAND} {line}")
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_question_without_streams_is_answered_with_no(photos: CommandLine) -> None:
    urls = " ".join(f"http://x.example/{number}.png" for number in range(40))
    done = shell(photos, f"{COMMAND} animate {urls} <&- >&-")
    assert done.returncode == 2
    assert "agree with --yes" in done.stderr


@pytest.mark.slow
def test_a_closed_terminal_stops_the_batch_as_ctrl_c_does(
    connected: CommandLine, service: Service
) -> None:
    (connected.folder / "anna.png").write_bytes(png(SLOW))
    terminal, inside = pty.openpty()
    process = connected.start(
        *("animate", "anna.png", "--out", "out", "--no-prepare"),
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    os.close(inside)
    _read_until_submitted(terminal)
    os.close(terminal)
    process.send_signal(signal.SIGHUP)  # by the kernel, were this its controlling terminal
    assert process.wait(timeout=PATIENCE) == 143
    service.release()
    done = connected("resume", "out/photoanimer.journal")
    assert done.returncode == 0, done.stdout
    assert (connected.folder / "out/anna.mp4").read_bytes() == VIDEO


def test_a_pipe_that_is_full_and_non_blocking_loses_nothing(photos: CommandLine) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.write(writing, bytes(60_000))
    process = photos.start("animate", "--help", stdout=writing)
    os.close(writing)
    with Path(f"/dev/fd/{reading}").open("rb") as pipe:
        printed = pipe.read()
    os.close(reading)
    assert process.wait(timeout=PATIENCE) == 0
    assert b"--max-seconds" in printed


def _read_until_submitted(terminal: int) -> None:
    seen = ""
    while "1 submitted" not in seen:
        seen += os.read(terminal, 4096).decode(errors="replace")
