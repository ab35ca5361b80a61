"""What runs in the processes that are killed: our client, and a naive one."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from photoanimer_async import FixedInterval, PhotoAnimerClient, PhotoAnimerError, RetryPolicy

from .ledger_service import API

_RETRY = RetryPolicy(tries=6, first_wait=0.001, longest_wait=0.01)
_IN_FLIGHT = 16


async def animate(origin: str, photos: Sequence[str], folder: Path, *, resume: bool) -> None:
    """Our client: the same batch again, or what its journal says, until nothing is left."""
    journal = folder / "batch.db"
    out = folder / "out"
    async with PhotoAnimerClient(
        "key",
        base_url=origin + API,
        concurrency=8,
        poll=FixedInterval(0.005),
        retry=_RETRY,
        timeout=1.0,
    ) as client:
        outcomes = (
            client.resume(journal, in_flight=_IN_FLIGHT)
            if resume
            else client.animate_many(photos, save_to=out, journal=journal, in_flight=_IN_FLIGHT)
        )
        async for _ in outcomes:
            pass


async def animate_naively(origin: str, photos: Sequence[str], folder: Path) -> None:
    """A loop as many people write it: a submit is tried again on any error.

    It does remember what it has saved, and so survives being killed, in its way.
    """
    done = folder / "done.txt"
    saved = set(await asyncio.to_thread(_lines, done))
    slots = asyncio.Semaphore(_IN_FLIGHT)
    timeout = aiohttp.ClientTimeout(total=1.0)
    async with aiohttp.ClientSession(origin, timeout=timeout) as session:

        async def get(path: str, **query: str) -> object:
            for _ in range(6):
                try:
                    async with session.get(f"{API}/faceDriven/{path}", params=query) as answer:
                        answer.raise_for_status()
                        return (await answer.json())["data"]
                except (aiohttp.ClientError, TimeoutError, json.JSONDecodeError):
                    await asyncio.sleep(0.005)
            raise PhotoAnimerError("six times in vain")

        async def one(photo: str) -> None:
            async with slots:
                try:
                    task_id = await get("submitTaskByUrl", imageUrl=photo, templateId="1")
                    while True:
                        info = await get("getTaskInfo", taskId=str(task_id))
                        if isinstance(info, dict) and info.get("status"):
                            break
                        await asyncio.sleep(0.005)
                except PhotoAnimerError:
                    return
                await asyncio.to_thread(_append, done, photo)

        await asyncio.gather(*(one(photo) for photo in photos if photo not in saved))


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _append(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(f"{line}\n")
