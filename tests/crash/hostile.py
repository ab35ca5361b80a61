"""A batch through every fault at once: `python -m tests.crash.hostile --photos 400 --rate 1`.

The command `photoanimer animate` with its defaults, as a user runs it, against a service that
allows few requests a second and answers a quarter of them with some fault. It is stopped at
random moments, by every signal that ends a process, and started again.
"""

# ruff: noqa: T201 - its output is its product
import argparse
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from urllib.request import urlopen

from attrs import define, field

from photoanimer_async import JournalError, State
from photoanimer_async.jobs.journal import read_journal

from ..support.command_line import COMMAND
from .harness import Report, judge
from .hostile_service import HostileService
from .ledger_service import API, Faults, serve

_SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT]
_LAST_RUNS = 6
_DONE = (State.SAVED, State.FAILED, State.AMBIGUOUS)
_SPAWN = multiprocessing.get_context("spawn")


@define
class HostileBatch:
    """One batch, its command, and the service that it meets.

    Attributes:
        folder: an empty folder.
        photos: how many.
        kills: how often the command is stopped.
        rate: requests a second that the service answers.
        silence: seconds until the answers that come late.
        task_seconds: how long a task takes, on average.
        seed: of all chance.
        printed: what the command has printed, all runs together.
    """

    folder: Path
    photos: int
    kills: int
    rate: float
    silence: float
    task_seconds: float
    seed: int
    printed: str = field(init=False, default="")

    def run(self) -> tuple[Report, dict[str, object]]:
        """Run the batch to its end; return what became of it, and the ledger."""
        begun = time.monotonic()
        report, rng = Report(), Random(self.seed)
        urls = [f"http://photos.invalid/{number}.jpg" for number in range(self.photos)]
        (self.folder / "photos.txt").write_text("\n".join(urls))
        receiver, sender = _SPAWN.Pipe(duplex=False)
        service = HostileService(
            Faults(),
            Random(self.seed),
            seconds=self.task_seconds,
            rate=self.rate,
            silence=self.silence,
        )
        process = _SPAWN.Process(target=serve, args=(service, sender), daemon=True)
        process.start()
        origin = f"http://127.0.0.1:{receiver.recv()}"
        try:
            # The kills are spread over the time that the requests take at least.
            longest = 2 * self.photos / self.rate / self.kills if self.kills else 0.0
            for number in range(self.kills):
                name = _SIGNALS[number % len(_SIGNALS)]
                if self._run_and_stop(origin, name, rng.uniform(0.5, longest)):
                    report.kills[name.name] += 1
            for _ in range(_LAST_RUNS):
                self._run_to_the_end(origin)
                if self._ended() == self.photos:
                    break
            with urlopen(f"{origin}/ledger") as answer:
                ledger = json.load(answer)
        finally:
            process.kill()
            process.join()
        report.seconds = time.monotonic() - begun
        with read_journal(self.folder / "batch.db") as store:
            entries = list(store.entries([*State]))
        judge(report, urls, entries, ledger, self.folder / "out")
        return report, ledger

    def _start(self, origin: str) -> "subprocess.Popen[str]":
        command = [str(COMMAND), "animate", "-", "--yes", "--out", "out", "--journal", "batch.db"]
        environment = {
            **os.environ,
            "PHOTOANIMER_BASE_URL": origin + API,
            "PHOTOANIMER_API_KEY": "key",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        with (self.folder / "photos.txt").open() as photos:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment,
                stdin=photos,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def _run_and_stop(self, origin: str, name: signal.Signals, seconds: float) -> bool:
        """Run the command for so long and stop it; whether it was still running."""
        process = self._start(origin)
        try:
            printed, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(name)
            printed, _ = process.communicate()
            self.printed += printed
            return True
        self.printed += printed
        return False

    def _run_to_the_end(self, origin: str) -> None:
        process = self._start(origin)
        self.printed += process.communicate()[0]

    def _ended(self) -> int:
        try:
            with read_journal(self.folder / "batch.db") as store:
                counts = store.summary().counts
        except JournalError:
            return 0
        return sum(counts.get(state, 0) for state in _DONE)


def main() -> int:
    """Run one batch; the exit status says whether every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.hostile", description=__doc__)
    parser.add_argument("--photos", type=int, default=400)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--rate", type=float, default=1.0, help="requests a second")
    parser.add_argument("--silence", type=float, default=100.0, help="seconds of late answers")
    parser.add_argument("--task-seconds", type=float, default=10.0, help="of a task, on average")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, help="file for what the command prints")
    chosen = parser.parse_args()
    # What a shell runs in the background ignores Ctrl-C, and so do the processes that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with TemporaryDirectory(prefix="hostile-") as folder:
        batch = HostileBatch(
            Path(folder),
            chosen.photos,
            chosen.kills,
            chosen.rate,
            chosen.silence,
            chosen.task_seconds,
            chosen.seed,
        )
        report, ledger = batch.run()
    if chosen.log:
        chosen.log.write_text(batch.printed)
    print(report)
    print(f"  requests: {ledger['requests']}, of them over the rate: {ledger['refused']}")
    faults = ledger["faults"]
    assert isinstance(faults, dict)
    for name, count in sorted(faults.items()):
        print(f"    {count:4} {name}")
    for problem in ("charged_twice", "unreported", "lost", "leftovers"):
        for name in getattr(report, problem)[:10]:
            print(f"  {problem}: {name}")
    tracebacks = batch.printed.count("Traceback")
    print(f"  tracebacks: {tracebacks}")
    return 0 if report.faultless and not tracebacks and report.counts["saved"] else 1


if __name__ == "__main__":
    sys.exit(main())
