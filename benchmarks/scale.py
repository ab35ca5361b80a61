"""Cost of a task against the number of tasks in flight.

    python benchmarks/scale.py [--tasks 10000 100000] [--repeats 3] [--real] [--quick]

Each run is a process of its own that waits for so many tasks with one `wait_all`. The tasks end
one after the other, evenly over 10 s whatever their number. The service is a function, so that
only the scheduler and the policy are measured. With `--real` it is a client that polls the stub
(see `stub.py`) over loopback.

Memory is measured in a run of its own, since that makes everything slower. It is what `tracemalloc`
has counted when all tasks are in flight, less what was there before, ids included.
The longest stall is the most CPU time between two calls of a callback that runs every 5 ms, so
that other load on the machine does not count. Beside it stands the longest pause of the garbage
collector, which visits all objects of the process, the caller's too.
"""

import argparse
import asyncio
import gc
import json
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from machine import Goal, figures, table
from stub import report, serving

from photoanimer_async import PhotoAnimerClient, PollScheduler, TaskId, TaskInfo, TaskStatus

FIRST_END, SPAN = 3.0, 10.0
LARGEST = 100_000
MOST_BYTES = 2048
_EVERY = 0.005

WaitAll = Callable[[Sequence[str]], Awaitable[Any]]
Waiting = tuple[WaitAll, Callable[[], int]]
"""Waits for all of these, and how many polls that has made."""


def ids(tasks: int, span: float) -> list[str]:
    """Return tasks that end one after the other, within so many seconds."""
    begin = time.monotonic() + FIRST_END
    return [f"due-{begin + span * number / tasks:.5f}" for number in range(tasks)]


class FunctionService:
    """A service without a network."""

    def __init__(self) -> None:
        self.polls = 0

    async def get_task_info(self, task_id: TaskId) -> TaskInfo:
        """Return whether the time in the id has passed."""
        self.polls += 1
        await asyncio.sleep(0)
        ended = time.monotonic() >= float(str(task_id)[4:])
        return TaskInfo(task_id, TaskStatus.FINISHED if ended else TaskStatus.PROCESSING)


@asynccontextmanager
async def function_waiting(_: str) -> AsyncIterator[Waiting]:
    """Return `wait_all` of a scheduler alone, and a count of its polls."""
    service = FunctionService()
    async with PollScheduler(service.get_task_info) as scheduler:
        yield scheduler.wait_all, lambda: service.polls


@asynccontextmanager
async def client_waiting(origin: str) -> AsyncIterator[Waiting]:
    """Return `wait_all` of a client, and a count of the polls that the stub got."""
    async with PhotoAnimerClient("key", base_url=f"{origin}/api/v1") as client:
        yield client.wait_all, lambda: int(report(origin)["polls"])


class Stalls:
    """The longest stalls of the loop and of the garbage collector, in CPU time."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.longest_collection = 0.0
        self._collecting_since = 0.0
        gc.callbacks.append(self._collecting)
        self._loop = asyncio.get_running_loop()
        self._called = time.thread_time()
        self._timer = self._loop.call_later(_EVERY, self._measure)

    def _measure(self) -> None:
        now = time.thread_time()
        self.longest = max(self.longest, now - self._called)
        self._called = now
        self._timer = self._loop.call_later(_EVERY, self._measure)

    def _collecting(self, phase: str, _: dict[str, int]) -> None:
        now = time.thread_time()
        if phase == "start":
            self._collecting_since = now
        else:
            self.longest_collection = max(self.longest_collection, now - self._collecting_since)

    def stop(self) -> None:
        """Stop measuring."""
        self._timer.cancel()
        gc.callbacks.remove(self._collecting)


async def cpu(named: Sequence[str], waiting: Waiting) -> dict[str, float]:
    """Return polls and CPU seconds until all tasks have ended, and the longest stalls."""
    wait_all, polls = waiting
    stalls = Stalls()
    began = time.process_time()
    found = await wait_all(named)
    spent = time.process_time() - began
    stalls.stop()
    assert len(found) == len(named)
    assert all(isinstance(info, TaskInfo) for info in found.values())
    stalled = {"stall": stalls.longest, "gc": stalls.longest_collection}
    return {"cpu": spent, "polls": polls()} | stalled


async def memory(named: Sequence[str], waiting: Waiting) -> dict[str, float]:
    """Return bytes for each task in flight."""
    wait_all, _ = waiting
    # What is the caller's was there before, so it is counted here by its size alone.
    before = tracemalloc.get_traced_memory()[0] - sum(map(sys.getsizeof, named))
    all_ended = asyncio.ensure_future(wait_all(named))
    await asyncio.sleep(FIRST_END / 2)
    held = tracemalloc.get_traced_memory()[0] - before
    all_ended.cancel()
    await asyncio.wait([all_ended])
    return {"memory": held / len(named)}


MEASURES = {"cpu": cpu, "memory": memory}


async def measured(what: str, tasks: int, origin: str, span: float) -> dict[str, float]:
    """Return one measure of waiting for so many tasks."""
    opened = client_waiting(origin) if origin else function_waiting(origin)
    async with opened as waiting:
        if what == "memory":
            tracemalloc.start()
        return await MEASURES[what](ids(tasks, span), waiting)


def run(what: str, tasks: int, span: float, *, real: bool) -> dict[str, float]:
    """Measure in one process."""
    command = [sys.executable, __file__, "--tasks", str(tasks), "--span", str(span)]
    command += ["--measure", what]
    if real:
        with serving() as origin:
            output = subprocess.check_output([*command, "--origin", origin], text=True)  # noqa: S603 - this very file
    else:
        output = subprocess.check_output(command, text=True)  # noqa: S603 - likewise
    found: dict[str, float] = json.loads(output)
    return found


HEAD = (
    "in flight",
    "CPU us a poll",
    "CPU us a task",
    "polls a task",
    "KiB a task",
    "longest stall, ms",
    "of that, the garbage collector",
)


def _row(tasks: int, mine: Sequence[dict[str, float]]) -> list[str]:
    def median(of: Callable[[dict[str, float]], float]) -> float:
        return statistics.median(of(one) for one in mine)

    return [
        f"{tasks:,}",
        f"{median(lambda one: 1e6 * one['cpu'] / one['polls']):.0f}",
        f"{median(lambda one: 1e6 * one['cpu'] / tasks):.0f}",
        f"{median(lambda one: one['polls'] / tasks):.2f}",
        f"{median(lambda one: one['memory'] / 1024):.2f}",
        f"{median(lambda one: 1e3 * one['stall']):.0f}",
        f"{median(lambda one: 1e3 * one['gc']):.0f}",
    ]


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description="Cost against the number of tasks.")
    arguments.add_argument("--tasks", type=int, nargs="+", default=[10_000, LARGEST])
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--real", action="store_true", help="a client and the stub")
    arguments.add_argument("--quick", action="store_true", help="1,000 tasks within 1 s, once")
    arguments.add_argument("--span", type=float, default=SPAN, help=argparse.SUPPRESS)
    arguments.add_argument("--measure", choices=MEASURES, help=argparse.SUPPRESS)
    arguments.add_argument("--origin", default="", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.measure:
        found = asyncio.run(measured(chosen.measure, chosen.tasks[0], chosen.origin, chosen.span))
        sys.stdout.write(json.dumps(found))
        return
    sizes, repeats, span = chosen.tasks, chosen.repeats, chosen.span
    if chosen.quick:
        sizes, repeats, span = [1000], 1, 1.0
    runs: dict[int, list[dict[str, float]]] = {size: [] for size in sizes}
    for _ in range(repeats):
        for size in sizes:
            found = {}
            for what in MEASURES:
                found |= run(what, size, span, real=chosen.real)
            runs[size].append(found)
    who = "a client and the stub" if chosen.real else "the scheduler alone"
    figures(
        "scale",
        f"Tasks that end one after the other within {span:g} s; {who}, medians of {repeats}:",
        table(HEAD, [_row(size, runs[size]) for size in sizes]),
        packages=["aiohttp"],
    )
    if LARGEST in runs:
        longest = 1000 * statistics.median(one["stall"] for one in runs[LARGEST])
        Goal(f"longest stall at {LARGEST:,} tasks", longest, 40, "ms").print()
    held = max(one["memory"] for mine in runs.values() for one in mine)
    assert held < MOST_BYTES, f"{held:.0f} bytes for a task in flight, not {MOST_BYTES}"


if __name__ == "__main__":
    main()
