"""The URLs of photos: a new one for each attempt, a bounded number published at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from photoanimer_async import LocalImageHost
from photoanimer_async.jobs.publisher import Publisher
from photoanimer_async.jobs.resources import Holdings
from photoanimer_async.models import Photo

from ..support.pictures import png
from ..support.stub_service import StubService, quick_client

PHOTO = png(64, 64)
ANOTHER = png(65, 64)


class SlowHost:
    """Yields to the loop while it publishes, and counts the publications in progress."""

    def __init__(self) -> None:
        self.most = self._now = 0

    @asynccontextmanager
    async def publish(self, photo: Photo) -> AsyncIterator[str]:
        self._now += 1
        self.most = max(self.most, self._now)
        for _ in range(20):
            await asyncio.sleep(0)
        self._now -= 1
        yield "https://cdn.example/a.bmp"


async def test_each_attempt_gets_a_url_of_its_own_and_all_are_withdrawn_together() -> None:
    async def status(url: str) -> int:
        async with session.get(url) as response:
            return response.status

    async with aiohttp.ClientSession() as session, LocalImageHost() as host:
        async with Holdings() as held:
            publications = Publisher(host, 1).publications(PHOTO, held)
            urls = [await publications.next_url() for _ in range(3)]
            assert len(set(urls)) == 3
            assert {await status(url) for url in urls} == {200}
        assert {await status(url) for url in urls} == {404}


async def test_a_bounded_number_is_published_at_a_time() -> None:
    host = SlowHost()
    publisher = Publisher(host, 4)

    async def publish() -> None:
        async with Holdings() as held:
            await publisher.publications(PHOTO, held).next_url()

    await asyncio.gather(*(publish() for _ in range(50)))
    assert host.most == 4


async def test_a_slow_publication_does_not_delay_other_photos(stub: StubService) -> None:
    first_has_ended = asyncio.Event()

    class SecondWaits:
        @asynccontextmanager
        async def publish(self, photo: Photo) -> AsyncIterator[str]:
            if photo == ANOTHER:
                await first_has_ended.wait()
            yield "https://cdn.example/a.bmp"

    async with quick_client(stub.base_url, host=SecondWaits()) as client:
        ended = []
        async for outcome in client.animate_many([ANOTHER, PHOTO]):
            ended.append((outcome.photo, outcome.ok))
            first_has_ended.set()
    assert ended == [(PHOTO, True), (ANOTHER, True)]
