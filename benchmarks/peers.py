"""Cost of submitting and polling, beside other clients, against the same stub service.

Run it on a machine that does nothing else::

    pip install -e '.[bench,speed]'
    python benchmarks/peers.py [--tasks 500 2000] [--repeats 5] [--only NAME ...] [--quick]

Every run has a stub process (see `stub.py`) and a client process, measured from the first submit
to the last result. Clients alternate within each repeat, so that ratios are measured side by
side; figures are medians of the repeats.

- **naive**: aiohttp without tuning: a coroutine for each task, `params=`, `response.json()`, an
  interval of 1 s.
- **tuned**: the same without everything that a plain aiohttp loop can do without: prebuilt encoded
  URLs, `read()` and `json.loads`, no cookies, enough connections.
- **tuned, spread**: the same with intervals between 0.5 and 1.5 s. The other loops poll all tasks
  at the same instants, which loads the service in bursts but is cheap, as the processor's caches
  stay warm. A client that spreads its requests is to be compared with this one.
- **photoanimer**: 64 submitters and `wait_all`; `many` is `animate_many` on image URLs; `warm`
  starts with the durations of an earlier run.
- the peers: their own async clients, in their own request shapes, with an interval of 1 s if it
  can be set. Those that have no call that polls get a loop around their `get`.

CPU is that of the client process. Delay is from the end of a task to the service's first answer
that says so. Memory is the growth of the process's peak, for each task.
"""

import argparse
import asyncio
import importlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from types import ModuleType
from typing import TYPE_CHECKING, Any

import aiohttp
from attrs import frozen
from machine import described, peak_memory, table
from stub import report, serving
from yarl import URL

if TYPE_CHECKING:
    from photoanimer_async import TaskId

API = "/api/v1"
KEY = "key"
INTERVAL = 1.0
LIMIT = 90.0
SUBMITTERS, TOGETHER = 64, 50
IMAGE = "http://127.0.0.1:9/photo.jpg"

Drive = Callable[[str, int], Awaitable[int]]
"""Brings so many tasks of the stub at this origin to their ends; gives how many got there."""


async def _each(one: Callable[[], Awaitable[bool]], tasks: int) -> int:
    """Run a coroutine for each task; return how many finished in time."""
    running = [asyncio.ensure_future(one()) for _ in range(tasks)]
    done, late = await asyncio.wait(running, timeout=LIMIT)
    for task in late:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    return sum(task.exception() is None and task.result() for task in done)


# --- bare aiohttp ---


async def naive(origin: str, tasks: int) -> int:
    """Submit and poll with aiohttp, without tuning."""
    base = f"{origin}{API}/faceDriven"
    async with aiohttp.ClientSession(headers={"APIKEY": KEY}) as session:

        async def one() -> bool:
            submit = {"imageUrl": IMAGE, "templateId": "1"}
            async with session.get(f"{base}/submitTaskByUrl", params=submit) as response:
                task_id = (await response.json())["data"]
            while True:
                await asyncio.sleep(INTERVAL)
                asked = {"taskId": str(task_id)}
                async with session.get(f"{base}/getTaskInfo", params=asked) as response:
                    if (await response.json())["data"]["status"] == 1:
                        return True

        return await _each(one, tasks)


async def tuned(origin: str, tasks: int, spread: float = 0.0) -> int:
    """Submit and poll with as little work as aiohttp allows."""
    rng = Random(1)  # noqa: S311 - jitter, no secret
    base = f"{origin}{API}/faceDriven"
    submit = URL(f"{base}/submitTaskByUrl?templateId=1&imageUrl={IMAGE}", encoded=True)
    async with aiohttp.ClientSession(
        headers={"APIKEY": KEY},
        connector=aiohttp.TCPConnector(limit=150),
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:

        async def one() -> bool:
            async with session.get(submit) as response:
                task_id = json.loads(await response.read())["data"]
            url = URL(f"{base}/getTaskInfo?taskId={task_id}", encoded=True)
            while True:
                await asyncio.sleep(INTERVAL * rng.uniform(1 - spread, 1 + spread))
                async with session.get(url) as response:
                    if json.loads(await response.read())["data"]["status"] == 1:
                        return True

        return await _each(one, tasks)


# --- this client ---


async def photoanimer(origin: str, tasks: int, durations: Path | None = None) -> int:
    """Submit with 64 coroutines; `wait_all` for every fifty tasks."""
    package = _photoanimer()
    ended = 0
    remaining = iter(range(tasks))
    submitted: list[TaskId] = []
    async with package.PhotoAnimerClient(
        KEY, base_url=origin + API, durations_file=durations
    ) as client:

        async def submit(waits: asyncio.TaskGroup) -> None:
            for _ in remaining:
                submitted.append(await client.submit(IMAGE))
                if len(submitted) == TOGETHER:
                    waits.create_task(wait(submitted[:]))
                    submitted.clear()

        async def wait(some: Sequence["TaskId"]) -> None:
            nonlocal ended
            found = await client.wait_all(some, timeout=LIMIT)
            ended += sum(isinstance(info, package.TaskInfo) for info in found.values())

        async with asyncio.TaskGroup() as waits:
            async with asyncio.TaskGroup() as submits:
                for _ in range(SUBMITTERS):
                    submits.create_task(submit(waits))
            waits.create_task(wait(submitted))
    return ended


async def photoanimer_many(origin: str, tasks: int, durations: Path | None = None) -> int:
    """Run `animate_many` on image URLs."""
    ended = 0
    client_type = _photoanimer().PhotoAnimerClient
    async with client_type(KEY, base_url=origin + API, durations_file=durations) as client:
        photos = (IMAGE for _ in range(tasks))
        async for outcome in client.animate_many(photos, in_flight=tasks, timeout=LIMIT):
            ended += outcome.ok
    return ended


def _photoanimer() -> ModuleType:
    # Loaded here, so that it weighs on no other client's memory and garbage collections.
    return importlib.import_module("photoanimer_async")


# --- peers ---


async def runpod(origin: str, tasks: int) -> int:
    """Call `run` and `output`."""
    package: Any = importlib.import_module("runpod")
    package.endpoint_url_base = f"{origin}/runpod/v2"
    package.api_key = KEY
    async with package.http_client.AsyncClientSession() as session:
        endpoint = package.AsyncioEndpoint("e", session)

        async def one() -> bool:
            job = await endpoint.run({"image": IMAGE})
            return bool(await job.output(timeout=LIMIT) == "x")

        return await _each(one, tasks)


async def openai(origin: str, tasks: int) -> int:
    """Call `create_and_poll`."""
    package = importlib.import_module("openai")
    async with package.AsyncOpenAI(api_key=KEY, base_url=f"{origin}/openai/v1") as client:

        async def one() -> bool:
            video = await client.videos.create_and_poll(prompt="x", poll_interval_ms=1000)
            return bool(video.status == "completed")

        return await _each(one, tasks)


async def runwayml(origin: str, tasks: int) -> int:
    """Call `create` and `wait_for_task_output`."""
    package = importlib.import_module("runwayml")
    polling: Any = importlib.import_module("runwayml.lib.polling")
    polling.POLL_TIME, polling.POLL_JITTER = INTERVAL, 0.0
    async with package.AsyncRunwayML(api_key=KEY, base_url=f"{origin}/runwayml") as client:

        async def one() -> bool:
            task = await client.image_to_video.create(
                model="gen4_turbo", prompt_image=IMAGE, ratio="1280:720", duration=5
            )
            found = await task.wait_for_task_output(timeout=LIMIT)
            return bool(found.status == "SUCCEEDED")

        return await _each(one, tasks)


async def replicate(origin: str, tasks: int) -> int:
    """Call `async_create` and `async_wait`."""
    package = importlib.import_module("replicate")
    client = package.Client(api_token=KEY, base_url=f"{origin}/replicate")
    client.poll_interval = INTERVAL

    async def one() -> bool:
        prediction = await client.predictions.async_create(version="v" * 64, input={"image": "x"})
        await prediction.async_wait()
        return bool(prediction.status == "succeeded")

    return await _each(one, tasks)


async def fal(origin: str, tasks: int) -> int:
    """Call `submit` and `get`."""
    module = importlib.import_module("fal_client.client")
    module.__dict__["QUEUE_URL_FORMAT"] = f"{origin}/fal/"
    client = module.AsyncClient(key=KEY)

    async def one() -> bool:
        handle = await client.submit("a/app", arguments={"image_url": IMAGE})
        return "video" in await handle.get(interval=INTERVAL)

    return await _each(one, tasks)


async def elevenlabs(origin: str, tasks: int) -> int:
    """Call `create`, and `get` in a loop."""
    package = importlib.import_module("elevenlabs.client")
    client = package.AsyncElevenLabs(api_key=KEY, base_url=f"{origin}/elevenlabs")

    async def one() -> bool:
        created = await client.dubbing.create(source_url=IMAGE, target_lang="es")
        while (await client.dubbing.get(created.dubbing_id)).status != "dubbed":  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(INTERVAL)
        return True

    return await _each(one, tasks)


@frozen
class Contender:
    """One client.

    Attributes:
        drive: submits tasks and waits for them.
        needs: the package that must be installed.
        fast_loop: whether it runs on uvloop.
        warm: whether it starts with the durations of an earlier run.
    """

    drive: Callable[..., Awaitable[int]]
    needs: str = "aiohttp"
    fast_loop: bool = False
    warm: bool = False


OURS_NEEDS = "photoanimer_async.client"
CONTENDERS = {
    "naive": Contender(naive),
    "tuned": Contender(tuned),
    "tuned, spread": Contender(partial(tuned, spread=0.5)),
    "tuned, uvloop": Contender(tuned, fast_loop=True),
    "photoanimer, cold": Contender(photoanimer, OURS_NEEDS),
    "photoanimer, warm": Contender(photoanimer, OURS_NEEDS, warm=True),
    "photoanimer, warm, uvloop": Contender(photoanimer, OURS_NEEDS, fast_loop=True, warm=True),
    "photoanimer many, warm": Contender(photoanimer_many, OURS_NEEDS, warm=True),
    "runpod": Contender(runpod, "runpod"),
    "openai": Contender(openai, "openai"),
    "runwayml": Contender(runwayml, "runwayml"),
    "replicate": Contender(replicate, "replicate"),
    "fal": Contender(fal, "fal_client"),
    "elevenlabs": Contender(elevenlabs, "elevenlabs"),
}
QUICK = ("tuned", "photoanimer, cold")
PEERS = ("runpod", "openai", "runwayml", "replicate", "fal_client", "elevenlabs")
OURS = tuple(name for name in CONTENDERS if name.startswith("photoanimer"))


@frozen
class Run:
    """The cost of one run.

    Attributes:
        cpu: seconds of the client process.
        wall: seconds from the first submit to the last result.
        polls: number of polls.
        tasks: number of submits.
        ended: tasks that the client found finished.
        delays: seconds from each task's end to the poll that found it.
        connections: connections that the stub has accepted.
        memory: growth in bytes.
        longest: seconds that the longest task took.
    """

    cpu: float
    wall: float
    polls: int
    tasks: int
    ended: int
    delays: Sequence[float]
    connections: int
    memory: int
    longest: float

    @property
    def requests(self) -> int:
        """Submits and polls."""
        return self.polls + self.tasks

    def delay(self, share: float) -> float:
        """Return the delay in seconds that this share of the tasks did not exceed."""
        ordered = sorted(self.delays)
        return ordered[round(share * (len(ordered) - 1))] if ordered else float("nan")


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
        delays=found["delays"],
        connections=found["connections"],
        longest=found["longest"],
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
        cpu, wall = time.process_time(), time.monotonic()
        ended = runner.run(_awaited(contender.drive(origin, tasks, **more)))
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    cost = {"cpu": cpu, "wall": wall, "ended": ended, "memory": peak_memory() - before}
    sys.stdout.write(json.dumps(cost) + "\n")


async def _awaited(ended: Awaitable[int]) -> int:
    return await ended


def _installed(contender: Contender) -> bool:
    needed = [contender.needs, *(["uvloop"] if contender.fast_loop else [])]
    return all(importlib.util.find_spec(package) is not None for package in needed)


def compare(tasks: int, repeats: int, names: Sequence[str]) -> dict[str, list[Run]]:
    """Run all of these clients, alternating."""
    runs: dict[str, list[Run]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        durations = Path(folder) / "durations.json"
        if any(CONTENDERS[name].warm for name in names):
            run("photoanimer, warm", tasks, 99, durations)
        for repeat in range(repeats):
            for name in names:
                _say(f"{tasks} tasks, repeat {repeat + 1} of {repeats}: {name}")
                try:
                    runs[name].append(run(name, tasks, 1 + repeat, durations))
                except subprocess.SubprocessError as error:
                    _say(f"{name}: {type(error).__name__}")
    return {name: found for name, found in runs.items() if found}


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _median(runs: Sequence[Run], of: Callable[[Run], float]) -> float:
    return statistics.median(of(one) for one in runs)


def _ratio(runs: dict[str, list[Run]], name: str, other: str, of: Callable[[Run], float]) -> str:
    """Return the median ratio of runs that alternated, so that other load weighs on both."""
    if name not in runs or other not in runs:
        return "-"
    pairs = zip(runs[name], runs[other], strict=False)
    return f"{statistics.median(of(a) / of(b) for a, b in pairs):.2f}"


HEAD = (
    "client",
    "CPU s / 1,000 tasks",
    "CPU us / request",
    "of tuned's",
    "of spread's",
    "polls / task",
    "delay p50, s",
    "p99, s",
    "wall - longest, s",
    "connections",
    "KiB / task",
    "lost",
)


def _row(name: str, runs: dict[str, list[Run]]) -> list[str]:
    mine = runs[name]
    return [
        name,
        f"{_median(mine, lambda one: 1000 * one.cpu / one.tasks):.2f}",
        f"{_median(mine, lambda one: 1e6 * one.cpu / one.requests):.0f}",
        _ratio(runs, name, "tuned", lambda one: one.cpu / one.requests),
        _ratio(runs, name, "tuned, spread", lambda one: one.cpu / one.requests),
        f"{_median(mine, lambda one: one.polls / one.tasks):.2f}",
        f"{_median(mine, lambda one: one.delay(0.5)):.2f}",
        f"{_median(mine, lambda one: one.delay(0.99)):.2f}",
        f"{_median(mine, lambda one: one.wall - one.longest):.2f}",
        f"{_median(mine, lambda one: one.connections):.0f}",
        f"{_median(mine, lambda one: one.memory / one.tasks / 1024):.1f}",
        f"{max(one.tasks - one.ended for one in mine)}",
    ]


def main() -> None:
    """Run the chosen clients and print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--tasks", type=int, nargs="+", default=[500, 2000])
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    arguments.add_argument("--quick", action="store_true", help="100 tasks, once, no peers")
    arguments.add_argument("--drive", choices=CONTENDERS, help=argparse.SUPPRESS)
    arguments.add_argument("--origin", help=argparse.SUPPRESS)
    arguments.add_argument("--durations", type=Path, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.drive:
        drive(chosen.drive, chosen.origin, chosen.tasks[0], chosen.durations)
        return
    names = [name for name in chosen.only if _installed(CONTENDERS[name])]
    missing = sorted(set(chosen.only) - set(names))
    sizes, repeats = chosen.tasks, chosen.repeats
    if chosen.quick:
        names, sizes, repeats = list(QUICK), [100], 1
    print(described("aiohttp", "uvloop", *PEERS))
    if missing:
        print(f"not installed: {', '.join(missing)}")
    for tasks in sizes:
        runs = compare(tasks, repeats, names)
        print(f"\n{tasks} tasks at once, medians of {repeats}:\n")
        print(table(HEAD, [_row(name, runs) for name in runs]))
        for name in OURS:
            if name not in runs:
                continue
            assert all(one.ended == one.tasks <= one.polls for one in runs[name]), "tasks are lost"
            if "naive" in runs:
                cpu = _ratio(runs, name, "naive", lambda one: one.cpu)
                delay = _ratio(runs, name, "naive", lambda one: one.delay(0.5))
                memory = _ratio(runs, name, "naive", lambda one: one.memory)
                print(f"{name} / naive: CPU {cpu}, p50 delay {delay}, memory {memory}")


if __name__ == "__main__":
    os.environ.pop("PHOTOANIMER_API_KEY", None)
    main()
