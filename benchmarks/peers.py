"""Cost of submitting and polling, beside other clients, against the same stub service.

Run it on a machine that does nothing else::

    pip install -e '.[bench,speed]'
    python benchmarks/peers.py [--tasks 500] [--many 10000] [--repeats 7] [--only NAME ...]
        [--quick]

Every run has a stub process (see `stub.py`) and a client process (see `contenders.py`), measured
from the first submit to the last result. Clients alternate within each repeat, so that ratios are
measured side by side; figures are medians. Clients whose ratios are goals run in every repeat,
our and aiohttp's other forms in every third, other services' clients in the first: they differ by
more than runs do. `--many` compares two clients with so many tasks.

CPU is that of the client process. Delay is from the end of a task to the service's first answer
that says so. Memory is the growth of the process's peak, for each task.
"""

import argparse
import asyncio
import importlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from attrs import frozen
from contenders import CONTENDERS, LIMIT, PEERS, require_installed, shown
from machine import Goal, figures, peak_memory, table
from stub import LONGEST, SHORTEST, report, serving

COLD, MANY, NAIVE = "photoanimer, cold", "photoanimer many, warm", "naive"
TUNED, SPREAD = "tuned", "tuned, spread"
QUICK = (COLD, NAIVE)
WITH_MANY = (COLD, TUNED)
VERSIONS = (
    "aiohttp",
    "uvloop",
    "runpod",
    "openai",
    "replicate",
    "runwayml",
    "elevenlabs",
    "fal-client",
)


@frozen
class Run:
    """The cost of one run.

    Attributes:
        cpu: seconds of the client process.
        polls: number of polls.
        tasks: number of submits.
        ended: tasks that the client found finished.
        delays: seconds from each task's end to the poll that found it, sorted.
        connections: connections that the stub has accepted.
        memory: growth in bytes.
    """

    cpu: float
    polls: int
    tasks: int
    ended: int
    delays: Sequence[float]
    connections: int
    memory: int

    def delay(self, share: float) -> float:
        """Return the delay in seconds that this share of the tasks did not exceed."""
        return self.delays[round(share * (len(self.delays) - 1))] if self.delays else float("nan")


Runs = dict[str, dict[int, Run]]
"""The runs of each client, by the number of the repeat."""


def run(name: str, tasks: int, seed: int, durations: Path) -> Run:
    """Run one client against one stub, each in a process of its own."""
    command = [sys.executable, __file__, "--drive", name, "--tasks", str(tasks)]
    with serving(seed) as origin:
        finished = subprocess.run(  # noqa: S603 - this very file
            [*command, "--origin", origin, "--durations", str(durations)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=LIMIT * 4,
            check=True,
        )
        client = json.loads(finished.stdout.splitlines()[-1])
        found = report(origin)
    return Run(
        polls=found["polls"],
        tasks=tasks,
        delays=sorted(found["delays"]),
        connections=found["connections"],
        **client,
    )


def drive(name: str, origin: str, tasks: int, durations: Path) -> None:
    """Run a client in this process; print what it cost as JSON."""
    contender = CONTENDERS[name]
    importlib.import_module(contender.needs)
    more = {"durations": durations} if contender.warm else {}
    factory = importlib.import_module("uvloop").new_event_loop if contender.fast_loop else None
    before = peak_memory()
    with asyncio.Runner(loop_factory=factory) as runner:
        cpu = time.process_time()
        ended = runner.run(_awaited(contender.drive(origin, tasks, **more)))
        cpu = time.process_time() - cpu
    cost = {"cpu": cpu, "ended": ended, "memory": peak_memory() - before}
    sys.stdout.write(json.dumps(cost) + "\n")


async def _awaited(ended: Awaitable[int]) -> int:
    return await ended


def compare(tasks: int, repeats: int, names: Sequence[str]) -> Runs:
    """Run all of these clients, alternating."""
    runs: Runs = {name: {} for name in names}
    with tempfile.TemporaryDirectory() as folder:
        durations = Path(folder) / "durations.json"
        if any(CONTENDERS[name].warm for name in names):
            run("photoanimer, warm", tasks, 99, durations)
        for repeat in range(repeats):
            for name in names:
                if repeat % CONTENDERS[name].every:
                    continue
                _say(f"{tasks} tasks, repeat {repeat + 1} of {repeats}: {name}")
                try:
                    runs[name][repeat] = run(name, tasks, 1 + repeat, durations)
                except subprocess.SubprocessError as error:
                    _say(f"{name}: {type(error).__name__}")
    for name, mine in runs.items():
        if name.startswith("photoanimer"):
            assert all(one.ended == one.tasks <= one.polls for one in mine.values()), "lost tasks"
    return {name: mine for name, mine in runs.items() if mine}


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _median(runs: Runs, name: str, of: Callable[[Run], float]) -> float:
    return statistics.median(of(one) for one in runs[name].values())


def ratio(runs: Runs, name: str, other: str, of: Callable[[Run], float]) -> float:
    """Return the median ratio of runs that alternated, so that other load weighs on both."""
    mine, theirs = runs.get(name, {}), runs.get(other, {})
    ratios = [of(mine[repeat]) / of(theirs[repeat]) for repeat in mine if repeat in theirs]
    return statistics.median(ratios) if ratios else float("nan")


HEAD = (
    "client",
    "CPU s for 1,000 tasks",
    "CPU us a request",
    "polls a task",
    "delay p50, p99, s",
    "connections",
    "KiB a task",
    "lost",
)


def _cpu_of_1000(one: Run) -> float:
    return 1000 * one.cpu / one.tasks


def _kib(one: Run) -> float:
    return one.memory / one.tasks / 1024


def _delay(one: Run) -> float:
    return one.delay(0.5)


def _cpu(one: Run) -> float:
    return one.cpu


def _cpu_of_request(one: Run) -> float:
    return one.cpu / (one.polls + one.tasks)


def _memory(one: Run) -> float:
    return one.memory


def _row(runs: Runs, name: str) -> list[str]:
    p99 = _median(runs, name, lambda one: one.delay(0.99))
    return [
        shown(name),
        f"{_median(runs, name, _cpu_of_1000):.2f}",
        f"{1e6 * _median(runs, name, _cpu_of_request):,.0f}",
        f"{_median(runs, name, lambda one: one.polls / one.tasks):.2f}",
        f"{_median(runs, name, _delay):.2f}, {p99:.2f}",
        f"{_median(runs, name, lambda one: one.connections):,.0f}",
        f"{_median(runs, name, _kib):.1f}",
        f"{max(one.tasks - one.ended for one in runs[name].values())}",
    ]


def show_costs(runs: Runs, tasks: int, repeats: int) -> None:
    """Print the costs of all clients, and ours in ratios."""
    figures(
        "peers",
        f"{tasks:,} tasks at once that take {SHORTEST} to {LONGEST:g} s (lognormal); medians of up "
        f"to {repeats} runs:",
        table(HEAD, [_row(runs, name) for name in runs]),
        packages=VERSIONS,
    )
    measures = {"CPU": _cpu, "delay p50": _delay, "memory": _memory}
    rows = [
        [f"{shown(name)} / {shown(NAIVE)}"]
        + [f"{ratio(runs, name, NAIVE, of):.2f}" for of in measures.values()]
        for name in runs
        if name.startswith("photoanimer") and NAIVE in runs
    ]
    figures("peers-ratios", table(["ratio", *measures], rows), packages=VERSIONS[:2])


def show_summary(runs: Runs, tasks: int) -> None:
    """Print the costs of a few clients in two lines."""
    names = {COLD: "photoanimer-async", NAIVE: "aiohttp, by hand"} | {name: name for name in PEERS}
    some = [name for name in names if name in runs]
    rows = [
        [f"CPU s for 1,000 tasks, {tasks:,} at once"]
        + [f"{_median(runs, name, _cpu_of_1000):.2f}" for name in some],
        ["memory for a task in flight, KiB"]
        + [f"{_median(runs, name, _kib):.1f}" for name in some],
    ]
    figures(
        "peers-summary", table(["", *(names[name] for name in some)], rows), packages=["aiohttp"]
    )


def show_many(runs: Runs, tasks: int, repeats: int) -> None:
    """Print what a lot of tasks cost."""
    spent = _median(runs, COLD, lambda one: one.cpu / one.tasks)
    figures(
        "peers-many",
        f"{tasks:,} tasks at once, medians of {repeats}:",
        table(HEAD, [_row(runs, name) for name in runs]),
        f"Ours takes {ratio(runs, COLD, TUNED, _cpu):.2f} times the processor of "
        f"the tuned loop. A submit with its polls takes {1000 * spent:.2f} ms of a core, so a core "
        f"is busy with {1 / spent:,.0f} photos a second; videos of 1 MB each fill 1 Gbit/s at 120 "
        "a second.",
        packages=["aiohttp"],
    )


def print_goals(few: Runs, many: Runs, tasks: int, tasks_of_many: int) -> None:
    """Print the goals whose clients have run."""
    request = "CPU a request / tuned loop with its polls spread"
    goals = [
        Goal(f"{tasks:,} tasks: CPU / naive loop", ratio(few, COLD, NAIVE, _cpu), 0.95),
        Goal(f"{tasks:,} tasks: delay p50 / naive loop", ratio(few, COLD, NAIVE, _delay), 1.0),
        Goal(f"{tasks:,} tasks: CPU by animate_many / naive loop", _many(few, _cpu), 1.1),
        Goal(f"{tasks:,} tasks: delay p50 by animate_many / naive loop", _many(few, _delay), 1.0),
        Goal(f"{tasks:,} tasks: {request}", ratio(few, COLD, SPREAD, _cpu_of_request), 0.7),
        Goal(f"{tasks_of_many:,} tasks: CPU / tuned loop", ratio(many, COLD, TUNED, _cpu), 0.85),
    ]
    for goal in goals:
        if not math.isnan(goal.reached):
            goal.print()


def _many(runs: Runs, of: Callable[[Run], float]) -> float:
    return ratio(runs, MANY, NAIVE, of)


def main() -> None:
    """Run the chosen clients and print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--tasks", type=int, default=500)
    arguments.add_argument("--many", type=int, default=10_000, help="0: not")
    arguments.add_argument("--repeats", type=int, default=7)
    arguments.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    arguments.add_argument("--quick", action="store_true", help="100 and 200 tasks, two clients")
    arguments.add_argument("--drive", choices=CONTENDERS, help=argparse.SUPPRESS)
    arguments.add_argument("--origin", help=argparse.SUPPRESS)
    arguments.add_argument("--durations", type=Path, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.drive:
        drive(chosen.drive, chosen.origin, chosen.tasks, chosen.durations)
        return
    names, tasks, many, repeats = chosen.only, chosen.tasks, chosen.many, chosen.repeats
    if chosen.quick:
        names, tasks, many, repeats = list(QUICK), 100, 200, 1
    require_installed(names)
    runs = compare(tasks, repeats, names)
    show_costs(runs, tasks, repeats)
    show_summary(runs, tasks)
    runs_of_many: Runs = {}
    if many:
        runs_of_many = compare(many, repeats, WITH_MANY)
        show_many(runs_of_many, many, repeats)
    print_goals(runs, runs_of_many, tasks, many)


if __name__ == "__main__":
    os.environ.pop("PHOTOANIMER_API_KEY", None)
    main()
