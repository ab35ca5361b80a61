"""Batches as tests run them, and what their journals hold."""

import asyncio
from pathlib import Path
from typing import Any

from aiohttp import web

from photoanimer_async import (
    Outcome,
    PhotoAnimerClient,
    State,
)
from photoanimer_async.jobs.journal import Entry, Summary, read_journal

VIDEO = b"\0\0\0\x18ftypmp42" + bytes(5000)


def urls(count: int) -> list[str]:
    return [f"http://127.0.0.1:9/{i}.jpg" for i in range(count)]


async def drop(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def outcomes_of(client: PhotoAnimerClient, photos: Any, **options: Any) -> list[Outcome]:
    return [outcome async for outcome in client.animate_many(photos, **options)]


async def read_all(journal: Path) -> tuple[Summary, list[Entry]]:
    def entries() -> tuple[Summary, list[Entry]]:
        with read_journal(journal) as store:
            return store.summary(), list(store.entries([*State]))

    return await asyncio.to_thread(entries)
