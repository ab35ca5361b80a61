"""Cost of the journal: the same batch with it and without it, against the same stub service.

Run it on a machine that does nothing else::

    python benchmarks/journal.py [--tasks 2000] [--repeats 15] [--memory 10000] [--million]

Every run has a stub process (see `stub.py`) and a client process of its own. Runs with and
without a journal alternate, so that ratios are measured side by side; figures are medians. The
batch is `animate_many` on image URLs without downloads: each photo is planned, submitting,
submitted and finished in the journal. CPU is that of the client process with all its threads,
from the first submit to the last outcome. Memory is the growth of the process's peak for each
photo, when all are in flight at once.

`--million` runs a generator of a million photos that are all refused before they are submitted,
and shows that memory does not grow with their number.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from machine import Goal, figures, peak_memory, table
from stub import serving

from photoanimer_async import PhotoAnimerClient

KEY = "key"
HALFWAY = 100_000


def urls(count: int) -> Iterator[str]:
    """Return so many different photo URLs."""
    return (f"http://127.0.0.1:9/{number}.jpg" for number in range(count))


async def drive(origin: str, tasks: int, journal: Path | None) -> dict[str, float]:
    """Run one batch; return what it cost this process."""
    async with PhotoAnimerClient(KEY, base_url=f"{origin}/api/v1") as client:
        memory, cpu, begun = peak_memory(), time.process_time(), time.monotonic()
        done = 0
        async for outcome in client.animate_many(urls(tasks), journal=journal, in_flight=tasks):
            done += outcome.ok
        assert done == tasks
        return {
            "cpu": time.process_time() - cpu,
            "wall": time.monotonic() - begun,
            "memory": (peak_memory() - memory) / tasks,
        }


async def refuse_a_million(journal: Path | None) -> dict[str, float]:
    """Run a million photos that do not exist, so that only pulling and planning remain."""
    half = 0.0
    async with PhotoAnimerClient(KEY, base_url="http://127.0.0.1:9/api/v1") as client:
        ended = 0
        missing = (f"/nowhere/{number}.jpg" for number in range(1_000_000))
        async for outcome in client.animate_many(missing, journal=journal):
            assert not outcome.ok
            ended += 1
            if ended == HALFWAY:
                half = peak_memory()
    return {"early": half / 2**20, "late": peak_memory() / 2**20}


def child(*arguments: str) -> dict[str, float]:
    """Do one run in a process of its own."""
    done = subprocess.run(  # noqa: S603 - this very file
        [sys.executable, __file__, "--child", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def compared(tasks: int, repeats: int) -> dict[bool, list[dict[str, float]]]:
    """Return what each run without (`False`) and with a journal (`True`) cost."""
    found: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    for repeat in range(repeats):
        for journaled in (False, True) if repeat % 2 else (True, False):
            with serving(repeat) as origin, tempfile.TemporaryDirectory() as folder:
                journal = str(Path(folder) / "batch.db") if journaled else ""
                found[journaled].append(child(origin, str(tasks), journal))
    return found


def median(runs: list[dict[str, float]], name: str) -> float:
    """Return the median of a cost."""
    return statistics.median(run[name] for run in runs)


def run_child(arguments: list[str]) -> dict[str, float]:
    """Do what a child process is started for."""
    if arguments[0] == "million":
        return asyncio.run(refuse_a_million(None))
    origin, tasks, journal = arguments
    return asyncio.run(drive(origin, int(tasks), Path(journal) if journal else None))


def main() -> None:
    """Run the chosen measurements and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--memory", type=int, default=10_000)
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--quick", action="store_true", help="50 tasks, once")
    parser.add_argument("--child", nargs="*", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        print(json.dumps(run_child(chosen.child)))
        return
    tasks, repeats, in_flight = chosen.tasks, chosen.repeats, chosen.memory
    if chosen.quick:
        tasks, repeats, in_flight = 50, 1, 100
    costs, held = compared(tasks, repeats), compared(in_flight, 1)
    pairs = zip(costs[True], costs[False], strict=True)
    ratio = statistics.median(kept["cpu"] / plain["cpu"] for kept, plain in pairs)
    rows = [
        [
            name,
            f"{1e6 * median(costs[journaled], 'cpu') / tasks:.0f}",
            shown,
            f"{median(costs[journaled], 'wall'):.1f}",
            f"{median(held[journaled], 'memory') / 1024:.1f}",
        ]
        for journaled, name, shown in ((False, "none", "1.00"), (True, "a file", f"{ratio:.2f}"))
    ]
    figures(
        "journal",
        f"{tasks:,} photos, medians of {repeats}; memory with {in_flight:,} in flight, once:",
        table(["journal", "CPU us a photo", "ratio", "wall, s", "KiB a photo"], rows),
        packages=["aiohttp"],
    )
    Goal("CPU of a batch with a journal / without", ratio, 1.05).print()
    if chosen.million:
        found_million = child("million")
        print(
            f"a million photos: peak {found_million['early']:.0f} MiB after 100,000, "
            f"{found_million['late']:.0f} MiB after all"
        )


if __name__ == "__main__":
    main()
