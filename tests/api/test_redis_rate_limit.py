"""Several processes share one rate through a real Redis."""

import asyncio
import importlib
import subprocess
import sys
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from photoanimer_async import (
    AmbiguousSubmitError,
    InvalidRequestError,
    NotSentError,
    RateLimiter,
    TaskInfo,
    TaskStatus,
)
from photoanimer_async.api.redis_rate_limit import RedisRateLimiter

from ..support.stub_service import StubService, quick_client

RATE = 200.0
GAP = 1_000_000 / RATE
REQUESTS = 40

WORKER = """
import asyncio, sys
from redis.asyncio import Redis
from photoanimer_async.api.redis_rate_limit import RedisRateLimiter

async def main(port, key, rate, requests):
    async with Redis(port=port) as redis:
        limiter = RedisRateLimiter(redis, key, float(rate))
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        for _ in range(int(requests)):
            await limiter.acquire()
            seconds, microseconds = await redis.time()
            print(seconds * 1_000_000 + microseconds, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
async def redis(redis_port: int) -> AsyncIterator["Redis"]:
    async with Redis(port=redis_port) as redis:
        await redis.flushall()
        yield redis


async def redis_time(redis: "Redis") -> int:
    """Microseconds since the epoch, by Redis' clock."""
    seconds, microseconds = await redis.time()
    return int(seconds) * 1_000_000 + int(microseconds)


async def request_times_of_two_processes(redis_port: int, *keys: str) -> list[int]:
    """When each `acquire` returned, by Redis' clock."""
    workers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", WORKER, str(redis_port), key, str(RATE), str(REQUESTS),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for key in keys
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdout is not None
        assert await worker.stdout.readline() == b"ready\n"
    outputs = await asyncio.gather(*(worker.communicate(b"\n") for worker in workers))
    assert all(worker.returncode == 0 for worker in workers)
    return sorted(int(line) for output, _ in outputs for line in output.split())


@pytest.mark.slow
async def test_two_processes_with_one_key_share_one_rate(redis_port: int, redis: "Redis") -> None:
    before = await redis_time(redis)
    times = await request_times_of_two_processes(redis_port, "account", "account")
    assert len(times) == 2 * REQUESTS
    # The n-th request comes n gaps after the start, so no period has more requests than the rate.
    assert all(at >= before + n * GAP - 1000 for n, at in enumerate(times))


async def stored_times_of(redis: Redis, redis_port: int, *keys: str) -> dict[str, list[int]]:
    """The times of next requests that two processes store in Redis, for each key."""
    times: dict[str, list[int]] = {key: [] for key in keys}
    async with redis.monitor() as monitor:
        requests = asyncio.create_task(request_times_of_two_processes(redis_port, *keys))
        for _ in range(2 * REQUESTS):
            while (command := (await monitor.next_command())["command"].split())[0] != "HSET":
                pass
            times[command[1].removeprefix("photoanimer:rate:")].append(int(command[3]))
        await requests
    return times


@pytest.mark.slow
async def test_each_request_advances_the_stored_time_by_a_gap(
    redis_port: int, redis: Redis
) -> None:
    times = await stored_times_of(redis, redis_port, "account", "account")
    assert len(times["account"]) == 2 * REQUESTS
    assert all(later - earlier >= GAP for earlier, later in pairwise(times["account"]))


async def test_the_stored_time_outlives_a_process_that_stalls(redis: Redis) -> None:
    await RedisRateLimiter(redis, "account", RATE).acquire()
    assert await redis.pttl("photoanimer:rate:account") > 30_000


@pytest.mark.slow
async def test_two_keys_are_two_rates(redis_port: int, redis: Redis) -> None:
    times = await stored_times_of(redis, redis_port, "mine", "yours")
    assert {key: len(sent) for key, sent in times.items()} == {"mine": REQUESTS, "yours": REQUESTS}


async def test_a_client_submits_and_polls_at_the_shared_rate(
    redis: "Redis", stub: StubService
) -> None:
    rate = RedisRateLimiter(redis, "both", 500.0)
    before = await redis_time(redis)
    async with quick_client(stub.base_url, submit_rate=rate, poll_rate=rate) as client:
        outcomes = [o async for o in client.animate_many(f"http://h/{n}.jpg" for n in range(10))]
    assert all(outcome.ok for outcome in outcomes)
    requests = len(stub.submits) + len(stub.polls)
    assert await redis_time(redis) >= before + (requests - 1) * 2000 - 1000


async def test_without_redis_nothing_is_sent(stub: StubService, tmp_path: Path) -> None:
    retry = Retry(NoBackoff(), 0)
    async with Redis(unix_socket_path=str(tmp_path / "nowhere"), retry=retry) as redis:
        rate = RedisRateLimiter(redis, "account", 5.0)
        async with quick_client(stub.base_url, submit_rate=rate) as client:
            with pytest.raises(NotSentError, match="Redis") as caught:
                await client.submit("http://h/a.jpg")
            assert not isinstance(caught.value, AmbiguousSubmitError)
        async with quick_client(stub.base_url, poll_rate=rate) as client:
            with pytest.raises(NotSentError, match="Redis"):
                await client.wait(1)
    assert stub.requests == []


async def test_polls_are_retried_until_the_limiter_works(stub: StubService) -> None:
    class Stumbling:
        """A limiter that fails at first."""

        faults = 2

        async def acquire(self) -> None:
            if self.faults:
                self.faults -= 1
                raise NotSentError("not now")

    async with quick_client(stub.base_url, poll_rate=Stumbling()) as client:
        assert (await client.wait(1)) == TaskInfo(
            1, TaskStatus.FINISHED, "http://127.0.0.1:9/1.mp4"
        )
    assert len(stub.polls) == 1


async def test_any_object_with_acquire_is_a_limiter(stub: StubService) -> None:
    class Counting:
        acquired = 0

        async def acquire(self) -> None:
            self.acquired += 1

    limiter: RateLimiter = Counting()
    async with quick_client(stub.base_url, submit_rate=limiter, poll_rate=limiter) as client:
        await client.animate("http://127.0.0.1:9/a.jpg")
    assert limiter.acquired == len(stub.requests) == 2  # type: ignore[attr-defined] # an attribute of the double


@pytest.mark.parametrize("rate", [0.0, -1.0, float("inf"), float("nan")])
def test_a_rate_must_be_above_0_and_finite(rate: float) -> None:
    with pytest.raises(InvalidRequestError, match="rate"):
        RedisRateLimiter(Redis(), "account", rate)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyrate_limiter", None)
    monkeypatch.delitem(sys.modules, "photoanimer_async.api.redis_rate_limit")
    with pytest.raises(ImportError, match=r"photoanimer-async\[redis\]"):
        importlib.import_module("photoanimer_async.api.redis_rate_limit")
