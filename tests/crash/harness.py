"""Kills a batch again and again, lets it end, and compares with the ledger.

Every run is a process of its own, forked from this one, so that a restart costs milliseconds.
Half of the kills come from inside, at a named point; the others from outside, at a random
moment. The service is a third process, whose ledger nobody kills.
"""

import asyncio
import json
import multiprocessing
import os
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any
from urllib.request import urlopen

from attrs import define, field

from photoanimer_async import JournalError, State
from photoanimer_async.jobs.journal import Entry, read_journal

from .clients import animate, animate_naively
from .crash_points import POINTS, Fuse, arm
from .ledger_service import Faults, LedgerService, serve, video

_LONGEST_RUN = 120.0
_LAST_RUNS = 3
_FORK = multiprocessing.get_context("fork")


@define
class Report:
    """What became of the photos, and of the money.

    Attributes:
        kills: by the point at which they happened.
        counts: photos by their last state.
        charged: acceptances in the ledger.
        charged_twice: photos with more than one.
        unreported: charged photos that the journal shows neither with a task nor as ambiguous.
        lost: photos that never came to an end, or whose saved result is not there and whole.
        leftovers: files that belong to no result.
        ambiguous_charged: how many of the ambiguous ones were charged.
    """

    kills: Counter[str] = field(factory=Counter)
    counts: Counter[str] = field(factory=Counter)
    charged: int = 0
    charged_twice: list[str] = field(factory=list)
    unreported: list[str] = field(factory=list)
    lost: list[str] = field(factory=list)
    leftovers: list[str] = field(factory=list)
    ambiguous_charged: int = 0
    seconds: float = 0.0

    @property
    def faultless(self) -> bool:
        """Whether every promise was kept."""
        return not (self.charged_twice or self.unreported or self.lost or self.leftovers)

    def add_charges(self, ledger: dict[str, Any]) -> None:
        """Add what the ledger alone says."""
        charges: dict[str, list[int]] = ledger["charges"]
        self.charged = sum(map(len, charges.values()))
        self.charged_twice = [url for url, tasks in charges.items() if len(tasks) > 1]

    def __str__(self) -> str:
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.counts.items()))
        return (
            f"{self.kills.total()} kills at {len(self.kills)} kinds of moments, "
            f"{self.counts.total()} photos, {self.seconds:.0f} s\n"
            f"  ended as: {states}\n"
            f"  charged: {self.charged}, of them ambiguous: {self.ambiguous_charged}\n"
            f"  charged twice: {len(self.charged_twice)}\n"
            f"  charged and unreported: {len(self.unreported)}\n"
            f"  lost: {len(self.lost)}\n"
            f"  files left over: {len(self.leftovers)}"
        )


@define
class Harness:
    """One batch under fire.

    Attributes:
        folder: an empty folder.
        photos: how many.
        kills: how many.
        seed: of all chance.
        naive: whether the naive client is the one to be killed.
    """

    folder: Path
    photos: int
    kills: int
    seed: int = 0
    naive: bool = False
    faults: Faults = field(factory=Faults)
    rng: Random = field(init=False)
    urls: list[str] = field(init=False, factory=list)
    _grown: bool = field(init=False, default=True)

    def __attrs_post_init__(self) -> None:
        self.rng = Random(self.seed)
        self._add_photos(self.photos)

    def run(self) -> Report:
        """Kills until there have been enough kills, then lets it end."""
        begun = time.monotonic()
        report = Report()
        receiver, sender = _FORK.Pipe(duplex=False)
        service = LedgerService(self.faults, Random(self.seed))
        process = _FORK.Process(target=serve, args=(service, sender), daemon=True)
        process.start()
        origin = f"http://127.0.0.1:{receiver.recv()}"
        try:
            number = 0
            while report.kills.total() < self.kills:
                if not self._left():
                    # It was quicker than its killers.
                    self._add_photos(max(1, len(self.urls) // 10))
                moment = self._killed_run(origin, number, self.kills - report.kills.total())
                number += 1
                if moment is not None:
                    report.kills[moment] += 1
            self._run_to_the_end(origin)
            with urlopen(f"{origin}/ledger") as answer:
                ledger = json.load(answer)
        finally:
            process.kill()
            process.join()
        report.seconds = time.monotonic() - begun
        self._judge(report, ledger)
        return report

    def _add_photos(self, count: int) -> None:
        first = len(self.urls)
        self.urls += [f"http://photos.invalid/{first + n}.jpg" for n in range(count)]
        self._grown = True

    def _killed_run(self, origin: str, number: int, remaining: int) -> str | None:
        """One run that is to be killed; the moment, or `None` if it ended before."""
        share = 1 + int(self._left() / (2 * remaining) * self.rng.expovariate(1))
        point = self.rng.choices(list(POINTS), list(POINTS.values()))[0]
        if number % 2:
            point = "a random moment"
        resume = not self._grown and self.rng.random() < 0.9 and point != "planning"
        self._grown = False
        # A moment that only few photos come to is waited for once.
        fuse = Fuse(point, share if POINTS.get(point) == 1.0 else 1)
        pid = self._fork(lambda: self._child(origin, fuse, resume=resume))
        if point == "a random moment":
            time.sleep(self.rng.uniform(0, 0.03) + share * self.rng.uniform(0, 0.006))
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return point if _outcome_of(pid) else None

    def _run_to_the_end(self, origin: str) -> None:
        """As a user would: a link that expires twice is reported, and left for the next run."""
        for _ in range(_LAST_RUNS):
            pid = self._fork(lambda: self._child(origin, Fuse("never", 0), resume=False))
            if _outcome_of(pid):
                raise RuntimeError("the last run was killed")
            if not self._left():
                return

    def _child(self, origin: str, fuse: Fuse, *, resume: bool) -> None:
        if self.naive:
            asyncio.run(animate_naively(origin, self.urls, self.folder))
            return
        arm(fuse)
        asyncio.run(animate(origin, self.urls, self.folder, resume=resume))

    @staticmethod
    def _fork(work: Callable[[], None]) -> int:
        pid = os.fork()
        if pid:
            return pid
        status = 1
        try:
            signal.alarm(int(_LONGEST_RUN))
            work()
            status = 0
        except JournalError:
            # Killed so early that there is no journal to resume.
            status = 0
        except BaseException:  # noqa: BLE001 - a forked process must not go on as its parent
            traceback.print_exc()
        finally:
            os._exit(status)

    # --- what came of it ---

    def _entries(self) -> list[Entry]:
        try:
            with read_journal(self.folder / "batch.db") as store:
                return list(store.entries([*State]))
        except JournalError:
            return []

    def _left(self) -> int:
        """Photos that have not come to an end."""
        if self.naive:
            done = self.folder / "done.txt"
            return len(self.urls) - (len(done.read_text().splitlines()) if done.exists() else 0)
        try:
            with read_journal(self.folder / "batch.db") as store:
                counts = store.summary().counts
        except JournalError:
            return len(self.urls)
        ended = sum(counts.get(s, 0) for s in (State.SAVED, State.FAILED, State.AMBIGUOUS))
        return len(self.urls) - ended

    def _judge(self, report: Report, ledger: dict[str, Any]) -> None:
        if self.naive:
            report.add_charges(ledger)
            report.counts["handed in"] = len(self.urls)
        else:
            judge(report, self.urls, self._entries(), ledger, self.folder / "out")


def judge(
    report: Report, urls: list[str], entries: list[Entry], ledger: dict[str, Any], out: Path
) -> None:
    """Compare a journal and the results with the ledger, and add what is found to a report."""
    charges: dict[str, list[int]] = ledger["charges"]
    report.add_charges(ledger)
    entry_of = {str(entry.request.photo): entry for entry in entries}
    results: set[Path] = set()
    for url in urls:
        entry, tasks = entry_of.get(url), charges.get(url, [])
        if entry is None:
            report.lost.append(url)
            continue
        report.counts[entry.state.value] += 1
        match entry.state:
            case State.SAVED:
                path = Path(entry.path or "nowhere")
                if path.is_file() and path.read_bytes() == video(_only(tasks)):
                    results.add(path)
                else:
                    report.lost.append(url)
            case State.FAILED:
                if tasks and entry.task_id not in ledger["failed"]:
                    report.unreported.append(url)
            case State.AMBIGUOUS:
                report.ambiguous_charged += bool(tasks)
            case _:
                report.lost.append(url)
                if tasks and entry.task_id is None:
                    report.unreported.append(url)
    files = set(out.iterdir()) if out.exists() else set()
    report.leftovers = sorted(path.name for path in files - results)


def _only(tasks: list[int]) -> int:
    return tasks[0] if len(tasks) == 1 else -1


def _outcome_of(pid: int) -> bool:
    """Waits for a run; whether it was killed.

    Raises:
        RuntimeError: it failed by itself.
    """
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        if os.WTERMSIG(status) != signal.SIGKILL:
            raise RuntimeError(f"a run ended by signal {os.WTERMSIG(status)}")
        return True
    if os.WEXITSTATUS(status):
        raise RuntimeError("a run failed")
    return False
