"""The clients that `peers.py`, `faults.py` and `growth.py` compare.

Each submits a number of tasks to the stub (see `stub.py`) and waits for them:

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
"""

import asyncio
import importlib
import importlib.util
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from types import ModuleType
from typing import TYPE_CHECKING, Any

import aiohttp
from attrs import frozen
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
        every: it runs in every so many repeats: those whose ratios are goals in each.
        fast_loop: whether it runs on uvloop.
        warm: whether it starts with the durations of an earlier run.
    """

    drive: Callable[..., Awaitable[int]]
    needs: str = "aiohttp"
    every: int = 1
    fast_loop: bool = False
    warm: bool = False

    @property
    def is_installed(self) -> bool:
        """Whether everything is here that it needs."""
        needed = [self.needs, *(["uvloop"] if self.fast_loop else [])]
        return all(importlib.util.find_spec(package) is not None for package in needed)


_OURS, _SOME, _ONCE = "photoanimer_async.client", 3, 1000
CONTENDERS = {
    "photoanimer, cold": Contender(photoanimer, _OURS),
    "photoanimer, warm": Contender(photoanimer, _OURS, _SOME, warm=True),
    "photoanimer, warm, uvloop": Contender(photoanimer, _OURS, _SOME, fast_loop=True, warm=True),
    "photoanimer many, cold": Contender(photoanimer_many, _OURS, _ONCE),
    "photoanimer many, warm": Contender(photoanimer_many, _OURS, warm=True),
    "naive": Contender(naive),
    "tuned": Contender(tuned),
    "tuned, uvloop": Contender(tuned, every=_SOME, fast_loop=True),
    "tuned, spread": Contender(partial(tuned, spread=0.5)),
    "runpod": Contender(runpod, "runpod", _ONCE),
    "openai": Contender(openai, "openai", _ONCE),
    "replicate": Contender(replicate, "replicate", _ONCE),
    "runwayml": Contender(runwayml, "runwayml", _ONCE),
    "elevenlabs": Contender(elevenlabs, "elevenlabs", _ONCE),
    "fal": Contender(fal, "fal_client", _ONCE),
}
PEERS = ("runpod", "openai", "replicate", "fal")
"""Those that README at the root shows."""


def shown(name: str) -> str:
    """Return a client's name as the pages show it."""
    if name.startswith("photoanimer"):
        return name.replace("photoanimer", "**photoanimer-async**")
    return name if CONTENDERS[name].needs != "aiohttp" else f"aiohttp, {name}"


def require_installed(names: Sequence[str]) -> None:
    """End the program if a package is missing that one of these clients needs."""
    missing = [name for name in names if not CONTENDERS[name].is_installed]
    if missing:
        sys.exit(
            f"not installed: {', '.join(missing)}. Run pip install -e '.[bench,speed]', "
            "or choose others with --only"
        )
