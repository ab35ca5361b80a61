"""What an account notices of another one that floods the local service.

    python benchmarks/neighbours.py [--seconds 60] [--quick]

One account submits a portrait of 94 KB four times a second, each measured from the moment at which
it was due. At first it is alone. Then another one keeps 64 submits open all the time, and sends the
next whatever the answer is: at first of the same portrait, which fills its part of the queue, and
then of photos of which a byte a second arrives. Eight renders run at the same time and take half a
second, without processor time; each account may have half of them.

The last columns show how long the account's tasks wait until their render begins, in durations of
a render.
"""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
from attrs import define, field
from load_servers import RENDER_SECONDS, Server
from machine import figures, table

from photoanimer_async.service import AccountBook

_RATE = 4.0
_OPEN_SUBMITS = 64
_SUBMIT = "/api/v1/faceDriven/submitTaskByUrl?templateId=1&imageUrl="
_CLIENT = Path(__file__).with_name("load_client.py")


@define
class Neighbour:
    """The account that is measured.

    Attributes:
        origin: the service.
        key: the account's key.
        waits: seconds that each submit took.
        accepted: when each task was accepted, by its id.
    """

    origin: str
    key: str
    waits: list[float] = field(factory=list)
    accepted: dict[int, float] = field(factory=dict)

    async def use(self, photo: str, seconds: float) -> None:
        """Submit the photo at even times."""
        url = f"{self.origin}{_SUBMIT}{photo}"
        began = time.monotonic()
        async with (
            aiohttp.ClientSession(headers={"APIKEY": self.key}) as session,
            asyncio.TaskGroup() as submits,
        ):
            for number in range(int(seconds * _RATE)):
                due = began + number / _RATE
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                submits.create_task(self._submit(session, url, due))

    async def _submit(self, session: aiohttp.ClientSession, url: str, due: float) -> None:
        async with session.get(url) as response:
            envelope = await response.json()
        now = time.monotonic()
        assert envelope["code"] == 0, envelope
        self.waits.append(now - due)
        self.accepted[envelope["data"]] = now


@asynccontextmanager
async def flooding(origin: str, key: str, targets: list[str]) -> AsyncIterator[None]:
    """Keep submits open for the duration of the block."""
    flood = await asyncio.create_subprocess_exec(
        *(sys.executable, _CLIENT, "insist", origin, str(_OPEN_SUBMITS), "0"),
        stdin=subprocess.PIPE,
        env=os.environ | {"LOAD_KEY": key},
    )
    assert flood.stdin is not None
    flood.stdin.write("\n".join(targets).encode())
    flood.stdin.close()
    await asyncio.sleep(1.0)  # until it is under way
    try:
        yield
    finally:
        assert flood.returncode is None, "the flood has ended"
        flood.send_signal(signal.SIGTERM)
        await flood.wait()


async def measured(
    folder: Path, seconds: float, flood: str | None
) -> tuple[list[float], list[float]]:
    """Return sorted seconds: of the submits, and until the renders begin.

    Args:
        folder: for the service's data.
        seconds: how long to measure.
        flood: kind of the server that has the photos of the other account, if there is one.
    """
    with ExitStack() as stack:
        book = AccountBook(folder)
        ours, theirs = (book.add(name, seconds=1e9) for name in ("neighbour", "flood"))
        service = stack.enter_context(Server("service-timed", folder))
        photos = stack.enter_context(Server("photos", folder))
        neighbour = Neighbour(service.origin, ours)
        photo = f"{photos.origin}/me.jpg"
        async with AsyncExitStack() as until_measured:
            if flood is not None:
                other = stack.enter_context(Server(flood, folder))
                targets = [f"{_SUBMIT}{other.origin}/me.jpg"]
                await until_measured.enter_async_context(flooding(service.origin, theirs, targets))
            await neighbour.use(photo, seconds)
            while not neighbour.accepted.keys() <= (begun := begins(folder)).keys():  # noqa: ASYNC110 - written by another process
                await asyncio.sleep(RENDER_SECONDS)
    return sorted(neighbour.waits), sorted(
        max(0.0, begun[task_id] - at) for task_id, at in neighbour.accepted.items()
    )


def begins(folder: Path) -> dict[int, float]:
    """Return when each render of `service-timed` has begun."""
    lines = [line.split() for line in (folder / "begins").read_text().splitlines()]
    return {int(task_id): float(at) for task_id, at in lines}


def row(name: str, waits: list[float], begins: list[float]) -> list[str]:
    """Return a row of the table."""
    at_99 = int(0.99 * (len(waits) - 1))
    return [
        name,
        f"{1000 * waits[len(waits) // 2]:.1f}",
        f"{1000 * waits[at_99]:.1f}",
        f"{begins[len(begins) // 2] / RENDER_SECONDS:.2f}",
        f"{begins[at_99] / RENDER_SECONDS:.2f}",
    ]


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description="What neighbours notice of a flood.")
    arguments.add_argument("--seconds", type=float, default=60.0)
    arguments.add_argument("--quick", action="store_true", help="5 seconds")
    chosen = arguments.parse_args()
    seconds = 5.0 if chosen.quick else chosen.seconds
    rows = []
    for name, flood in (
        ("alone", None),
        ("another floods", "photos"),
        ("another floods with slow photos", "photos-slow"),
    ):
        with TemporaryDirectory(prefix="neighbours-") as folder:
            rows.append(row(name, *asyncio.run(measured(Path(folder), seconds, flood))))
    head = ("", "submit, median, ms", "p99, ms", "render begins after, median, renders", "p99")
    alone, *flooded = (float(cells[2]) for cells in rows)
    ratios = " and ".join(f"{each / alone:.1f}" for each in flooded)
    figures(
        "neighbours",
        f"{_RATE:g} submits a second for {seconds:g} s:",
        table(head, rows),
        f"p99 of a submit, flooded / alone: {ratios}.",
        packages=["aiohttp"],
    )


if __name__ == "__main__":
    main()
