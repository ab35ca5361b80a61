"""The command `photoanimer`, in the tests' own process or in one of its own."""

import logging
import os
import re
import select
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import define, field, frozen

from photoanimer_async.cli.commands import run

COMMAND = Path(sysconfig.get_path("scripts")) / "photoanimer"
PATIENCE = 60
_CONTROL_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@frozen
class Finished:
    """The exit status of a command, and what it has printed."""

    returncode: int
    stdout: str
    stderr: str


@define
class CommandLine:
    """Runs `photoanimer` in a folder, with an environment of its own."""

    folder: Path
    environment: dict[str, str]
    _capture: pytest.CaptureFixture[str]
    _started: list["subprocess.Popen[str]"] = field(factory=list)

    def __call__(self, *arguments: str) -> Finished:
        """Run a command in this process, which saves the start of another one."""
        with (
            pytest.MonkeyPatch.context() as patch,
            logging_restored(),
            Path(os.devnull).open() as nothing,
        ):
            for name in [*os.environ]:
                patch.delenv(name)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            patch.chdir(self.folder)
            patch.setattr("sys.stdin", nothing)
            self._capture.readouterr()
            status = run(arguments)
            printed = self._capture.readouterr()
        return Finished(status, printed.out, printed.err)

    def run_process(self, *arguments: str) -> Finished:
        """Run a command in a process of its own, and wait for its end."""
        done = subprocess.run(
            [COMMAND, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str, **options: object) -> "subprocess.Popen[str]":
        """Start a command in a process of its own, which Ctrl-C (SIGINT) interrupts."""
        process: subprocess.Popen[str] = subprocess.Popen(  # type: ignore[call-overload] # options of the test's choosing
            [COMMAND, *arguments],
            **{
                "cwd": self.folder,
                "env": self.environment,
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "text": True,
                **options,
            },
        )
        self._started.append(process)
        return process

    def start_and_submit(self, *arguments: str) -> tuple["subprocess.Popen[str]", str]:
        """Start a command; return it once its first photo has a task, with the task's id."""
        process = self.start(*arguments)
        assert process.stdout is not None
        line = process.stdout.readline()
        return process, line.rpartition("(task ")[2].rstrip(")\n")

    def serve(self, *arguments: str) -> tuple["subprocess.Popen[str]", str]:
        """Start `photoanimer serve` on a free port; return it and its base URL once it is ready."""
        process = self.start("serve", "--port", "0", *arguments)
        assert process.stdout is not None
        return process, process.stdout.readline().rpartition(" ")[2].strip()

    def kill_all(self) -> None:
        """Kill the processes that were started."""
        for process in self._started:
            process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


@contextmanager
def logging_restored() -> Iterator[None]:
    """Remove the log handlers that a command adds."""
    logger = logging.getLogger("photoanimer_async")
    handlers, level = logger.handlers[:], logger.level
    try:
        yield
    finally:
        logger.handlers[:] = handlers
        logger.setLevel(level)


def rest_of(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """Return what a process still prints to standard output and error, once it has ended.

    `communicate` would lose what `readline` has read ahead.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    printed = process.stdout.read(), process.stderr.read()
    process.wait(timeout=PATIENCE)
    return printed


def read_until(terminal: int, text: str) -> str:
    """Return what is printed to a terminal, without its colours, up to an expected text."""
    printed = ""
    give_up = time.monotonic() + PATIENCE
    while text not in printed:
        ready, _, _ = select.select([terminal], [], [], give_up - time.monotonic())
        assert ready, f"{text!r} was not printed in time; the output ends with {printed[-500:]!r}"
        new = os.read(terminal, 4096).decode(errors="replace")
        printed = _CONTROL_SEQUENCE.sub("", printed + new)
    return printed
