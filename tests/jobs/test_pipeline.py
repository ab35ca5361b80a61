"""One photo from its file to its saved result, with a service that fetches it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from photoanimer_async import (
    DownloadError,
    HostingError,
    InvalidPhotoError,
    PhotoAnimerClient,
)

from ..support.batches import GIF, VIDEO, names_in, serving_results
from ..support.pictures import png
from ..support.stub_service import KEY, StubService, envelope, quick_client, task


async def test_a_file_becomes_a_saved_video(
    client: PhotoAnimerClient, stub: StubService, photo: Path, tmp_path: Path
) -> None:
    async with serving_results(stub) as requests:
        animation = await client.animate(photo, template=1, save_to=tmp_path / "out")
    assert animation.path == tmp_path / "out" / "grandma.mp4"
    assert animation.path.read_bytes() == VIDEO
    assert animation.task_id == stub.next_id
    assert names_in(tmp_path / "out") == {"grandma.mp4"}
    *_, download = requests
    assert "APIKEY" not in download.headers
    assert KEY not in str(download.headers)


async def test_content_without_save_to_is_not_downloaded(
    client: PhotoAnimerClient, stub: StubService
) -> None:
    async with serving_results(stub):
        animation = await client.animate(png(64, 64))
    assert animation.path is None
    assert animation.info.result_url is not None


async def test_the_photo_is_withdrawn_when_its_task_has_ended(
    client: PhotoAnimerClient, stub: StubService, photo: Path
) -> None:
    async with serving_results(stub):
        await client.animate(photo)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(stub.submits[0].query["imageUrl"])


async def test_output_format_gif_saves_the_gif(
    client: PhotoAnimerClient, stub: StubService, photo: Path, tmp_path: Path
) -> None:
    async with serving_results(stub):
        animation = await client.animate(photo, output_format="gif", save_to=tmp_path)
    assert animation.path == tmp_path / "grandma.gif"
    assert animation.path.read_bytes() == GIF


async def test_results_never_overwrite_one_another(
    client: PhotoAnimerClient, stub: StubService, photo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    async with serving_results(stub):
        first = await client.animate(photo, save_to=out)
        outcomes = [o async for o in client.animate_many([photo, photo, photo], save_to=out)]
    paths = {first.path, *(o.unwrap().path for o in outcomes)}
    assert {p.name for p in paths if p} == {f"grandma{n}.mp4" for n in ("", "-2", "-3", "-4")}


async def test_an_unwritable_folder_raises_before_the_submit(
    client: PhotoAnimerClient, stub: StubService, photo: Path
) -> None:
    with pytest.raises(DownloadError, match=r"grandma\.png"):
        await client.animate(photo, save_to=photo / "out")
    assert stub.requests == []


async def test_an_unfit_photo_is_not_submitted(
    client: PhotoAnimerClient, stub: StubService, tmp_path: Path
) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("this is no picture")
    with pytest.raises(InvalidPhotoError, match=r"text\.jpg.*is text"):
        await client.animate(text)
    assert stub.requests == []


async def test_a_remote_service_cannot_fetch_local_photos(photo: Path) -> None:
    async with quick_client("https://photo-animer.invalid/api/v1") as client:
        with pytest.raises(HostingError, match="public URL"):
            await client.animate(photo)


async def test_a_custom_image_host(stub: StubService, photo: Path) -> None:
    class MyHost:
        withdrawn = 0

        @asynccontextmanager
        async def publish(self, photo: object) -> AsyncIterator[str]:
            try:
                yield f"https://cdn.invalid/{Path(str(photo)).name}"
            finally:
                self.withdrawn += 1

    host = MyHost()
    async with quick_client(stub.base_url, host=host) as client:
        await client.animate(photo)
        stub.submit_script = [lambda _: envelope(code=9010)]
        with pytest.raises(Exception, match="9010"):
            await client.animate(photo)
    assert stub.submits[0].query["imageUrl"] == "https://cdn.invalid/grandma.png"
    assert host.withdrawn == 2


async def test_a_detached_photo_stays_published_until_its_task_ends(
    stub: StubService, photo: Path
) -> None:
    stub.finished = lambda _: envelope(task(471367831765062, 0))
    async with quick_client(stub.base_url) as client, aiohttp.ClientSession() as session:
        animation = asyncio.create_task(client.animate(photo))
        while not stub.polls:
            await asyncio.sleep(0.001)
        animation.cancel()
        with pytest.raises(asyncio.CancelledError):
            await animation
        image_url = stub.submits[0].query["imageUrl"]
        async with session.get(image_url) as response:
            assert response.status == 200
        stub.finished = None
        await client.attach(471367831765062)
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(image_url)
