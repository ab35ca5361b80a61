"""A studio that closes while the rest of a body, already answered, is still on its way."""

import asyncio

import pytest

from photoanimer_async.photos.rules import MAX_SOURCE_BYTES
from photoanimer_async.studio import web_app

from .conftest import OpenStudio, Page


@pytest.fixture(autouse=True)
def long_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_app, "_SHUTDOWN_SECONDS", 600.0)
    monkeypatch.setattr(web_app, "_LINGERING_SECONDS", 600.0)


@pytest.fixture
async def page(open_studio: OpenStudio) -> Page:
    return await open_studio()


async def close_and_reopen(open_studio: OpenStudio) -> None:
    async with asyncio.timeout(60):
        await open_studio()


async def test_a_studio_closes_although_the_rest_of_a_body_is_missing(
    open_studio: OpenStudio, page: Page
) -> None:
    async with page.partial_upload(MAX_SOURCE_BYTES) as (reader, _):
        assert b" 413 " in await reader.readuntil(b"}")
        await close_and_reopen(open_studio)
        assert await reader.read() == b""


async def test_a_sender_that_reads_late_gets_the_answer_of_a_studio_that_closes(
    open_studio: OpenStudio, page: Page
) -> None:
    async with page.partial_upload(MAX_SOURCE_BYTES) as (reader, writer):
        for _ in range(100):
            writer.write(bytes(2**16))
            await writer.drain()
        closing = asyncio.create_task(close_and_reopen(open_studio))
        writer.write(bytes(2**16))
        await closing
        assert b" 413 " in await reader.readuntil(b"}")
