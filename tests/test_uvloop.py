"""The client on uvloop, which the extra `speed` installs."""

from pathlib import Path

import pytest
import uvloop
from aiohttp import web

from photoanimer_async import TaskInfo

from .support.stub_service import API, StubService, envelope, quick_client, serving, task


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
