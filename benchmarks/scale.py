"""How the cost of a task changes with the number of tasks in flight.

    python benchmarks/scale.py [--tasks 1000 10000 100000] [--repeats 5] [--real] [--quick]

Each run is a process of its own that waits for so many tasks with one `wait_all`. The tasks end
evenly over some seconds, so that the same number of polls goes out in a second whatever the
number of tasks; the service is a function, so that what is measured is the scheduler and the
policy. With `--real` it is a client that asks the stub (see `stub.py`) over loopback.

Memory is what `tracemalloc` has counted when all tasks are in flight, less what was there
before, ids included. The longest stall is the greatest delay of a callback that runs every
5 ms, all through; beside it stands the longest pause of the garbage collector, which looks at
all objects of the process now and then, the caller's too.
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

from machine import described, table
from stub import report, serving

from photoanimer_async import PhotoAnimerClient, PollScheduler, TaskId, TaskInfo, TaskStatus

FIRST_END = 3.0
A_SECOND = 4000
_EVERY = 0.005

WaitAll = Callable[[Sequence[str]], Awaitable[Any]]


def ids(tasks: int) -> list[str]:
    """Tasks that end one after the other."""
    begin = time.monotonic() + FIRST_END + tasks / 50_000
    return [f"due-{begin + number / A_SECOND:.5f}" for number in range(tasks)]


class FunctionService:
    """A service without a network."""

    def __init__(self) -> None:
        self.polls = 0

    async def get_task_info(self, task_id: TaskId) -> TaskInfo:
        """Whether the time that the id names is over."""
        self.polls += 1
        await asyncio.sleep(0)
        ended = time.monotonic() >= float(str(task_id)[4:])
        return TaskInfo(task_id, TaskStatus.FINISHED if ended else TaskStatus.PROCESSING)


@asynccontextmanager
async def function_waiting(_: str) -> AsyncIterator[tuple[WaitAll, Callable[[], int]]]:
    """`wait_all` of a scheduler alone, and how many polls it has made."""
    service = FunctionService()
    async with PollScheduler(service.get_task_info) as scheduler:
        yield scheduler.wait_all, lambda: service.polls


@asynccontextmanager
async def client_waiting(origin: str) -> AsyncIterator[tuple[WaitAll, Callable[[], int]]]:
    """`wait_all` of a client, and how many polls the stub has seen."""
    async with PhotoAnimerClient("key", base_url=f"{origin}/api/v1") as client:
        yield client.wait_all, lambda: int(report(origin)["polls"])


class Stalls:
    """Watches how late the loop is, and how long the garbage collector takes."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.longest_collection = 0.0
        self._collecting_since = 0.0
        gc.callbacks.append(self._collecting)
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + _EVERY
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        self.longest = max(self.longest, now - self._due)
        self._due = now + _EVERY
        self._timer = self._loop.call_at(self._due, self._look)

    def _collecting(self, phase: str, _: dict[str, int]) -> None:
        now = time.perf_counter()
        if phase == "start":
            self._collecting_since = now
        else:
            self.longest_collection = max(self.longest_collection, now - self._collecting_since)

    def stop(self) -> None:
        """Watches no more."""
        self._timer.cancel()
        gc.callbacks.remove(self._collecting)


async def cost(tasks: int, origin: str, *, memory: bool) -> dict[str, float]:
    """What it costs to wait for so many."""
    waiting = client_waiting(origin) if origin else function_waiting(origin)
    async with waiting as (wait_all, polls):
        if memory:
            tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        named = ids(tasks)
        stalls = Stalls()
        began = time.process_time()
        all_ended = asyncio.ensure_future(wait_all(named))
        held = 0
        if memory:
            await asyncio.sleep(FIRST_END / 2)
            held = tracemalloc.get_traced_memory()[0] - before
            all_ended.cancel()
            await asyncio.wait([all_ended])
            return {"memory": held / tasks}
        found = await all_ended
        cpu = time.process_time() - began
        stalls.stop()
        assert all(isinstance(info, TaskInfo) for info in found.values())
        assert len(found) == tasks
        made = polls()
    return {"cpu": cpu, "polls": made, "stall": stalls.longest, "gc": stalls.longest_collection}


def run(tasks: int, *, real: bool, memory: bool) -> dict[str, float]:
    """One process."""
    command = [sys.executable, __file__, "--tasks", str(tasks), "--run"]
    command += ["--memory"] if memory else []
    if real:
        with serving() as origin:
            output = subprocess.check_output([*command, "--origin", origin], text=True)  # noqa: S603 - this very file
    else:
        output = subprocess.check_output(command, text=True)  # noqa: S603 - likewise
    found: dict[str, float] = json.loads(output)
    return found


def main() -> None:
    """Prints the table."""
    arguments = argparse.ArgumentParser(description="Cost against the number of tasks.")
    arguments.add_argument("--tasks", type=int, nargs="+", default=[1000, 10_000, 100_000])
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--real", action="store_true", help="a client and the stub")
    arguments.add_argument("--quick", action="store_true", help="1,000 and 10,000, once")
    arguments.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    arguments.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    arguments.add_argument("--origin", default="", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.run:
        found = asyncio.run(cost(chosen.tasks[0], chosen.origin, memory=chosen.memory))
        sys.stdout.write(json.dumps(found))
        return
    sizes, repeats = ([1000, 10_000], 1) if chosen.quick else (chosen.tasks, chosen.repeats)
    runs: dict[int, list[dict[str, float]]] = {size: [] for size in sizes}
    for _ in range(repeats):
        for size in sizes:
            runs[size].append(run(size, real=chosen.real, memory=False))
    held = {size: run(size, real=chosen.real, memory=True)["memory"] for size in sizes}
    print(described("aiohttp"))
    print(
        f"\n{'a client and the stub' if chosen.real else 'the scheduler'}, medians of {repeats}:\n"
    )
    rows = []
    for size in sizes:
        mine = runs[size]
        rows.append(
            [
                f"{size:,}",
                f"{statistics.median(1e6 * one['cpu'] / one['polls'] for one in mine):.0f}",
                f"{statistics.median(1e6 * one['cpu'] / size for one in mine):.0f}",
                f"{statistics.median(one['polls'] / size for one in mine):.2f}",
                f"{held[size] / 1024:.2f}",
                f"{statistics.median(1e3 * one['stall'] for one in mine):.0f}",
                f"{statistics.median(1e3 * one['gc'] for one in mine):.0f}",
            ]
        )
    head = (
        "in flight",
        "CPU us / poll",
        "CPU us / task",
        "polls / task",
        "KiB / task",
        "stall, ms",
        "of it gc",
    )
    print(table(head, rows))


if __name__ == "__main__":
    main()
