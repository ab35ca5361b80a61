"""Cost of a request, layer by layer.

    python benchmarks/overhead.py [--requests 2000] [--repeats 7] [--quick]

The same request is sent to the stub (see `stub.py`), 64 at once, each time from one layer
higher. No task has to be waited for, so there is no idle time in which the processor's caches
could cool down. Layers alternate within each repeat. Figures are CPU microseconds of this process
for one request, medians of the repeats; what ours costs above aiohttp is the median of the
differences within a repeat:

- **aiohttp**: a session's `get` of a prebuilt URL, `read()` and `json.loads`.
- **sent**: `Transport.send`: the URL is built and encoded, a submit is sent at most once.
- **read**: the answer is checked and becomes a model.
- **calls**: `ApiCalls`: rate limit, concurrency limit and retries.
- **client**: `client.submit`, which survives its caller's cancellation; `wait_all`, which polls
  when a task is due.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import cycle
from random import Random
from typing import Any

import aiohttp
from machine import Goal, figures, table
from stub import UNKNOWN, serving
from yarl import URL

from photoanimer_async import (
    AnimationOptions,
    FixedInterval,
    PhotoAnimerClient,
    PollScheduler,
    RetryPolicy,
    TaskId,
)
from photoanimer_async.api import wire
from photoanimer_async.api.answers import Answer
from photoanimer_async.api.calls import ApiCalls
from photoanimer_async.api.transport import Credentials, Transport

KEY, IMAGE = "key", "http://127.0.0.1:9/photo.jpg"
AT_ONCE = 64
SHOWN = {
    "aiohttp": "aiohttp",
    "sent": "`Transport`",
    "read": "the answer checked and converted",
    "calls": "`ApiCalls`: limits, retries",
    "client": "`client.submit`, `wait_all`",
}

Batch = Callable[[int], Awaitable[object]]
"""Makes so many requests."""

Layers = Mapping[str, Batch]
"""The same request from each layer."""


def one_by_one(request: Callable[[], Awaitable[object]]) -> Batch:
    """Return a batch that has 64 requests open at once."""

    async def batch(requests: int) -> None:
        remaining = iter(range(requests))

        async def work() -> None:
            for _ in remaining:
                await request()

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(work())

    return batch


def bare(session: aiohttp.ClientSession, urls: Iterator[URL]) -> Batch:
    """Return a batch of plain aiohttp requests."""

    async def request() -> None:
        async with session.get(next(urls)) as response:
            json.loads(await response.read())

    return one_by_one(request)


def unread(request: wire.Request[Any]) -> wire.Request[Answer]:
    """Return a request whose answer is not read."""
    return wire.Request(request.operation, request.path, request.query, lambda answer: answer)


def submits(
    session: aiohttp.ClientSession, transport: Transport, calls: ApiCalls, client: PhotoAnimerClient
) -> Layers:
    """Return the layers of a submit."""
    options = AnimationOptions()
    url = URL(
        f"{transport.base_url}/faceDriven/submitTaskByUrl?templateId=1&imageUrl={IMAGE}",
        encoded=True,
    )

    async def sent() -> Answer:
        return await transport.send(unread(wire.build_submit(IMAGE, options)))

    async def read() -> TaskId:
        return await transport.send(wire.build_submit(IMAGE, options))

    async def by_calls() -> TaskId:
        with await calls.submit_turn():
            return await calls.submit(IMAGE, options)

    return {
        "aiohttp": bare(session, cycle([url])),
        "sent": one_by_one(sent),
        "read": one_by_one(read),
        "calls": one_by_one(by_calls),
        "client": one_by_one(lambda: client.submit(IMAGE)),
    }


def polls(
    session: aiohttp.ClientSession,
    transport: Transport,
    calls: ApiCalls,
    scheduler: PollScheduler,
    tasks: Sequence[TaskId],
) -> Layers:
    """Return the layers of a poll of one of these tasks, which have ended."""
    info = f"{transport.base_url}/faceDriven/getTaskInfo?taskId="
    tasks_in_turn = cycle(tasks)

    async def sent() -> Answer:
        return await transport.send(unread(wire.build_get_task_info(next(tasks_in_turn))))

    async def read() -> object:
        return await transport.send(wire.build_get_task_info(next(tasks_in_turn)))

    return {
        "aiohttp": bare(session, cycle([URL(f"{info}{task}", encoded=True) for task in tasks])),
        "sent": one_by_one(sent),
        "read": one_by_one(read),
        "calls": one_by_one(lambda: calls.poll_once(next(tasks_in_turn))),
        "client": lambda requests: scheduler.wait_all(
            [next(tasks_in_turn) for _ in range(requests)]
        ),
    }


Costs = dict[str, list[float]]
"""CPU microseconds for one request from each layer, in each repeat."""


async def measured(layers: Layers, requests: int, repeats: int) -> Costs:
    """Measure each layer so often, in turn."""
    found: dict[str, list[float]] = {name: [] for name in layers}
    for _ in range(repeats):
        for name, batch in layers.items():
            began = time.process_time()
            await batch(requests)
            found[name].append(1e6 * (time.process_time() - began) / requests)
    return found


@asynccontextmanager
async def opened(origin: str, requests: int) -> AsyncIterator[tuple[Layers, Layers]]:
    """Give the layers of a submit and of a poll of so many tasks."""
    base_url = f"{origin}/api/v1"
    tasks = [str(UNKNOWN + number) for number in range(requests)]
    async with (
        aiohttp.ClientSession(
            headers={"APIKEY": KEY}, cookie_jar=aiohttp.DummyCookieJar()
        ) as session,
        Transport(Credentials(base_url, KEY)) as transport,
        PhotoAnimerClient(KEY, base_url=base_url) as client,
    ):
        calls = ApiCalls(
            transport,
            concurrency=AT_ONCE,
            submit_rate=None,
            poll_limiter=None,
            retry=RetryPolicy(),
            rng=Random(1),  # noqa: S311 - jitter, no secret
        )
        async with PollScheduler(calls.poll_once, policy=FixedInterval(0.001)) as scheduler:
            yield (
                submits(session, transport, calls, client),
                polls(session, transport, calls, scheduler, tasks),
            )


async def compared(origin: str, requests: int, repeats: int) -> tuple[Costs, Costs]:
    """Return the costs of submits and of polls."""
    async with opened(origin, requests) as (submit, poll):
        return (
            await measured(submit, requests, repeats),
            await measured(poll, requests, repeats),
        )


def above(costs: Costs) -> float:
    """Return what a request costs above aiohttp's own cost."""
    pairs = zip(costs["client"], costs["aiohttp"], strict=True)
    return statistics.median(ours - bare for ours, bare in pairs)


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description="Cost of a request, layer by layer.")
    arguments.add_argument("--requests", type=int, default=2000)
    arguments.add_argument("--repeats", type=int, default=7)
    arguments.add_argument("--quick", action="store_true", help="100 requests, once")
    chosen = arguments.parse_args()
    requests, repeats = (100, 1) if chosen.quick else (chosen.requests, chosen.repeats)
    with serving() as origin:
        submit, poll = asyncio.run(compared(origin, requests, repeats))
    rows = [
        [SHOWN[name], *(f"{statistics.median(costs[name]):.0f}" for costs in (submit, poll))]
        for name in SHOWN
    ]
    rows.append(["ours above aiohttp", f"{above(submit):.0f}", f"{above(poll):.0f}"])
    figures(
        "layers",
        f"CPU us for one of {requests:,} requests, {AT_ONCE} at once; medians of {repeats}:",
        table(("from", "submit", "poll"), rows),
        packages=["aiohttp"],
    )
    Goal("a poll above aiohttp's own cost", above(poll), 20, "us").print()
    Goal("a submit above aiohttp's own cost", above(submit), 35, "us").print()


if __name__ == "__main__":
    main()
