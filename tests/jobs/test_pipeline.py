"""One photo from its file to its saved result, with a service that fetches it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from photoanimer_async import (
    AnimationOptions,
    AnimationRequest,
    DownloadError,
    HostingError,
    InvalidPhotoError,
    Photo,
    PhotoAnimerClient,
)

from ..support.batches import GIF, VIDEO, names_in, outcomes_of, serving_results
from ..support.pictures import png, quarters, saved
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
    stub: StubService, photo: Path
) -> None:
    async with aiohttp.ClientSession() as session:
        async with quick_client(stub.base_url) as client, serving_results(stub):
            await client.animate(photo)
            url = stub.submits[0].query["imageUrl"]
            assert (await session.get(url)).status == 404
            await client.animate(photo)
        first, second = (submit.query["imageUrl"] for submit in stub.submits)
        assert first != second
        assert urlsplit(first).netloc == urlsplit(second).netloc  # one server for both
        # It ends with the client.
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(url)


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
        async with session.get(image_url) as response:
            assert response.status == 404


# --- a local photo gets a new URL from the image host for each submit ---


class RecordingHost:
    """Gives each photo a new URL; remembers what was published, and the most at once."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.published: list[str] = []
        self.most_entering = self._entering = 0

    @asynccontextmanager
    async def publish(self, photo: Photo) -> AsyncIterator[str]:
        self._entering += 1
        self.most_entering = max(self.most_entering, self._entering)
        for _ in range(20):
            await asyncio.sleep(0)
        self._entering -= 1
        url = f"https://cdn.example/{len(self.urls)}"
        self.urls.append(url)
        self.published.append(url)
        yield url
        self.published.remove(url)


async def test_each_submit_gets_a_new_url_until_the_job_has_ended(
    stub: StubService, photo: Path
) -> None:
    host = RecordingHost()

    def busy(_: web.Request) -> web.Response:
        assert len(host.published) == len(host.urls) == len(stub.submits)
        return envelope(code=503, status=503)

    stub.submit_script = [busy, busy]
    async with quick_client(stub.base_url, host=host) as client:
        await client.animate(photo)
    assert [submit.query["imageUrl"] for submit in stub.submits] == host.urls
    assert len(set(host.urls)) == 3
    assert host.published == []


async def test_a_photo_that_is_a_url_is_its_own_url_and_the_host_is_not_asked(
    stub: StubService,
) -> None:
    host, url = RecordingHost(), "HTTPS://example.com/a.jpg?b=%2F"
    async with quick_client(stub.base_url, host=host) as client:
        await client.animate(url)
    assert stub.submits[0].query["imageUrl"] == url
    assert host.urls == []


async def test_publishing_is_bounded(stub: StubService) -> None:
    host = RecordingHost()
    async with quick_client(stub.base_url, host=host, concurrency=4) as client:
        await outcomes_of(client, [png(64, 64)] * 50, in_flight=50)
    assert host.most_entering == 4


async def test_a_voice_file_is_published_in_place_of_its_path(
    stub: StubService, tmp_path: Path
) -> None:
    host, voice = RecordingHost(), tmp_path / "hello.wav"
    voice.write_bytes(b"RIFF\x24\0\0\0WAVEfmt " + bytes(64))
    request = AnimationRequest(
        "http://127.0.0.1:9/a.jpg", AnimationOptions(template=0, voice=voice)
    )
    async with quick_client(stub.base_url, host=host) as client:
        await outcomes_of(client, [request])
    assert [stub.submits[0].query["voiceUrl"]] == host.urls
    assert host.published == []


async def test_an_error_names_the_original_of_a_prepared_copy(
    stub: StubService, tmp_path: Path
) -> None:
    class FullHost:
        @asynccontextmanager
        async def publish(self, photo: Photo) -> AsyncIterator[str]:
            if photo:
                raise HostingError(f"{photo!s}: cannot be uploaded")
            yield ""

    original = tmp_path / "me.tif"
    original.write_bytes(saved(quarters(), "TIFF"))
    async with quick_client(stub.base_url, host=FullHost()) as client:
        with pytest.raises(HostingError) as caught:
            await client.animate(original, prepare=True)
    assert str(caught.value) == f"{original}: cannot be uploaded"


async def test_a_slow_upload_does_not_hold_up_other_photos(stub: StubService) -> None:
    first_ended = asyncio.Event()
    slow, quick = png(64, 64), png(65, 64)

    class SlowForOne:
        @asynccontextmanager
        async def publish(self, photo: Photo) -> AsyncIterator[str]:
            if photo == slow:
                await first_ended.wait()
            yield "https://cdn.example/a.png"

    async with quick_client(stub.base_url, host=SlowForOne()) as client:
        ended = []
        async for outcome in client.animate_many([slow, quick]):
            ended.append((outcome.photo, outcome.ok))
            first_ended.set()
    assert ended == [(quick, True), (slow, True)]
