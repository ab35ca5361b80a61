"""Results of finished tasks are saved, with a new link if needed."""

from pathlib import Path

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

from ..support.batches import VIDEO, names_in, serving_results
from ..support.stub_service import Reply, StubService, envelope, serving, task


async def test_a_new_link_is_asked_for_once(
    client: PhotoAnimerClient, stub: StubService, tmp_path: Path
) -> None:
    async with serving_results(stub):
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
    async with serving_results(stub, resultUrl="http://127.0.0.1:9/gone.mp4"):
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
