"""Charged and lost tasks on a bad network: this client beside others.

    pip install -e '.[bench]'
    python benchmarks/faults.py [--tasks 100] [--only NAME ...] [--modes WORD ...] [--quick]

A stub service counts the tasks that it accepts: these are charged. In each mode one thing goes
wrong: every fifth submit is accepted and its answer lost, or one poll in twenty fails. The naive
loop and the peers are those of `contenders.py`, in their own request shapes and with their
authors' settings; they get 20 s. This client is `animate_many`. Only counts are measured, so
several runs go on at the same time.

Charged should equal the number of tasks. A task is lost if it was charged and the caller has
neither its result nor a warning that it may exist. What this client reports as ambiguous is
counted separately.
"""

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from enum import StrEnum
from random import Random

import contenders
from attrs import frozen
from contenders import API, CONTENDERS, KEY, PEERS, require_installed, shown
from machine import figures, table
from stub import Connection, Tasks, report, serve, started

from photoanimer_async import AmbiguousSubmitError, PhotoAnimerClient, RetryPolicy

SECONDS = 20.0
AT_ONCE = 8
OURS, NAIVE = "photoanimer", "naive"
OTHERS = (NAIVE, "runpod", "openai", "replicate", "runwayml", "elevenlabs", "fal")
HTML = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<html>ok</html>"
GATEWAY = b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 6\r\n\r\n<html>"
DOWN = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\ndown"
BUSY = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nslow"


class Mode(StrEnum):
    """One thing that goes wrong."""

    SUBMIT_CLOSED = "submit closed"
    SUBMIT_504 = "submit 504"
    SUBMIT_SILENT = "no answer"
    POLL_CLOSED = "poll closed"
    POLL_503 = "poll 503"
    POLL_429 = "poll 429"
    POLL_HTML = "poll HTML, 200"


class FaultyConnection(Connection):
    """A connection that answers as the stub does, or in the mode's way."""

    def __init__(self, tasks: Tasks, mode: Mode, rng: Random) -> None:
        super().__init__(tasks)
        self._mode = mode
        self._rng = rng

    def respond(self, method: str, target: str, response: bytes) -> None:
        """Send the response, or what goes wrong in its place."""
        submitted = method == "POST" or "submitTaskByUrl" in target
        fails = (
            self.tasks.submits % 5 == 0
            if submitted
            else target != "/report" and self._rng.random() < 1 / 20
        )
        match self._mode if fails else None:
            case Mode.SUBMIT_CLOSED if submitted:
                self.transport.close()
            case Mode.SUBMIT_504 if submitted:
                self.transport.write(GATEWAY)
            case Mode.SUBMIT_SILENT if submitted:
                pass
            case Mode.POLL_CLOSED if not submitted:
                self.transport.close()
            case Mode.POLL_503 if not submitted:
                self.transport.write(DOWN)
            case Mode.POLL_429 if not submitted:
                self.transport.write(BUSY)
            case Mode.POLL_HTML if not submitted:
                self.transport.write(HTML)
            case _:
                super().respond(method, target, response)


async def ours(origin: str, tasks: int) -> tuple[int, int]:
    """Return how many photos have results, and how many are reported as ambiguous."""
    done = ambiguous = 0
    photos = [f"http://127.0.0.1:9/{number}.jpg" for number in range(tasks)]
    async with PhotoAnimerClient(
        KEY, base_url=origin + API, timeout=5.0, retry=RetryPolicy(tries=8)
    ) as client:
        async for outcome in client.animate_many(photos):
            done += outcome.ok
            ambiguous += isinstance(outcome.error, AmbiguousSubmitError)
    return done, ambiguous


def drive(name: str, origin: str, tasks: int) -> tuple[int, int]:
    """Run one client in this process."""
    if name == OURS:
        return asyncio.run(ours(origin, tasks))
    contenders.LIMIT = SECONDS

    async def other() -> int:
        return await CONTENDERS[name].drive(origin, tasks)

    return asyncio.run(other()), 0


@frozen
class Result:
    """How many tasks a client was charged for, has results of, reports as ambiguous, and lost."""

    charged: int
    done: int
    ambiguous: int
    lost: int

    def __str__(self) -> str:
        return f"{self.charged}, {self.lost}"


def run(name: str, mode: Mode, tasks: int) -> Result:
    """Run one client in one mode."""
    with started(__file__, "--serve", mode.value) as origin:
        command = [sys.executable, __file__, "--drive", name, origin, "--tasks", str(tasks)]
        done = ambiguous = 0
        with suppress(subprocess.SubprocessError):
            finished = subprocess.run(  # noqa: S603 - this very file
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=SECONDS * 4,
                check=True,
            )
            done, ambiguous = json.loads(finished.stdout.splitlines()[-1])
        found = Result(report(origin)["submits"], done, ambiguous, tasks - done - ambiguous)
    sys.stderr.write(f"{mode.value}: {name}: {found}\n")
    return found


def compare(names: Sequence[str], modes: Sequence[Mode], tasks: int) -> dict[str, list[Result]]:
    """Run all of these clients in these modes, several at once."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        # One mode after the other: the slowest client would not keep its time beside itself.
        running = [[pool.submit(run, name, mode, tasks) for name in names] for mode in modes]
    return {name: [row[i].result() for row in running] for i, name in enumerate(names)}


def show(found: dict[str, list[Result]], modes: Sequence[Mode], tasks: int) -> None:
    """Print the figures."""
    rows = [
        [f"**{OURS}-async**", *(f"**{result}**" for result in results)]
        if name == OURS
        else [shown(name), *map(str, results)]
        for name, results in found.items()
    ]
    packages = ("aiohttp", *OTHERS[1:-1], "fal-client")
    parts = [table(["charged, lost", *(mode.value for mode in modes)], rows)]
    if OURS in found:
        most = max(result.ambiguous for result in found[OURS])
        parts.append(f"Ours reports up to {most} of {tasks} photos as ambiguous, and loses none.")
        assert not any(result.lost for result in found[OURS])
    figures("faults", *parts, packages=packages)
    names = {OURS: "photoanimer-async", NAIVE: "aiohttp, by hand"} | {name: name for name in PEERS}
    some = [name for name in names if name in found]
    closed = f"charged and lost of {tasks}, if every fifth submit is closed"
    row = [closed, *(str(found[name][0]) for name in some)]
    figures(
        "faults-summary", table(["", *(names[name] for name in some)], [row]), packages=["aiohttp"]
    )


def main() -> None:
    """Run the clients in all modes and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--only", nargs="*", default=[OURS, *OTHERS])
    parser.add_argument("--modes", nargs="*", default=[""])
    parser.add_argument("--quick", action="store_true", help="20 tasks, two clients, two modes")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--drive", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        with suppress(KeyboardInterrupt):
            known, rng = Tasks(1), Random(1)  # noqa: S311 - faults, no secret
            mode = Mode(chosen.serve)
            asyncio.run(serve(lambda: FaultyConnection(known, mode, rng)))
        return
    if chosen.drive:
        name, origin = chosen.drive
        print(json.dumps(drive(name, origin, chosen.tasks)))
        return
    names, tasks = chosen.only, chosen.tasks
    modes = [mode for mode in Mode if any(word in mode.value for word in chosen.modes)]
    if chosen.quick:
        names, modes, tasks = [OURS, NAIVE], [Mode.SUBMIT_CLOSED, Mode.POLL_503], 20
    require_installed([name for name in names if name != OURS])
    show(compare(names, modes, tasks), modes, tasks)


if __name__ == "__main__":
    main()
