"""A client that is notified by the service polls once for each task."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from photoanimer_async import FixedInterval, NotificationReceiver, PhotoAnimerClient, PollPolicy
from photoanimer_async.service import RenderJob

from ..conftest import KEY, InstantRenderer, PhotoHost, Running, Start

TASKS = 60


class SlowRenderer(InstantRenderer):
    """Takes 20 ms, so that most tasks have not ended when the client starts to wait."""

    async def render(self, job: RenderJob) -> None:
        await asyncio.sleep(0.02)
        await super().render(job)


@pytest.fixture
async def receiver() -> NotificationReceiver:
    return NotificationReceiver()


@pytest.fixture
async def address(receiver: NotificationReceiver) -> AsyncIterator[str]:
    """An application with the receiver in it."""
    app = web.Application()
    app.add_routes(receiver.routes("/photoanimer"))
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/photoanimer{receiver.path}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def counting_client(
    service: Running,
    receiver: NotificationReceiver,
    polls: list[str],
    policy: PollPolicy | None = None,
) -> AsyncIterator[PhotoAnimerClient]:
    async def count(_: object, __: object, request: aiohttp.TraceRequestStartParams) -> None:
        if request.url.path.endswith("/getTaskInfo"):
            polls.append(request.url.query["taskId"])

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(count)
    async with (
        aiohttp.ClientSession(trace_configs=[trace]) as session,
        PhotoAnimerClient(
            KEY,
            base_url=service.service.base_url,
            session=session,
            receiver=receiver,
            poll=policy,
        ) as client,
    ):
        yield client


async def test_at_most_1_2_polls_per_task(
    start: Start, host: PhotoHost, address: str, receiver: NotificationReceiver
) -> None:
    service = await start(SlowRenderer(), notify_url=address, workers=4)
    polls: list[str] = []
    async with counting_client(service, receiver, polls) as client:
        photos = [host.url("photo.png")] * TASKS
        outcomes = [outcome async for outcome in client.animate_many(photos)]
    assert all(outcome.ok for outcome in outcomes)
    assert len(outcomes) == TASKS
    assert len(set(polls)) == TASKS
    assert len(polls) <= 1.2 * TASKS


async def test_animate_polls_once_after_the_notification(
    start: Start, host: PhotoHost, address: str, receiver: NotificationReceiver
) -> None:
    service = await start(SlowRenderer(), notify_url=address)
    polls: list[str] = []
    async with counting_client(service, receiver, polls, FixedInterval(3600)) as client:
        animation = await client.animate(host.url("photo.png"))
    assert polls == [str(animation.task_id)]
