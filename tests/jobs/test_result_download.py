"""Results of finished tasks are saved, with a new link if needed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from photoanimer_async import (
    DownloadError,
    InvalidRequestError,
    PhotoAnimerClient,
    ProgressEvent,
    State,
    TaskFailedError,
    TaskInfo,
    TaskStatus,
)

from ..support.pictures import png
from ..support.stub_service import Reply, StubService, envelope, serving, task

VIDEO = b"\0\0\0\x18ftypmp42" + bytes(5000)

GIF = b"GIF89a" + bytes(3000)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "grandma.png"
    path.write_bytes(png(64, 64))
    return path


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@asynccontextmanager
async def results(stub: StubService, **more: object) -> AsyncIterator[list[web.Request]]:
    """A service that fetches each photo when it is submitted, and serves its results."""
    requests: list[web.Request] = []

    def serve(request: web.Request) -> web.Response:
        requests.append(request)
        if request.query.get("expired"):
            return web.Response(status=403)
        gif = request.path.endswith(".gif")
        return web.Response(
            body=GIF if gif else VIDEO, content_type="image/gif" if gif else "video/mp4"
        )

    async with serving(serve) as origin, aiohttp.ClientSession() as session:

        async def accept(request: web.Request) -> web.Response:
            async with session.get(request.query["imageUrl"]) as fetched:
                requests.append(request)
                assert fetched.status == 200
                assert await fetched.read() == png(64, 64)
            stub.next_id += 1
            links = {"resultUrl": f"{origin}/{stub.next_id}.mp4", **more}
            if request.query.get("outputFormat") == "gif":
                links["gifUrl"] = f"{origin}/{stub.next_id}.gif"
            stub.poll_script[str(stub.next_id)] = [
                lambda _: envelope(task(stub.next_id, 0)),
                lambda r: envelope(task(r.query["taskId"], 1, **links)),
            ]
            return envelope(stub.next_id)

        stub.submit_script = [accept] * 20
        yield requests


async def test_a_new_link_is_asked_for_once(
    client: PhotoAnimerClient, stub: StubService, tmp_path: Path
) -> None:
    async with results(stub):
        async with serving(lambda _: web.Response(body=VIDEO, content_type="video/mp4")) as origin:
            stub.poll_script["5"] = [lambda _: envelope(task(5, resultUrl=f"{origin}/new.mp4"))]
            old = TaskInfo(5, TaskStatus.FINISHED, f"{origin}/old.mp4")
            assert (await client.download(old, tmp_path / "a.mp4")).read_bytes() == VIDEO
        assert len(stub.polls) == 0

    def gone(request: web.Request) -> web.Response:
        if "old" in request.path:
            return web.Response(status=403)
        return web.Response(body=VIDEO, content_type="video/mp4")

    async with serving(gone) as origin:
        fresh: Reply = lambda _: envelope(task(5, resultUrl=f"{origin}/new.mp4"))  # noqa: E731
        stale: Reply = lambda _: envelope(task(5, resultUrl=f"{origin}/old.mp4"))  # noqa: E731
        old = TaskInfo(5, TaskStatus.FINISHED, f"{origin}/old.mp4")
        stub.poll_script["5"] = [fresh]
        assert (await client.download(old, tmp_path / "b.mp4")).read_bytes() == VIDEO
        assert len(stub.polls) == 1
        stub.poll_script["5"] = [stale, fresh]
        with pytest.raises(DownloadError, match="link has expired"):
            await client.download(old, tmp_path / "c.mp4")
    assert names_in(tmp_path) == {"a.mp4", "b.mp4"}


async def test_a_task_without_a_result_cannot_be_saved(
    client: PhotoAnimerClient, tmp_path: Path
) -> None:
    with pytest.raises(TaskFailedError):
        await client.download(TaskInfo(1, TaskStatus.FAILED), tmp_path / "a.mp4")
    with pytest.raises(InvalidRequestError, match="wait for it first"):
        await client.download(TaskInfo(1, TaskStatus.PROCESSING), tmp_path / "a.mp4")


async def test_a_failed_download_keeps_the_task_id(
    client: PhotoAnimerClient, stub: StubService, photo: Path, tmp_path: Path
) -> None:
    events: list[ProgressEvent] = []
    async with results(stub, resultUrl="http://127.0.0.1:9/gone.mp4"):
        [outcome] = [
            o
            async for o in client.animate_many(
                [photo], save_to=tmp_path / "out", on_progress=events.append
            )
        ]
    assert isinstance(outcome.error, DownloadError)
    assert outcome.task_id == stub.next_id
    assert events[-1].state is State.FINISHED
    assert names_in(tmp_path / "out") == set()
