"""The client on uvloop, which the extra `speed` installs."""

import asyncio
from pathlib import Path

import pytest
import uvloop
from aiohttp import web

from photoanimer_async import PhotoAnimerClient, TaskInfo
from photoanimer_async.service import LocalService, RenderJob, ServiceSettings

from .support.stub_service import API, StubService, envelope, quick_client, serving, task


class NoRenderer:
    async def render(self, job: RenderJob) -> None:
        raise AssertionError(job)


@pytest.mark.slow
def test_a_batch_and_wait_all_run_on_uvloop(tmp_path: Path) -> None:
    photos = [f"http://127.0.0.1:9/{number}.jpg" for number in range(300)]

    async def animate_and_wait() -> None:
        stub = StubService()
        polls: dict[str, int] = {}

        def ends_at_the_third_poll(request: web.Request) -> web.Response:
            task_id = request.query["taskId"]
            polls[task_id] = polls.get(task_id, 0) + 1
            return envelope(task(int(task_id), int(polls[task_id] == 3)))

        stub.finished = ends_at_the_third_poll
        async with (
            serving(stub.answer) as origin,
            quick_client(origin + API, poll_rate=5000) as client,
        ):
            batch = client.animate_many(photos, journal=tmp_path / "batch.db", in_flight=300)
            assert len([outcome async for outcome in batch if outcome.ok]) == 300
            task_ids = [await client.submit(photo) for photo in photos]
            ended = await client.wait_all(task_ids)
            assert all(isinstance(info, TaskInfo) and info.result_url for info in ended.values())

    uvloop.run(animate_and_wait())


def test_the_local_service_runs_on_uvloop(tmp_path: Path) -> None:
    async def ask() -> None:
        settings = ServiceSettings(data_dir=tmp_path, port=0, drain_seconds=0)
        async with (
            LocalService(settings, renderer=NoRenderer()) as service,
            PhotoAnimerClient("any-key", base_url=service.base_url) as client,
        ):
            assert (await client.get_balance()).video == settings.video_balance
            balances = await asyncio.gather(*(client.get_balance() for _ in range(50)))
            assert len({*balances}) == 1

    uvloop.run(ask())
