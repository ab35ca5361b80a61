"""Memory of the local service over hours of use.

    python benchmarks/soak.py [--hours 2] [--rate 20] [--quick]

Customers submit photos, with GIFs and without, poll until the task has ended, and download the
result. Some use a wrong key, poll an unknown task, send a photo that is none, or hang up before the
answer. Others open connections and send nothing. Accounts are added and revoked. Videos are ready
at once, as the service is measured and not the engine; results are kept for 20 s and tasks for
40 s, so that everything is also deleted. Photos have 1 KB, 94 KB or 2 MB, since the C library's
allocator takes longest to settle with large ones.

The service's disk is full for some seconds of each minute: then submits are answered with HTTP
status 503 and repeated, and accepted tasks end later. It is a small one of its own, which root may
mount; otherwise this part is left out.

Memory is the median of what the service's process holds in a tenth of the run: the third tenth,
when it has settled, and the last one. The exit status is 1 if it has grown by more than 2 % (5 % in
the quick form, in which it hardly settles), or if an answer was not as expected.
"""

import argparse
import asyncio
import sqlite3
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from attrs import define, field
from load_servers import Server
from machine import Goal, figures, table

from photoanimer_async.service import AccountBook, AccountError, SetupError

_ALLOWED = 1.02
_ALLOWED_QUICK = 1.05
_SAMPLE_SECONDS = 1.0
_AT_ONCE = 200
_REVOKE_EVERY = 30.0
_QUICK_HOURS = 3 / 60
_SILENT = 50
_SILENT_SECONDS = 15.0
_LONGEST_PATIENCE = 0.05
_DISK_MIB = 256
_FULL_EVERY = 60.0
_FULL_SECONDS = 5.0
_NO_STORAGE = 50301


@define
class Customers:
    """People who use a service, correctly and incorrectly."""

    origin: str
    photos: str
    keys: list[str]
    session: aiohttp.ClientSession
    rng: Random = field(factory=lambda: Random(7))  # noqa: S311 - chance, no secret
    seen: Counter[str] = field(factory=Counter)
    wrong: Counter[str] = field(factory=Counter)

    async def use(self, rate: float, until: float) -> None:
        """Start so many uses a second, at uneven times."""
        slots = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            while time.monotonic() < until:
                await slots.acquire()
                group.create_task(self._one()).add_done_callback(lambda _: slots.release())
                await asyncio.sleep(self.rng.expovariate(rate))

    async def _one(self) -> None:
        kind = self.rng.choices(
            ["video", "gif", "wrong key", "no task", "no photo", "hang-up"], [55, 25, 5, 5, 5, 5]
        )[0]
        self.seen[kind] += 1
        try:
            await self._use(kind)
        except (aiohttp.ClientError, TimeoutError) as error:
            self.wrong[f"{kind}: {type(error).__name__}"] += 1

    async def _use(self, kind: str) -> None:
        key = self.rng.choice(self.keys)
        match kind:
            case "wrong key":
                await self._expect(kind, 4003, "mySubscription", "a-wrong-key")
            case "no task":
                task = f"faceDriven/getTaskInfo?taskId={self.rng.randrange(10**14)}"
                await self._expect(kind, 40004, task, key)
            case "no photo":
                submit = f"faceDriven/submitTaskByUrl?templateId=1&imageUrl={self.origin}/api/v1"
                await self._expect(kind, 40011, submit, key)
            case "hang-up":
                await self._hang_up(key)
            case _:
                await self._animate(kind, key)

    async def _hang_up(self, key: str) -> None:
        """Submit a photo, and leave before the answer or with it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.rng.uniform(0, _LONGEST_PATIENCE)):
                await self._submit("hang-up", key, f"templateId=1&imageUrl={self.photos}/left.png")

    async def _animate(self, kind: str, key: str) -> None:
        template = self.rng.randrange(6)
        image_url = f"{self.photos}/{self.rng.randrange(10**9)}.png"
        query = f"templateId={template}&imageUrl={image_url}"
        query += "&outputFormat=gif" if kind == "gif" else ""
        task_id = await self._submit(kind, key, query)
        poll = f"faceDriven/getTaskInfo?taskId={task_id}"
        while (info := await self._expect(kind, 0, poll, key))["status"] == 0:  # noqa: ASYNC110 - there is a service on the other side
            await asyncio.sleep(self.rng.uniform(0.01, 0.2))
        if info["status"] != 1:
            self.wrong[f"{kind}: {info}"] += 1
            return
        async with self.session.get(info["resultUrl"]) as response:
            self.seen[f"download, HTTP {response.status}"] += 1
            await response.read()

    async def _submit(self, kind: str, key: str, query: str) -> int:
        """Submit a photo, again and again while the disk is full, and return the task's id."""
        path = f"faceDriven/submitTaskByUrl?{query}"
        while True:
            envelope = await self._envelope(path, key)
            if envelope["code"] != _NO_STORAGE:
                task_id: int = self._checked(kind, 0, envelope)
                return task_id
            self.seen["refused while the disk was full"] += 1
            await asyncio.sleep(self.rng.uniform(0.5, 1.5))

    async def _expect(self, kind: str, code: int, path: str, key: str) -> Any:
        return self._checked(kind, code, await self._envelope(path, key))

    async def _envelope(self, path: str, key: str) -> dict[str, Any]:
        url = f"{self.origin}/api/v1/{path}"
        async with self.session.get(url, headers={"APIKEY": key}) as response:
            envelope: dict[str, Any] = await response.json()
        return envelope

    def _checked(self, kind: str, code: int, envelope: dict[str, Any]) -> Any:
        if envelope["code"] != code:
            self.wrong[f"{kind}: {envelope['code']} {envelope['msg']}"] += 1
        return envelope["data"]


async def watch(server: Server, samples: list[float]) -> None:
    """Record the memory for ever, in MiB."""
    while True:
        samples.append(await asyncio.to_thread(lambda: server.memory) / 2**20)
        await asyncio.sleep(_SAMPLE_SECONDS)


async def come_and_go(book: AccountBook) -> None:
    """Add an account and revoke it, for ever, as far as the disk has room for that."""
    while True:
        for change in (partial(book.add, rate=5), book.revoke):
            # Without room there is no account to revoke, or no revoking one.
            with suppress(sqlite3.Error, SetupError, AccountError):
                await asyncio.to_thread(change, "guest")
            await asyncio.sleep(_REVOKE_EVERY)


async def stay_silent(origin: str) -> None:
    """Hold connections on which nothing is sent, for ever; the service closes them."""
    where = urlsplit(origin)
    while True:
        streams = [
            await asyncio.open_connection(where.hostname, where.port) for _ in range(_SILENT)
        ]
        await asyncio.sleep(_SILENT_SECONDS)
        for _, writer in streams:
            writer.close()


async def fill_disk(folder: Path, seen: Counter[str]) -> None:
    """Fill the disk for some seconds of each minute, for ever."""
    filler = folder / "filler"
    while True:
        await asyncio.sleep(_FULL_EVERY - _FULL_SECONDS)
        try:
            await asyncio.to_thread(_fill, filler)
            seen["full disk"] += 1
            await asyncio.sleep(_FULL_SECONDS)
        finally:
            filler.unlink()


def _fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(2**20)):
            pass


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mount a small disk at a folder; yield whether that is allowed."""
    options = ["-t", "tmpfs", "-o", f"size={_DISK_MIB}m", "photoanimer-soak"]
    mounting = subprocess.run(["mount", *options, folder], check=False, capture_output=True)  # noqa: S603, S607 - the system's
    is_mounted = mounting.returncode == 0
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "-l", folder], check=True)  # noqa: S603, S607 - the system's


async def soak(
    server: Server,
    photos: Server,
    book: AccountBook,
    *,
    disk: Path | None,
    rate: float,
    hours: float,
) -> tuple[Customers, list[float]]:
    """Run the customers; return them, and the memory over time.

    Args:
        server: the service.
        photos: has the photos.
        book: the service's accounts.
        disk: the service's folder, if it may be filled.
        rate: uses a second.
        hours: how long.
    """
    keys = [book.add(f"customer {number}", seconds=1e9) for number in range(5)]
    samples: list[float] = []
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        customers = Customers(server.origin, photos.origin, keys, session)
        others = [
            group.create_task(watch(server, samples)),
            group.create_task(come_and_go(book)),
            group.create_task(stay_silent(server.origin)),
        ]
        if disk is not None:
            others.append(group.create_task(fill_disk(disk, customers.seen)))
        await asyncio.sleep(2)  # until the service knows the keys
        await customers.use(rate, time.monotonic() + hours * 3600)
        for other in others:
            other.cancel()
    return customers, samples


def tenth(samples: Sequence[float], number: int) -> float:
    """Return the median of a tenth; the first one is 0."""
    size = len(samples) / 10
    return statistics.median(samples[int(number * size) : int((number + 1) * size)])


def main() -> int:
    """Run, and print the result."""
    arguments = argparse.ArgumentParser(description="Hours of use.")
    arguments.add_argument("--hours", type=float, default=2.0)
    arguments.add_argument("--rate", type=float, default=20.0, help="uses a second")
    arguments.add_argument("--quick", action="store_true", help="3 minutes")
    chosen = arguments.parse_args()
    hours = _QUICK_HOURS if chosen.quick else chosen.hours
    with TemporaryDirectory(prefix="soak-") as place, small_disk(Path(place)) as is_mounted:
        folder = Path(place)
        with (
            Server("photos-mixed", folder) as photos,
            Server("service-instant", folder) as server,
        ):
            book = AccountBook(folder)
            disk = folder if is_mounted else None
            customers, samples = asyncio.run(
                soak(server, photos, book, disk=disk, rate=chosen.rate, hours=hours)
            )
        files = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
    growth = tenth(samples, 9) / tenth(samples, 2)
    figures(
        "soak",
        f"Memory after {sum(customers.seen.values()):,} uses in {hours:g} hours: "
        f"{tenth(samples, 9):.0f} MiB, {100 * (growth - 1):+.1f} % since a third of them.",
        packages=["aiohttp"],
    )
    Goal("growth of the service's memory", growth, _ALLOWED).print()
    rows = [[str(number + 1), f"{tenth(samples, number):.1f}"] for number in range(10)]
    print(table(("tenth", "memory, MiB"), rows))
    print(f"files in the end: {files:.1f} MiB")
    print("used:", dict(customers.seen))
    print("not as expected:", dict(customers.wrong))
    allowed = _ALLOWED_QUICK if chosen.quick else _ALLOWED
    return 0 if growth <= allowed and not customers.wrong else 1


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
