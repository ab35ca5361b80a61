"""Cost of publishing local photos: a batch of files against the same batch by URL.

Run it on a machine that does nothing else::

    python benchmarks/publishing.py [--photos 500] [--repeats 3] [--quick]

The service is a stub in a process of its own that fetches each photo before it accepts it, as
the real one does; a task has ended 1 s later. Photos by URL come from a web server in a third
process; local photos from the client itself, which checks and serves them. The third way is an
image host that takes 150 ms to publish a photo, as an upload does, and shows whether this
overlaps with submitting and polling. Photos are files of 3 MB. Runs of all ways alternate, so
that ratios are measured side by side; figures are medians.
"""

import argparse
import asyncio
import json
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
from aiohttp import web
from machine import Goal, figures, table

from photoanimer_async import FixedInterval, ImageHost, LocalImageHost, Photo, PhotoAnimerClient

TASK_SECONDS = 1.0
UPLOAD_SECONDS = 0.15
PHOTO_BYTES = 3_000_000
SIDE = 1000
WAYS = ("by URL", "local", "slow host")
ACCEPTED = 10.0
"""Per cent more wall time than by URL, at most."""


def write_photos(folder: Path, count: int) -> None:
    """Write so many bitmaps with different content."""
    size = 54 + 3 * SIDE * SIDE
    head = b"BM" + struct.pack("<IHHI", size, 0, 0, 54)
    head += struct.pack("<IiiHHIIiiII", 40, SIDE, SIDE, 1, 24, 0, 0, 0, 0, 0, 0)
    for number in range(count):
        pixels = struct.pack("<I", number) * (3 * SIDE * SIDE // 4)
        (folder / f"{number}.bmp").write_bytes(head + pixels)


# --- the other processes ---


async def serve(application: web.Application) -> None:
    """Serve until terminated; print the port."""
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def stub() -> web.Application:
    """Run a service that fetches photos and takes a second for each."""
    ends: dict[int, float] = {}
    session_key = web.AppKey("session", aiohttp.ClientSession)

    async def sessions(application: web.Application) -> AsyncIterator[None]:
        async with aiohttp.ClientSession() as application[session_key]:
            yield

    async def submit(request: web.Request) -> web.Response:
        received = 0
        async with request.app[session_key].get(request.query["imageUrl"]) as photo:
            async for chunk in photo.content.iter_any():
                received += len(chunk)
        assert received > PHOTO_BYTES, received
        task_id = len(ends) + 1
        ends[task_id] = time.monotonic() + TASK_SECONDS
        return envelope(task_id)

    async def get_task_info(request: web.Request) -> web.Response:
        task_id = int(request.query["taskId"])
        has_ended = time.monotonic() >= ends[task_id]
        link = {"resultUrl": "http://127.0.0.1/x.mp4"} if has_ended else {}
        return envelope({"taskId": task_id, "status": int(has_ended), **link})

    application = web.Application()
    application.cleanup_ctx.append(sessions)
    application.router.add_get("/api/v1/faceDriven/submitTaskByUrl", submit)
    application.router.add_get("/api/v1/faceDriven/getTaskInfo", get_task_info)
    return application


def envelope(data: object) -> web.Response:
    """Return the API's answer around this data."""
    return web.json_response({"code": 0, "data": data, "msg": None, "time": 1})


def web_server(folder: str) -> web.Application:
    """Serve photos as any web server does."""
    application = web.Application()
    application.router.add_static("/", folder)
    return application


@contextmanager
def running(*arguments: str) -> Iterator[str]:
    """Run one of the servers; give its origin."""
    command = [sys.executable, __file__, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - this very file
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


# --- the batch ---


class SlowHost:
    """An image host that takes as long as an upload."""

    def __init__(self, photos: str) -> None:
        self._photos = photos

    @asynccontextmanager
    async def publish(self, photo: Photo) -> AsyncIterator[str]:
        """Give the photo's URL, after a while."""
        await asyncio.sleep(UPLOAD_SECONDS)
        yield f"{self._photos}/{Path(str(photo)).name}"


async def drive(way: str, service: str, photos: str, folder: Path, count: int) -> float:
    """Run one batch; return the seconds it took."""
    names = [f"{number}.bmp" for number in range(count)]
    where: list[Photo] = [f"{photos}/{name}" if way == WAYS[0] else folder / name for name in names]
    host: ImageHost = SlowHost(photos) if way == WAYS[2] else LocalImageHost()
    async with PhotoAnimerClient(
        "key", base_url=f"{service}/api/v1", host=host, poll=FixedInterval(0.1)
    ) as client:
        begun, done = time.monotonic(), 0
        async for outcome in client.animate_many(where):
            outcome.unwrap()
            done += 1
        assert done == count
        return time.monotonic() - begun


def measured(way: str, photos: str, folder: Path, count: int) -> dict[str, float]:
    """Run one batch in a process of its own, against a new stub."""
    with running("--serve-stub") as service:
        command = [sys.executable, __file__, "--child", way, service, photos, str(folder)]
        done = subprocess.run(  # noqa: S603 - this very file
            [*command, str(count)], capture_output=True, text=True, check=False
        )
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def compared(count: int, repeats: int) -> dict[str, dict[str, float]]:
    """Return medians for each way."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_photos(folder, count)
        with running("--serve-photos", name) as photos:
            for repeat in range(repeats):
                for way in WAYS if repeat % 2 else reversed(WAYS):
                    found[way].append(measured(way, photos, folder, count))
    return {
        way: {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        for way, runs in found.items()
    }


def child(way: str, service: str, photos: str, folder: str, count: str) -> None:
    """Do what a child process is started for."""
    wall = asyncio.run(drive(way, service, photos, Path(folder), int(count)))
    print(json.dumps({"wall": wall, "cpu": time.process_time()}))


def main() -> None:
    """Run the batches and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="20 photos, one run each")
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("--serve-stub", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--serve-photos", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        child(*chosen.child)
    elif chosen.serve_stub:
        asyncio.run(serve(stub()))
    elif chosen.serve_photos:
        asyncio.run(serve(web_server(chosen.serve_photos)))
    else:
        count, repeats = (20, 1) if chosen.quick else (chosen.photos, chosen.repeats)
        costs = compared(count, repeats)
        base = costs[WAYS[0]]["wall"]
        rows = [
            [
                way,
                f"{cost['wall']:.2f}",
                f"{100 * (cost['wall'] / base - 1):+.0f} %",
                f"{cost['cpu']:.2f}",
            ]
            for way, cost in costs.items()
        ]
        figures(
            "publishing",
            f"{count:,} photos of {PHOTO_BYTES / 1e6:g} MB, medians of {repeats}:",
            table(["photos", "wall, s", "more than by URL", "CPU, s"], rows),
            packages=["aiohttp"],
        )
        more = 100 * (costs[WAYS[1]]["wall"] / base - 1)
        Goal("a batch of local photos, longer than by URL", more, ACCEPTED, "%").print()


if __name__ == "__main__":
    main()
