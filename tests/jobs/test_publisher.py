"""A local photo gets a new URL from the image host for each submit."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from photoanimer_async.errors import HostingError
from photoanimer_async.jobs.publisher import Publisher
from photoanimer_async.models import AnimationOptions, Photo

from ..support.pictures import png
from ..support.stub_service import StubService, quick_client


class RecordingHost:
    """Gives each photo a new URL; remembers what is published now, and the most at once."""

    def __init__(self) -> None:
        self.published: list[str] = []
        self.most_entering = self._entering = self._count = 0

    @asynccontextmanager
    async def publish(self, photo: Photo) -> AsyncIterator[str]:
        self._entering += 1
        self.most_entering = max(self.most_entering, self._entering)
        for _ in range(20):
            await asyncio.sleep(0)
        self._entering -= 1
        self._count += 1
        url = f"https://cdn.example/{self._count}"
        self.published.append(url)
        yield url
        self.published.remove(url)


async def test_each_submit_gets_a_new_url_until_the_resources_are_closed() -> None:
    host = RecordingHost()
    async with AsyncExitStack() as resources:
        urls = [await Publisher(host, 1).publish("me.jpg", resources) for _ in range(3)]
        assert len(set(urls)) == 3
        assert host.published == urls
    assert host.published == []


async def test_a_photo_that_is_a_url_is_its_own_url_and_the_host_is_not_asked() -> None:
    host, url = RecordingHost(), "HTTPS://example.com/a.jpg?b=%2F"
    async with AsyncExitStack() as resources:
        assert await Publisher(host, 1).publish(url, resources) == url
        assert host.published == []


async def test_publishing_is_bounded() -> None:
    host = RecordingHost()
    publisher = Publisher(host, 4)

    async def publish() -> None:
        async with AsyncExitStack() as resources:
            await publisher.publish("me.jpg", resources)

    await asyncio.gather(*(publish() for _ in range(50)))
    assert host.most_entering == 4


async def test_a_voice_file_is_published_in_place_of_its_path() -> None:
    host = RecordingHost()
    options = AnimationOptions(template=0, voice=Path("hello.wav"))
    async with AsyncExitStack() as resources:
        sent = await Publisher(host, 1).publish_voice(options, resources)
        assert sent.voice is None
        assert [sent.voice_url] == host.published


async def test_an_error_names_the_original_of_a_prepared_copy() -> None:
    class FullHost:
        @asynccontextmanager
        async def publish(self, photo: Photo) -> AsyncIterator[str]:
            if photo:
                raise HostingError(f"{photo!s}: cannot be uploaded")
            yield ""

    with pytest.raises(HostingError) as caught:
        async with AsyncExitStack() as resources:
            await Publisher(FullHost(), 1).publish("/tmp/copy.jpg", resources, original="me.heic")
    assert str(caught.value) == "me.heic: cannot be uploaded"


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
