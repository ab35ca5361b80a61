"""Tasks that were paid for and have no result are in `client.pending`, and can be attached to."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from photoanimer_async import AnimationRequest, PhotoAnimerClient, PhotoAnimerError, TaskFailedError
from photoanimer_async.jobs import unclaimed
from photoanimer_async.jobs.unclaimed import UnclaimedTasks

from ..support.batches import urls
from ..support.pictures import png
from ..support.stub_service import StubService, envelope, quick_client, task

TASK = 471367831765062


async def test_an_error_after_payment_names_the_task_in_attribute_and_text(
    client: PhotoAnimerClient, stub: StubService, tmp_path: Path
) -> None:
    stub.poll_script[str(TASK)] = [lambda _: web.Response(status=502)] * 3
    with pytest.raises(PhotoAnimerError, match=str(TASK)) as caught:
        await client.animate(urls(1)[0])
    assert caught.value.task_id == TASK
    assert list(client.pending) == [TASK]
    assert (await client.attach(TASK)).task_id == TASK
    assert client.pending == {}
    assert len(stub.submits) == 1


async def test_attach_saves_to_where_the_first_call_would_have(
    client: PhotoAnimerClient, results: StubService, tmp_path: Path
) -> None:
    results.poll_script[str(TASK)] = [lambda _: web.Response(status=502)] * 3
    with pytest.raises(PhotoAnimerError):
        await client.animate("http://127.0.0.1:9/grandma.jpg", save_to=tmp_path)
    animation = await client.attach(TASK)
    assert animation.path == tmp_path / "grandma.mp4"


async def test_leaving_a_batch_without_a_journal_keeps_its_tasks(
    client: PhotoAnimerClient, stub: StubService
) -> None:
    stub.finished = lambda r: envelope(task(r.query["taskId"], 0))
    stub.poll_script[str(TASK)] = [lambda r: envelope(task(r.query["taskId"]))]
    outcomes = client.animate_many(urls(10), in_flight=10)
    await anext(outcomes)
    while len(stub.submits) < 10:
        await asyncio.sleep(0.001)
    await outcomes.aclose()
    assert sorted(client.pending, key=str) == [TASK + i for i in range(1, 10)]


async def test_a_failed_task_is_not_kept(client: PhotoAnimerClient, stub: StubService) -> None:
    stub.finished = lambda r: envelope(task(r.query["taskId"], 2))
    with pytest.raises(TaskFailedError):
        await client.animate(urls(1)[0])
    assert client.pending == {}


async def test_the_content_of_a_photo_is_not_kept(stub: StubService) -> None:
    stub.finished = lambda r: envelope(task(r.query["taskId"], 0))
    photo = png(64, 64)
    async with quick_client(stub.base_url) as client:
        animating = asyncio.create_task(client.animate(photo))
        while not stub.polls:
            await asyncio.sleep(0.001)
        animating.cancel()
        await asyncio.wait([animating])
        stub.finished = None
        while not client._unclaimed.requests():
            await asyncio.sleep(0.001)
        assert [request.photo for request in client.pending.values()] == [b""]
        assert not client._pending._running


def test_the_latest_thousand_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unclaimed, "_KEPT", 2)
    tasks = UnclaimedTasks()
    for task_id in (1, 2, 3):
        tasks.add(task_id, AnimationRequest("a.jpg"))
    assert list(tasks.requests()) == [2, 3]
