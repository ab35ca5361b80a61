"""Counts that hardly depend on the machine: function calls, allocations, modules, requests.

    python benchmarks/counts.py [--only NAME ...] [--details] [--json] [--quick]

Calls are those of Python and C functions, as cProfile counts them; other load on the machine does
not change them. They depend a little on how many answers arrive in one turn of the event loop, so
that the least of several rounds counts. `tests/test_costs.py` bounds the counts that take no time.
With `--details` it shows where a count comes from: the functions called most, the modules, the
lines that allocate. `--quick` takes 50 tasks in place of 500.
"""

import argparse
import asyncio
import cProfile
import io
import json
import logging
import os
import pstats
import statistics
import subprocess
import sys
import tempfile
import threading
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Self

import contenders
import numpy as np
import overhead
import polling
from attrs import frozen
from machine import Goal, figures, table
from scale import FunctionService
from stub import report, serving

import photoanimer_async
from photoanimer_async import FixedInterval, PhotoAnimerClient, PollScheduler
from photoanimer_async.engine.samples import ASTRONAUT

ROUNDS, REQUESTS, TOGETHER = 3, 128, 100
TASKS, FEW = 500, 50
LINES = 40
ROOT = str(Path(str(photoanimer_async.__file__)).parent) + os.sep
DOUBLE = """
import sys
from photoanimer_async.testing import PhotoAnimerServer
with PhotoAnimerServer() as double:
    print(double.base_url, double.api_key, flush=True)
    sys.stdin.read()
"""


@frozen
class Count:
    """A count, and where it comes from."""

    value: float
    details: str = ""

    def less(self, other: "Count") -> "Count":
        """Return what this is more than another."""
        return Count(self.value - other.value, self.details)


# --- function calls ---


async def calls(batch: overhead.Batch, requests: int, rounds: int = ROUNDS) -> Count:
    """Return the least function calls for one request, and the functions called most."""
    found = [await _calls_once(batch, requests) for _ in range(rounds)]
    return min(found, key=lambda count: count.value)


async def _calls_once(batch: overhead.Batch, requests: int) -> Count:
    profile = cProfile.Profile()
    profile.enable()
    try:
        await batch(requests)
    finally:
        profile.disable()
    text = io.StringIO()
    pstats.Stats(profile, stream=text).sort_stats("ncalls").print_stats(LINES)
    total = sum(entry.callcount for entry in profile.getstats())
    return Count(total / requests, text.getvalue())


def calls_of_request(kind: int) -> Count:
    """Count for a submit (0) or a poll (1) what the client adds to aiohttp."""

    async def counted() -> Count:
        async with overhead.opened(origin, REQUESTS) as layers:
            bare = await calls(layers[kind]["aiohttp"], REQUESTS)
            return (await calls(layers[kind]["client"], REQUESTS)).less(bare)

    with serving() as origin:
        return asyncio.run(counted())


def calls_of_photo() -> Count:
    """Count for a photo in `animate_many` whose task has ended when it is first polled."""

    async def counted() -> Count:
        async with PhotoAnimerClient(
            "key", base_url=f"{origin}/api/v1", poll=FixedInterval(0.05)
        ) as client:

            async def batch(photos: int) -> None:
                async for outcome in client.animate_many(urls(photos), in_flight=photos):
                    outcome.unwrap()

            return await calls(batch, TOGETHER)

    with serving(slowness=0) as origin:
        return asyncio.run(counted())


def urls(count: int) -> list[str]:
    """Return so many URLs of photos."""
    return [f"http://127.0.0.1:9/{number}.jpg" for number in range(count)]


# --- requests and calls of the policy, in the simulation ---


@cache
def simulated() -> tuple[Count, Count]:
    """Count polls of 500 short tasks in the simulation, cold; and the policy's calls for a poll."""
    tasks = polling.short(np.random.default_rng(100), polling.TASKS)
    simulation = polling.Simulation(polling.policy(0.3), tasks, polling.TASKS, seed=1)
    point = None

    async def batch(_: int) -> None:
        nonlocal point
        point = simulation.run()

    found = asyncio.run(calls(batch, 1, rounds=1))
    assert point is not None
    return Count(point.polls, str(point)), Count(found.value / simulation.polls, found.details)


# --- allocations ---


def blocks_of_waiting_task() -> Count:
    """Count the blocks that stay allocated for a task in `wait_all`."""

    @asynccontextmanager
    async def waiting() -> AsyncIterator[None]:
        ids = [f"due-{10**9 + number}" for number in range(1000)]
        async with PollScheduler(FunctionService().get_task_info) as scheduler:
            waiter = asyncio.ensure_future(scheduler.wait_all(ids))
            await asyncio.sleep(0.05)
            yield
            waiter.cancel()
            with suppress(asyncio.CancelledError):
                await waiter

    return asyncio.run(_blocks(waiting(), 1000))


def blocks_of_photo() -> Count:
    """Count the blocks that stay allocated for a photo in `animate_many` whose task goes on."""

    @asynccontextmanager
    async def animating() -> AsyncIterator[None]:
        async with PhotoAnimerClient("key", base_url=f"{origin}/api/v1") as client:

            async def drain() -> None:
                async for _ in client.animate_many(urls(TOGETHER), in_flight=TOGETHER):
                    pass

            batch = asyncio.ensure_future(drain())
            while (await asyncio.to_thread(report, origin))["submits"] < TOGETHER:  # noqa: ASYNC110 - the stub is another process
                await asyncio.sleep(0.1)
            yield
            batch.cancel()
            with suppress(asyncio.CancelledError):
                await batch

    with serving(slowness=1000) as origin:
        return asyncio.run(_blocks(animating(), TOGETHER))


def least(take: Callable[[], Count]) -> Count:
    """Return the least of several counts: tables that happen to grow are not counted."""
    return min((take() for _ in range(ROUNDS)), key=lambda count: count.value)


async def _blocks(held: AbstractAsyncContextManager[None], tasks: int) -> Count:
    tracemalloc.start()
    before = tracemalloc.take_snapshot()
    async with held:
        after = tracemalloc.take_snapshot()
    tracemalloc.stop()
    changes = after.compare_to(before, "lineno")
    lines = "\n".join(str(change) for change in changes[:LINES])
    return Count(sum(change.count_diff for change in changes) / tasks, lines)


# --- modules ---


def modules_of_import() -> Count:
    """Count the modules that the client's import adds to its four dependencies'."""
    code = (
        "import aiohttp, attrs, backoff, cattrs, sys; before = set(sys.modules)\n"
        "from photoanimer_async import PhotoAnimerClient\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.check_output(command, text=True).split()  # noqa: S603 - code of this file
    return Count(len(found), "\n".join(found))


class Route:
    """The modules of this package that are entered, in all threads, in their order."""

    def __init__(self) -> None:
        self.modules: list[str] = []

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Note a call, as `sys.setprofile` wants it."""
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(ROOT):
            module = name.removeprefix(ROOT).removesuffix(".py")
            if not self.modules or self.modules[-1] != module:
                self.modules.append(module)

    def __enter__(self) -> Self:
        self.modules.clear()
        threading.setprofile(self)
        sys.setprofile(self)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)


@cache
def animated() -> tuple[Count, Count]:
    """Count the modules that one `animate(path, save_to=...)` enters, and changes between them."""

    async def shortest(base_url: str, key: str) -> list[str]:
        found = []
        with tempfile.TemporaryDirectory() as folder:
            photo = Path(folder) / "a.jpg"
            photo.write_bytes(ASTRONAUT.read_bytes())
            route = Route()
            async with PhotoAnimerClient(key, base_url=base_url, poll=FixedInterval(0.2)) as client:
                with route:  # threads that begin now are counted later too
                    await client.animate(photo, save_to=Path(folder, "0"))
                for number in range(1, ROUNDS + 1):
                    route.modules.clear()
                    with route:
                        await client.animate(photo, save_to=Path(folder, str(number)))
                    found.append(route.modules[:])
        return min(found, key=len)

    with subprocess.Popen(  # noqa: S603 - code of this file
        [sys.executable, "-c", DOUBLE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as double:
        assert double.stdout is not None
        route = asyncio.run(shortest(*double.stdout.readline().split()))
        double.communicate()
    changes = Counter(pairwise(route))
    return (
        Count(len(set(route)), "\n".join(sorted(set(route)))),
        Count(len(route), "\n".join(f"{n} {a} -> {b}" for (a, b), n in changes.most_common())),
    )


# --- a batch of 500, beside the naive loop ---


def calls_of_batch(name: str, tasks: int, seed: int) -> tuple[float, float]:
    """Return the calls for one of so many tasks at once, and the delay that half do not exceed."""

    async def batch(count: int) -> None:
        assert await contenders.CONTENDERS[name].drive(origin, count) == count

    with serving(seed) as origin:
        found = asyncio.run(calls(batch, tasks, rounds=1))
        return found.value, statistics.median(report(origin)["delays"])


@frozen
class Kind:
    """What is counted, and how."""

    meaning: str
    take: Callable[[], Count]


KINDS = {
    "submit": Kind("calls of a submit above aiohttp's", lambda: calls_of_request(0)),
    "poll": Kind("calls of a poll above aiohttp's", lambda: calls_of_request(1)),
    "photo": Kind("calls of a photo in `animate_many`, polled once", calls_of_photo),
    "plan": Kind("calls of `AdaptivePolling` for a poll, cold", lambda: simulated()[1]),
    "polls": Kind("polls of a short task, cold", lambda: simulated()[0]),
    "waiting": Kind(
        "blocks allocated for a task in `wait_all`", lambda: least(blocks_of_waiting_task)
    ),
    "in flight": Kind("blocks allocated for a photo in flight", lambda: least(blocks_of_photo)),
    "imports": Kind("modules imported beyond the dependencies'", modules_of_import),
    "modules": Kind("modules that `animate(path, save_to=)` enters", lambda: animated()[0]),
    "changes": Kind("changes between them", lambda: animated()[1]),
}
BATCHES = {
    "naive": ("aiohttp, naive", None),
    "photoanimer, cold": ("submit and wait", 1.0),
    "photoanimer many, cold": ("`animate_many`", 1.1),
}
"""Contenders, as they are shown, and the most calls in shares of the naive loop's."""


def show_batches(tasks: int, rounds: int) -> None:
    """Print the calls of a batch against the naive loop's, and the goals."""
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in BATCHES}
    for seed in range(rounds):
        for name, mine in runs.items():
            mine.append(calls_of_batch(name, tasks, seed))
    medians = {
        name: [statistics.median(of) for of in zip(*mine, strict=True)]
        for name, mine in runs.items()
    }
    naive, naive_delay = medians["naive"]
    rows = []
    for name, (shown, bound) in BATCHES.items():
        mine, delay = medians[name]
        rows.append([shown, f"{mine:,.0f}", f"{mine / naive:.2f}", f"{delay:.2f}"])
        if bound is not None:
            Goal(f"{tasks} tasks: calls a task, {shown} / naive loop", mine / naive, bound).print()
            Goal(
                f"{tasks} tasks: delay p50, {shown} / naive loop", delay / naive_delay, 1.0
            ).print()
    figures(
        "counts-batch",
        f"{tasks} tasks at once, cold; medians of {rounds}:",
        table(["client", "calls a task", "ratio", "delay p50, s"], rows),
        packages=["aiohttp"],
    )


def main() -> None:
    """Print the counts."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--only", nargs="+", choices=KINDS, help="these counts, no batches")
    arguments.add_argument("--details", action="store_true", help="show where they come from")
    arguments.add_argument("--json", action="store_true", help="print the numbers alone")
    arguments.add_argument("--quick", action="store_true", help=f"batches of {FEW} tasks")
    chosen = arguments.parse_args()
    logging.disable()  # a batch is stopped while its tasks go on
    found = {name: KINDS[name].take() for name in chosen.only or KINDS}
    if chosen.json:
        print(json.dumps({name: count.value for name, count in found.items()}))
        return
    if chosen.details:
        for name, count in found.items():
            print(f"\n{name}: {KINDS[name].meaning}: {count.value:g}\n{count.details}")
    rows = [[KINDS[name].meaning, f"{count.value:,.4g}"] for name, count in found.items()]
    figures("counts", table(["count", "now"], rows), packages=["aiohttp", "attrs", "cattrs"])
    if not chosen.only:
        show_batches(*((FEW, 1) if chosen.quick else (TASKS, ROUNDS)))


if __name__ == "__main__":
    main()
