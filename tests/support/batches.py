"""Batches as tests run them, and what their journals hold."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from photoanimer_async import (
    Outcome,
    Photo,
    PhotoAnimerClient,
    State,
)
from photoanimer_async.jobs.journal import Entry, Summary, read_journal

from .pictures import png
from .stub_service import StubService, envelope, serving, task
from .videos import gif, mp4

PHOTO = "http://127.0.0.1:9/a.jpg"
VIDEO = mp4(bytes(5000))
GIF = gif(bytes(3000))


def urls(count: int) -> list[str]:
    return [f"http://127.0.0.1:9/{i}.jpg" for i in range(count)]


async def outcomes_of(client: PhotoAnimerClient, photos: Any, **options: Any) -> list[Outcome]:
    return [outcome async for outcome in client.animate_many(photos, **options)]


async def read_all(journal: Path) -> tuple[Summary, list[Entry]]:
    def entries() -> tuple[Summary, list[Entry]]:
        with read_journal(journal) as store:
            return store.summary(), list(store.entries([*State]))

    return await asyncio.to_thread(entries)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@asynccontextmanager
async def serving_results(stub: StubService, **more: object) -> AsyncIterator[list[web.Request]]:
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


class SlowCleanUpHost:
    """An image host whose clean-up waits until it may end."""

    def __init__(self) -> None:
        self.is_cleaning_up = asyncio.Event()
        self.may_end = asyncio.Event()
        self.is_clean = False

    @asynccontextmanager
    async def publish(self, _: Photo) -> AsyncIterator[str]:
        try:
            yield "https://cdn.example/a.png"
        finally:
            self.is_cleaning_up.set()
            await self.may_end.wait()
            self.is_clean = True


class NeverAnswers:
    """A reply to a request that does not come."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()

    async def __call__(self, _: web.Request) -> web.Response:
        self.arrived.set()
        await asyncio.sleep(3600)
        return web.Response()
