"""Submits: the queue limit, the balance, and the id of the new task."""

import asyncio
from pathlib import Path

import pytest

from photoanimer_async.service import ServiceSettings

from .conftest import InstantRenderer, PhotoHost, Running, Start, running


async def submit_status(service: Running, image_url: str) -> tuple[int, int, str | None]:
    """HTTP status, code and Retry-After of a submit."""
    async with service.session.get(
        f"{service.service.base_url}/faceDriven/submitTaskByUrl",
        params={"imageUrl": image_url, "templateId": "1"},
    ) as answer:
        return answer.status, (await answer.json())["code"], answer.headers.get("Retry-After")


class TestQueue:
    async def test_a_submit_beyond_the_limit_gets_429_with_retry_after(
        self, start: Start, host: PhotoHost, renderer: InstantRenderer
    ) -> None:
        service = await start(queue_limit=3, workers=1)
        renderer.gate = asyncio.Event()
        ids = [await service.submit(host.url("photo.png")) for _ in range(3)]
        fetched = len(host.requests)

        status, code, retry_after = await submit_status(service, host.url("photo.png"))

        assert (status, code) == (429, 42901)
        assert retry_after is not None
        assert int(retry_after) >= 1
        assert len(host.requests) == fetched
        renderer.gate.set()
        for task_id in ids:
            await service.end_of(task_id)
        assert await service.submit(host.url("photo.png"))

    async def test_open_submits_count_and_failed_ones_do_not(
        self, start: Start, host: PhotoHost, renderer: InstantRenderer
    ) -> None:
        service = await start(queue_limit=2)
        renderer.gate = asyncio.Event()
        for _ in range(5):
            code, _ = await service.refusal(imageUrl=host.url("nothing.png"), templateId="1")
            assert code == 40011
        answers = await asyncio.gather(
            *(submit_status(service, host.url("photo.png")) for _ in range(6))
        )
        assert sorted(code for _, code, _ in answers) == [0, 0, 42901, 42901, 42901, 42901]

    async def test_unfinished_tasks_count_after_a_restart(
        self, tmp_path: Path, host: PhotoHost
    ) -> None:
        settings = ServiceSettings(data_dir=tmp_path, port=0, queue_limit=1, drain_seconds=0)
        stuck = InstantRenderer(gate=asyncio.Event())
        async with running(settings, stuck) as service:
            await service.submit(host.url("photo.png"))
        async with running(settings, stuck) as service:
            assert (await submit_status(service, host.url("photo.png")))[1] == 42901


async def test_a_task_that_costs_more_than_the_balance_is_refused(
    start: Start, host: PhotoHost
) -> None:
    service = await start(video_balance=3.0)
    code, text = await service.refusal(imageUrl=host.url("photo.png"), templateId="1")
    assert code == 4001
    assert text == ("Insufficient credits: templateId 1 costs 7.13 video seconds, the balance is 3")
    assert await service.submit(host.url("photo.png"), template=2)


async def test_a_task_id_in_use_is_not_used_again(
    start: Start, host: PhotoHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter([471367831765061, 471367831765061, 471367831765062])
    monkeypatch.setattr("photoanimer_async.service.acceptance.new_task_ids", lambda: drawn)
    service = await start()
    ids = [await service.submit(host.url("photo.png")) for _ in range(2)]
    assert ids == [471367831765061, 471367831765062]
