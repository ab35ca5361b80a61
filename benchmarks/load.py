"""Requests that the local service answers, idle and while it renders.

    python benchmarks/load.py [--rounds 5] [--queue 2000] [--seconds 60] [--quick]

The first table shows requests that one core answers in a second, beside an `aiohttp.web` handler
that answers the same bytes and does nothing else; the ratio shows what the service adds. The
server has one core, the client another. Only the server's processor time counts, in all its
threads. Both servers alternate, and medians of the ratios are shown. Every submit is charged to
an account and on disk before it is answered; 128 requests are open at once.

- `getTaskInfo`: of 1,000 tasks in turn.
- `submit, photo in memory`: with a photo of 1 KB that is not fetched.
- `submit, photo fetched`: the same photo over loopback; the bare handler fetches it too.
- `submit, 94 KB fetched`: the same with a portrait.

The second table shows how long a getTaskInfo takes at 200 a second while 2,000 tasks wait, on an
idle machine, and while every core renders.
"""

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attrs import evolve, frozen
from load_servers import Server
from machine import figures, table

from photoanimer_async.service import AccountBook

_CONNECTIONS = 128
_RATE = 200
_TASKS = 1000
_POLLS = 5
_CLIENT = Path(__file__).with_name("load_client.py")
_SUBMIT = "/api/v1/faceDriven/submitTaskByUrl?templateId=1&imageUrl="
_LOOK = "/api/v1/faceDriven/getTaskInfo?taskId="


@frozen
class Load:
    """A row of the first table: two servers, and the requests they get."""

    name: str
    bare: str
    service: str
    photos: str
    count: int


LOADS: tuple[Load, ...] = (
    Load("getTaskInfo", "bare", "service", "photos-small", 40_000),
    Load("submit, photo in memory", "bare", "service-from-memory", "photos-small", 20_000),
    Load("submit, photo fetched", "bare-fetching", "service", "photos-small", 6_000),
    Load("submit, 94 KB fetched", "bare-fetching", "service", "photos", 3_000),
)


class Account:
    """An account of a service that is not running, with more seconds than it can spend."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = AccountBook(folder).add("load", seconds=1e9)

    def task_ids(self) -> list[int]:
        """Return every task of the folder."""
        with closing(sqlite3.connect(self.folder / "tasks.db")) as connection:
            return [row[0] for row in connection.execute("SELECT task_id FROM task")]


def client(  # noqa: PLR0917 - a command line
    kind: str, server: Server, key: str, how: int, count: int, targets: Sequence[str]
) -> dict[str, Any]:
    """Run the load client once, on the last core."""
    command = [sys.executable, str(_CLIENT), kind, server.origin, str(how), str(count)]
    done = subprocess.run(  # noqa: S603 - our own client
        command,
        input="\n".join(targets),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=os.environ | {"LOAD_KEY": key},
        preexec_fn=lambda: os.sched_setaffinity(0, {_cores()[-1]}),
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def rate(server: Server, key: str, count: int, targets: Sequence[str]) -> float:
    """Return requests for each second of the server's processor time."""
    before = server.cpu
    client("flood", server, key, _CONNECTIONS, count, targets)
    return count / (server.cpu - before)


@frozen
class Rates:
    """Requests for each second of a server's processor time, in each round."""

    load: Load
    bare: Sequence[float]
    service: Sequence[float]

    @property
    def median(self) -> float:
        """The service's median."""
        return statistics.median(self.service)

    @property
    def ratios(self) -> list[float]:
        """The service's rate in shares of the bare handler's, in each round."""
        return [ours / theirs for ours, theirs in zip(self.service, self.bare, strict=True)]

    @property
    def row(self) -> list[str]:
        """The row of the table."""
        return [
            self.load.name,
            f"{statistics.median(self.bare):,.0f}",
            f"{self.median:,.0f}",
            f"{statistics.median(self.ratios):.2f}",
            f"{min(self.ratios):.2f} to {max(self.ratios):.2f}",
        ]


def compared(load: Load, rounds: int) -> Rates:
    """Measure one kind of request."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="load-")))
        account = Account(folder)
        photos = stack.enter_context(Server(load.photos, folder, [_cores()[-1]]))
        bare, service = (
            stack.enter_context(Server(kind, folder, [_cores()[0]]))
            for kind in (load.bare, load.service)
        )
        targets = [f"{_SUBMIT}{photos.origin}/me.png"]
        if load.name == "getTaskInfo":
            client("flood", service, account.key, _CONNECTIONS, _TASKS, targets)
            targets = [f"{_LOOK}{task_id}" for task_id in account.task_ids()]
        bares, services = [], []
        for number in range(rounds + 1):
            # The first is for warming up.
            count = load.count if number else load.count // 10
            bares.append(rate(bare, account.key, count, targets))
            services.append(rate(service, account.key, count, targets))
    return Rates(load, bares[1:], services[1:])


def waits(kind: str, queue: int, seconds: int) -> list[float]:
    """Return sorted seconds that getTaskInfo requests take while so many tasks wait."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="load-")))
        account = Account(folder)
        photos = stack.enter_context(Server("photos", folder))
        service = stack.enter_context(Server(kind, folder))
        targets = [f"{_SUBMIT}{photos.origin}/me.jpg"]
        client("flood", service, account.key, _CONNECTIONS, queue, targets)
        targets = [f"{_LOOK}{task_id}" for task_id in account.task_ids()]
        found = client("steady", service, account.key, _RATE, _RATE * seconds, targets)
    return sorted(found["latencies"])


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description="What load the service bears.")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--queue", type=int, default=2000)
    arguments.add_argument("--seconds", type=int, default=60)
    arguments.add_argument("--quick", action="store_true", help="few requests of two kinds, once")
    chosen = arguments.parse_args()
    rounds, queue, seconds, loads = chosen.rounds, chosen.queue, chosen.seconds, LOADS
    if chosen.quick:
        rounds, queue, seconds = 1, 100, 1
        loads = tuple(evolve(load, count=load.count // 50) for load in (LOADS[0], LOADS[-1]))
    found = [compared(load, rounds) for load in loads]
    head = ("request", "bare handler", "service", "ratio", "range")
    figures(
        "load",
        f"Requests a second on one core, medians of {rounds}:",
        table(head, [rates.row for rates in found]),
        packages=["aiohttp"],
    )
    rows, p99 = [], []
    for name, kind in (("idle", "service"), ("every core renders", "service-rendering")):
        waited = [1000 * wait for wait in waits(kind, queue, seconds)]
        shares = [waited[int(share * (len(waited) - 1))] for share in (0.5, 0.99, 1.0)]
        rows.append([name, *(f"{wait:.1f}" for wait in shares)])
        p99.append(shares[1])
    figures(
        "load-waits",
        f"ms for getTaskInfo at {_RATE} a second, {queue:,} tasks waiting:",
        table(("machine", "median", "p99", "longest"), rows),
        packages=["aiohttp"],
    )
    show_capacity(found, p99, queue)


def show_capacity(found: Sequence[Rates], p99: Sequence[float], queue: int) -> None:
    """Print what one machine can do, for the page about operating the service."""
    polls, submits = found[0], found[-1]
    each = 1 / submits.median + _POLLS / polls.median
    shown = [statistics.median(rates.ratios) for rates in (polls, submits)]
    rows = [
        ["getTaskInfo", f"{polls.median:,.0f} a second, {shown[0]:.2f} of a bare aiohttp handler"],
        [
            "submits with a portrait of 94 KB, fetched, charged and on disk",
            f"{submits.median:,.0f} a second, {shown[1]:.2f} of a bare handler that fetches too",
        ],
        [
            f"photos with {_POLLS} polls each",
            f"{86_400 / each / 1e6:.0f} million a day; {1000 * each:.1f} ms each",
        ],
        [
            f"getTaskInfo with {queue:,} waiting tasks and every core rendering",
            f"99 % within {p99[1]:.0f} ms (idle: {p99[0]:.1f} ms)",
        ],
    ]
    figures("load-capacity", table(("requests", "one core"), rows), packages=["aiohttp"])


if __name__ == "__main__":
    main()
