"""A host of the user's own, and what the fetches that a host counts prove."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from photoanimer_async import Evidence, LocalImageHost, PhotoAnimerClient
from photoanimer_async.models import Photo
from photoanimer_async.storage.image_host import evidence_of

from ..support.pictures import png


class MinimalHost:
    @asynccontextmanager
    async def publish(self, photo: Photo) -> AsyncIterator[str]:
        yield f"https://cdn.example/{photo!s}"


class TestEvidence:
    async def test_a_fetch_proves_that_the_submit_arrived(
        self, session: aiohttp.ClientSession
    ) -> None:
        host = LocalImageHost()
        async with host.publish(png(64, 64)) as url:
            assert await evidence_of(host, url, within=0) is Evidence.NOT_FETCHED
            waiting = asyncio.create_task(evidence_of(host, url, within=60))
            async with session.get(url):
                assert await waiting is Evidence.FETCHED
        # Withdrawn: the number of fetches is unknown, not 0.
        assert await evidence_of(host, url, within=0) is Evidence.NONE

    async def test_a_host_that_does_not_count_fetches_proves_nothing(self) -> None:
        assert await evidence_of(MinimalHost(), "http://h/a.jpg", within=0) is Evidence.NONE

    @pytest.mark.filterwarnings("ignore:coroutine")  # it is not awaited, as the host should know
    async def test_a_count_that_is_no_number_proves_nothing(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        class AsyncHost(MinimalHost):
            async def fetches(self, _: str) -> int:
                return 0

        assert await evidence_of(AsyncHost(), "http://h/a.jpg?sig=1", 0) is Evidence.NONE
        assert "http://h/a.jpg?…: its image host cannot count fetches: TypeError" in caplog.text

    async def test_a_url_of_another_host_proves_nothing(self) -> None:
        assert await evidence_of(LocalImageHost(), "http://h/a.jpg", within=0) is Evidence.NONE


async def test_a_host_is_kept_open_while_a_client_is() -> None:
    steps: list[str] = []

    class Host(MinimalHost):
        @asynccontextmanager
        async def kept_open(self) -> AsyncIterator[None]:
            steps.append("opened")
            yield
            steps.append("closed")

    async with PhotoAnimerClient("key", base_url="http://127.0.0.1:9/api/v1", host=Host()):
        assert steps == ["opened"]
    assert steps == ["opened", "closed"]
