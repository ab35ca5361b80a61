"""Results of finished tasks, requested again while their links do not work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
from aiohttp import web

from photoanimer_async import (
    DownloadError,
    FixedInterval,
    InvalidRequestError,
    NotificationReceiver,
    PhotoAnimerClient,
    ProgressEvent,
    State,
    TaskFailedError,
    TaskInfo,
    TaskStatus,
)

from ..support import batches
from ..support.notifications import notification
from ..support.pictures import png
from ..support.stub_service import Reply, StubService, envelope, quick_client, serving, task

URL = "http://127.0.0.1:9/photo.jpg"


def linked(url: str | None) -> Reply:
    """Return the answer of getTaskInfo for a finished task with this link."""
    return lambda request: envelope(task(request.query["taskId"], resultUrl=url))


async def test_a_link_that_works_is_used_without_a_poll(
    client: PhotoAnimerClient, stub: StubService, tmp_path: Path
) -> None:
    async with serving(lambda _: web.Response(body=batches.VIDEO)) as origin:
        info = TaskInfo(5, TaskStatus.FINISHED, f"{origin}/1.mp4")
        assert (await client.download(info, tmp_path / "a.mp4")).read_bytes() == batches.VIDEO
    assert len(stub.polls) == 0


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_new_links_are_requested_until_one_works(
    client: PhotoAnimerClient, stub: StubService, tmp_path: Path, status: int
) -> None:
    requested: list[str] = []

    def gone(request: web.Request) -> web.Response:
        requested.append(request.path)
        return (
            web.Response(body=batches.VIDEO)
            if "new" in request.path
            else web.Response(status=status)
        )

    async with serving(gone) as origin:
        info = TaskInfo(5, TaskStatus.FINISHED, f"{origin}/0.mp4")
        links = [f"{origin}/{i}.mp4" for i in range(1, 5)]
        stub.poll_script["5"] = [*map(linked, [*links, None, f"{origin}/new.mp4"])]
        assert (await client.download(info, tmp_path / "a.mp4")).read_bytes() == batches.VIDEO
    assert requested == ["/0.mp4", "/1.mp4", "/2.mp4", "/3.mp4", "/4.mp4", "/new.mp4"]


@pytest.mark.parametrize(
    ("status", "body"), [(404, b""), (503, b""), (200, b"<p>soon"), (200, b"")]
)
async def test_a_link_may_begin_to_work_later(
    client: PhotoAnimerClient, stub: StubService, tmp_path: Path, status: int, body: bytes
) -> None:
    attempts = 0

    def copying(_: web.Request) -> web.Response:
        nonlocal attempts
        attempts += 1
        if attempts > 8:
            return web.Response(body=batches.VIDEO)
        return web.Response(status=status, body=body, content_type="text/html")

    async with serving(copying) as origin:
        stub.finished = linked(f"{origin}/1.mp4")
        animation = await client.animate(URL, save_to=tmp_path)
    assert animation.path is not None
    assert animation.path.read_bytes() == batches.VIDEO
    assert len(stub.submits) == 1


async def test_the_link_is_used_on_while_polls_fail(
    client: PhotoAnimerClient, stub: StubService, tmp_path: Path
) -> None:
    attempts = 0

    def copying(_: web.Request) -> web.Response:
        nonlocal attempts
        attempts += 1
        return web.Response(body=batches.VIDEO) if attempts > 2 else web.Response(status=404)

    async with serving(copying) as origin:
        stub.finished = lambda _: web.Response(status=502)
        info = TaskInfo(5, TaskStatus.FINISHED, f"{origin}/1.mp4")
        assert (await client.download(info, tmp_path / "a.mp4")).read_bytes() == batches.VIDEO


async def test_patience_ends_and_the_error_names_the_task(
    client: PhotoAnimerClient, stub: StubService, tmp_path: Path
) -> None:
    async with serving(lambda _: web.Response(status=404)) as origin:
        stub.finished = linked(f"{origin}/1.mp4")
        with pytest.raises(DownloadError, match="HTTP status 404") as caught:
            await client.animate(URL, save_to=tmp_path)
        assert caught.value.task_id == stub.next_id
        assert str(stub.next_id) in str(caught.value)
        assert stub.next_id in client.pending
        info = TaskInfo(5, TaskStatus.FINISHED, f"{origin}/1.mp4")
        with pytest.raises(DownloadError, match="HTTP status 404") as caught:
            await client.download(info, tmp_path / "a.mp4")
        assert caught.value.task_id == 5
    assert batches.names_in(tmp_path) == set()


def test_by_default_patience_is_some_minutes() -> None:
    client = PhotoAnimerClient("key-1", base_url="http://127.0.0.1:9/api/v1")
    policy = client._downloader._renewals
    error = DownloadError("gone", expired=True)
    assert 120 < sum(policy.wait(n, error, Random(n)) for n in range(1, policy.tries)) < 600


async def test_a_task_without_a_result_cannot_be_saved(
    client: PhotoAnimerClient, tmp_path: Path
) -> None:
    with pytest.raises(TaskFailedError):
        await client.download(TaskInfo(1, TaskStatus.FAILED), tmp_path / "a.mp4")
    with pytest.raises(InvalidRequestError, match="wait for it first"):
        await client.download(TaskInfo(1, TaskStatus.PROCESSING), tmp_path / "a.mp4")


async def test_a_failed_download_keeps_the_task_id(
    client: PhotoAnimerClient, stub: StubService, tmp_path: Path
) -> None:
    events: list[ProgressEvent] = []
    async with batches.serving_results(stub, resultUrl="http://127.0.0.1:9/gone.mp4"):
        [outcome] = [
            o
            async for o in client.animate_many(
                [png(64, 64)], save_to=tmp_path / "out", on_progress=events.append
            )
        ]
    assert isinstance(outcome.error, DownloadError)
    assert outcome.task_id == stub.next_id
    assert events[-1].state is State.FINISHED
    assert batches.names_in(tmp_path / "out") == set()


@asynccontextmanager
async def expired_links(stub: StubService) -> AsyncIterator[None]:
    """The first link of each task has expired, later ones work."""

    def answer(request: web.Request) -> web.Response:
        is_new = "new" in request.path
        return web.Response(body=batches.VIDEO) if is_new else web.Response(status=403)

    seen: set[str] = set()

    async with serving(answer) as origin:

        def finished(request: web.Request) -> web.StreamResponse:
            task_id = request.query["taskId"]
            name = "new" if task_id in seen else "old"
            seen.add(task_id)
            return envelope(task(int(task_id), resultUrl=f"{origin}/{name}.mp4"))

        stub.finished = finished
        yield


async def test_a_new_link_is_requested_at_once_where_notifications_save_polls(
    stub: StubService, tmp_path: Path
) -> None:
    receiver = NotificationReceiver()
    async with (
        expired_links(stub),
        quick_client(stub.base_url, poll=FixedInterval(3600), receiver=receiver) as client,
    ):
        receiver.take(notification(stub.next_id + 1))
        async with asyncio.timeout(60):
            animation = await client.animate(URL, save_to=tmp_path)
    assert animation.path is not None
    assert len(stub.polls) == 2
