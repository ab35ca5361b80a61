"""Where results go, from the argument `save_to` to the saved result."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from photoanimer_async import InvalidRequestError, PhotoAnimerClient, State
from photoanimer_async.jobs.journal import Entry, read_journal
from photoanimer_async.storage.result_bucket import ResultBucket
from photoanimer_async.storage.result_folder import ResultFolder
from photoanimer_async.storage.result_store import (
    parse_location,
    result_store,
    result_target,
)

from ..support.pictures import png
from ..support.result_server import VIDEO, ResultServer
from ..support.s3_server import BUCKET, S3Server
from ..support.stub_service import StubService, envelope, task

URL = f"s3://{BUCKET}/out"


@pytest.fixture
def finished(stub: StubService, results: ResultServer) -> StubService:
    """The stub, whose finished tasks link to the result server."""
    stub.finished = lambda request: envelope(
        task(request.query["taskId"], resultUrl=f"{results.origin}/1.mp4")
    )
    return stub


class TestLocation:
    def test_a_path_is_a_folder_and_a_url_is_a_part_of_an_object_store(self, s3: S3Server) -> None:
        assert isinstance(result_store(parse_location("out/")), ResultFolder)
        assert isinstance(result_store(parse_location(Path("s3"))), ResultFolder)
        assert parse_location("s3://b/out/") == "s3://b/out"
        assert isinstance(result_store(parse_location("s3://b/out/")), ResultBucket)

    @pytest.mark.parametrize(
        "save_to", ["https://b/out", "file:///out", Path("s3://b/out"), "s3://me:secret@b"]
    )
    def test_any_other_url_is_refused(self, save_to: str | os.PathLike[str]) -> None:
        with pytest.raises(InvalidRequestError, match=r"save_to is .*; allowed is a string") as e:
            parse_location(save_to)
        assert "secret" not in str(e.value)

    @pytest.mark.parametrize(
        "save_to", ["out/grandma.mp4", Path("grandma.GIF"), f"{URL}/grandma.mp4", "~/a b.c.mp4"]
    )
    def test_many_results_need_a_folder(self, save_to: str | os.PathLike[str]) -> None:
        with pytest.raises(InvalidRequestError, match=r"names one file, .*need a folder"):
            parse_location(save_to)

    def test_a_slash_at_the_end_means_a_folder(self, tmp_path: Path) -> None:
        folder = tmp_path / "clips.mp4"
        assert parse_location(f"{folder}/") == folder
        assert result_target(f"{folder}/", "mp4")[1] is None


class TestOneFile:
    @pytest.mark.parametrize("name", ["grandma.mp4", "deep/er/a b.c.mp4"])
    async def test_animate_saves_to_it(
        self, client: PhotoAnimerClient, finished: StubService, tmp_path: Path, name: str
    ) -> None:
        photo, file = "http://127.0.0.1:9/photo.png", tmp_path / name
        animation = await client.animate(photo, save_to=str(file))
        assert animation.path == file
        assert await asyncio.to_thread(file.read_bytes) == VIDEO
        assert await asyncio.to_thread(os.listdir, file.parent) == [file.name]

    async def test_a_file_that_exists_is_not_overwritten(
        self, client: PhotoAnimerClient, finished: StubService, tmp_path: Path
    ) -> None:
        file = tmp_path / "grandma.mp4"
        file.write_bytes(b"an earlier video")
        animation = await client.animate("http://127.0.0.1:9/photo.png", save_to=file)
        assert animation.path == tmp_path / "grandma-2.mp4"
        assert file.read_bytes() == b"an earlier video"

    async def test_attach_saves_to_it(
        self, client: PhotoAnimerClient, finished: StubService, tmp_path: Path
    ) -> None:
        task_id = await client.submit("http://127.0.0.1:9/photo.png")
        animation = await client.attach(task_id, save_to=tmp_path / "grandma.mp4")
        assert animation.path == tmp_path / "grandma.mp4"

    async def test_an_object_is_one_too(
        self, client: PhotoAnimerClient, finished: StubService, s3: S3Server
    ) -> None:
        photo = "http://127.0.0.1:9/photo.png"
        animation = await client.animate(photo, save_to=f"{URL}/grandma.mp4")
        assert animation.url == f"{URL}/grandma.mp4"
        assert s3.objects() == {"out/grandma.mp4": VIDEO}

    @pytest.mark.parametrize(
        ("save_to", "output_format"), [("grandma.gif", "mp4"), ("grandma.mp4", "gif")]
    )
    async def test_the_suffix_is_that_of_the_result(
        self, client: PhotoAnimerClient, finished: StubService, save_to: str, output_format: str
    ) -> None:
        with pytest.raises(InvalidRequestError, match=rf"the result is a \.{output_format}"):
            await client.animate(
                "http://127.0.0.1:9/photo.png", output_format=output_format, save_to=save_to
            )
        assert finished.submits == []

    async def test_a_batch_refuses_one_file(
        self, client: PhotoAnimerClient, finished: StubService, tmp_path: Path
    ) -> None:
        with pytest.raises(InvalidRequestError, match="names one file"):
            client.animate_many(["http://h/a.png"], save_to="grandma.mp4")
        with pytest.raises(InvalidRequestError, match="names one file"):
            client.resume(tmp_path / "batch.db", save_to="grandma.mp4")


class TestBucket:
    async def test_animate_saves_to_an_object_store(
        self, client: PhotoAnimerClient, finished: StubService, s3: S3Server
    ) -> None:
        animation = await client.animate("http://127.0.0.1:9/photo.png", save_to=URL)
        assert animation.path is None
        assert animation.url == animation.place == f"{URL}/photo.mp4"
        assert s3.objects() == {"out/photo.mp4": VIDEO}

    async def test_a_batch_saves_later_under_the_same_names_if_the_store_refuses(
        self, client: PhotoAnimerClient, finished: StubService, s3: S3Server, tmp_path: Path
    ) -> None:
        photo = tmp_path / "me.png"
        photo.write_bytes(png(64, 64))
        journal = tmp_path / "batch.db"

        async def outcomes() -> AsyncIterator[tuple[State, object]]:
            async for outcome in client.animate_many([photo], save_to=URL, journal=journal):
                saved = outcome.animation and outcome.animation.place
                [entry] = await asyncio.to_thread(entries_of, journal)
                assert entry.folder == URL
                assert entry.destination == f"{URL}/me.mp4"
                assert entry.path == saved
                yield entry.state, saved

        s3.fault = lambda request: (
            403 if request.path.endswith(".mp4") and request.is_upload else None
        )
        assert [found async for found in outcomes()] == [(State.FINISHED, None)]
        s3.fault = None
        saved = [(State.SAVED, f"{URL}/me.mp4")]
        assert [found async for found in outcomes()] == saved
        assert [found async for found in outcomes()] == saved
        assert len(finished.submits) == 1
        assert s3.objects() == {"out/me.mp4": VIDEO}


def entries_of(journal: Path) -> list[Entry]:
    with read_journal(journal) as book:
        return book.page([*State])
