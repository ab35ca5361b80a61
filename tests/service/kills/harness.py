"""Kills the service many times, lets it finish, and compares its tasks, files and ledger.

Every run of the service is a process forked from this one, so that a restart takes milliseconds.
Half of the kills come from inside, at a named point; the others from outside, at a random time.
Meanwhile customers submit and poll, and keep every answer.
"""

import asyncio
import multiprocessing
import signal
import sqlite3
import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path
from random import Random
from threading import Timer
from typing import Any

import aiohttp
from attrs import define, field

from photoanimer_async.service import AccountBook, Kind
from photoanimer_async.service.http.parameters import VIDEO_SECONDS

from .killed_service import FACELESS, POINTS, Fuse, run, video

_FORK = multiprocessing.get_context("fork")
_CUSTOMERS = 6
_CREDIT = 1_000_000.0
_FACELESS_EVERY = 5
_FAILED = 2
_FROM_OUTSIDE = 0.5
_RUN = 3.0
_SHORTLY = 1.0
_LEAVING = 5.0
_TO_THE_END = 60.0
_OFTEN = 0.02
_NOWHERE = "http://127.0.0.1:1"


@define
class Report:
    """The result of a test.

    Attributes:
        kills: number of kills by point.
        answered: submits that were answered.
        unanswered: submits without an answer.
        accepted: tasks in the database at the end.
        problems: what differs from what the service promises.
    """

    kills: Counter[str] = field(factory=Counter)
    answered: int = 0
    unanswered: int = 0
    accepted: int = 0
    problems: list[str] = field(factory=list)

    def __str__(self) -> str:
        submits = f"{self.answered} submits answered, {self.unanswered} without an answer"
        lines = [
            f"{self.kills.total()} kills at {len(self.kills)} points",
            f"    {submits}, {self.accepted} tasks",
            *(f"    {count:4} {point}" for point, count in sorted(self.kills.items())),
            f"{len(self.problems)} problems",
            *(f"    {problem}" for problem in self.problems[:20]),
        ]
        return "\n".join(lines)


@define
class Customers:
    """Several callers who submit and poll, and the answers that they got."""

    key: str
    photos: str
    rng: Random
    submitted: dict[int, tuple[int, int]] = field(factory=dict)
    ends: dict[int, int] = field(factory=dict)
    lost: int = 0
    contradictions: list[str] = field(factory=list)
    _number: int = 0

    async def use(self, base_url: str) -> None:
        """Submit and poll until the service is killed."""
        async with aiohttp.ClientSession(headers={"APIKEY": self.key}) as session:
            with suppress(TimeoutError):
                async with asyncio.timeout(_RUN):
                    await asyncio.gather(*(self._use(session, base_url) for _ in range(_CUSTOMERS)))

    async def poll_all(self, base_url: str) -> None:
        """Poll every task until it has ended."""
        async with (
            aiohttp.ClientSession(headers={"APIKEY": self.key}) as session,
            asyncio.timeout(_TO_THE_END),
        ):
            for task_id in self.submitted:
                while not await self._poll(session, base_url, task_id):
                    await asyncio.sleep(0.01)

    async def _use(self, session: aiohttp.ClientSession, base_url: str) -> None:
        with suppress(aiohttp.ClientError):
            while True:
                await self._submit(session, base_url)
                await self._poll(session, base_url, self.rng.choice([*self.submitted]))

    async def _submit(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._number += 1
        number, template = self._number, self.rng.randrange(6)
        query = {"imageUrl": f"{self.photos}/{number}", "templateId": str(template)}
        self.lost += 1
        envelope = await _get(session, f"{base_url}/faceDriven/submitTaskByUrl", query)
        self.lost -= 1
        if envelope["code"] != 0:
            self.contradictions.append(f"a submit was refused: {envelope['msg']}")
        self.submitted[envelope["data"]] = (number, template)

    async def _poll(self, session: aiohttp.ClientSession, base_url: str, task_id: int) -> bool:
        query = {"taskId": str(task_id)}
        envelope = await _get(session, f"{base_url}/faceDriven/getTaskInfo", query)
        if envelope["code"] != 0:
            self.contradictions.append(f"task {task_id} was accepted, but is unknown")
            return True
        status = envelope["data"]["status"]
        known = self.ends.get(task_id, status)
        if known != status:
            self.contradictions.append(f"task {task_id} had status {known}, and now {status}")
        if status:
            self.ends[task_id] = status
        return bool(status)


async def _get(session: aiohttp.ClientSession, url: str, query: dict[str, str]) -> dict[str, Any]:
    async with session.get(url, params=query) as answer:
        envelope: dict[str, Any] = await answer.json()
        return envelope


@define
class Harness:
    """A service that is killed many times.

    Attributes:
        folder: an empty folder for its data.
        kills: how many times it is killed.
        seed: of the random numbers.
        hasty: whether the service answers before a task is on disk, which the test must detect.
    """

    folder: Path
    kills: int
    seed: int = 0
    hasty: bool = False
    rng: Random = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.rng = Random(self.seed)

    def run(self) -> Report:
        """Kill the service as often as asked, then let it finish, and check it."""
        report = Report()
        book = AccountBook(self.folder)
        key = book.add("customers", seconds=_CREDIT)
        with _photo_server() as photos:
            customers = Customers(key, photos, self.rng)
            while report.kills.total() < self.kills:
                point = self._killed_run(customers)
                if point is not None:
                    report.kills[point] += 1
            with self._service(Fuse("never", 0)) as (_, base_url), suppress(TimeoutError):
                asyncio.run(customers.poll_all(base_url))
                self._wait_for_unanswered()
        report.answered, report.unanswered = len(customers.submitted), customers.lost
        report.problems += customers.contradictions
        self._check(report, customers, book)
        return report

    def _wait_for_unanswered(self) -> None:
        """Wait for tasks whose submit was accepted but not answered."""
        with closing(sqlite3.connect(self.folder / "tasks.db")) as connection:
            for _ in range(int(_TO_THE_END / _OFTEN)):
                (left,) = connection.execute(
                    "SELECT count(*) FROM task WHERE status = 0"
                ).fetchone()
                if not left and not self._inputs():
                    return
                time.sleep(_OFTEN)

    def _killed_run(self, customers: Customers) -> str | None:
        """Run the service until it is killed; return the point, or `None` if it was not killed."""
        point = self.rng.choice(POINTS)
        if self.rng.random() < _FROM_OUTSIDE:
            point = "a random time"
        with self._service(Fuse(point, self.rng.randint(1, 12))) as (process, base_url):
            if point == "a random time":
                alarm = Timer(self.rng.uniform(0, 0.15), process.kill)
                alarm.start()
            asyncio.run(customers.use(base_url))
            process.join(_SHORTLY)
            return point if process.exitcode == -signal.SIGKILL else None

    @contextmanager
    def _service(self, fuse: Fuse) -> Iterator[tuple[ForkProcess, str]]:
        """Run a service in a process of its own; return the process and its base URL."""
        receiver, sender = _FORK.Pipe(duplex=False)
        process = _FORK.Process(target=_serve, args=(self.folder, fuse, sender, self.hasty))
        process.start()
        sender.close()
        base_url = _NOWHERE
        with suppress(EOFError):  # it may be killed before it listens
            base_url = receiver.recv()
        try:
            yield process, base_url
        finally:
            process.terminate()
            process.join(_LEAVING)
            process.kill()
            process.join()
            receiver.close()

    def _check(self, report: Report, customers: Customers, book: AccountBook) -> None:
        """Compare the answers with the tasks, the files and the ledger."""
        with closing(sqlite3.connect(self.folder / "tasks.db")) as connection:
            rows = connection.execute("SELECT task_id, status, template, token FROM task")
            tasks = {row[0]: (row[1], row[2], row[3]) for row in rows}
            (inputs,) = connection.execute("SELECT count(*) FROM input").fetchone()
        report.accepted = len(tasks)
        problem = report.problems.append
        for task_id, (number, template) in customers.submitted.items():
            status, found, token = tasks.get(task_id, (None, None, ""))
            result = self.folder / "results" / f"{token}.mp4"
            expected = video(photo(number), template)
            match status:
                case 1 if result.is_file() and result.read_bytes() == expected:
                    pass
                case 2 if number % _FACELESS_EVERY == 0 and not result.exists():
                    pass
                case _:
                    problem(
                        f"task {task_id}, template {found}, has status {status} or a wrong result"
                    )
        names = {f"{token}.mp4" for status, _, token in tasks.values() if status == 1}
        differing = {path.name for path in (self.folder / "results").iterdir()} ^ names
        report.problems += [f"an unexpected or missing result: {name}" for name in differing]
        report.problems += [f"an unexpected input: {path.name}" for path in self._inputs()]
        if inputs:
            problem(f"{inputs} inputs of ended tasks are left")
        self._check_ledger(report, tasks, book)

    def _inputs(self) -> list[Path]:
        return list((self.folder / "inputs").iterdir())

    def _check_ledger(
        self, report: Report, tasks: dict[int, tuple[int, int, str]], book: AccountBook
    ) -> None:
        entries = book.entries("customers")
        expected = Counter[tuple[Kind, float, int | None]]({(Kind.CREDIT, _CREDIT, None): 1})
        for task_id, (status, template, _) in tasks.items():
            cost = VIDEO_SECONDS[template]
            expected[(Kind.CHARGE, -cost, task_id)] += 1
            if status == _FAILED:
                expected[(Kind.REFUND, cost, task_id)] += 1
        found = Counter((entry.kind, entry.seconds, entry.task_id) for entry in entries)
        wrong = [*(expected - found), *(found - expected)]
        report.problems += [f"wrong entry in the ledger: {movement}" for movement in wrong]
        [account] = book.accounts()
        if account.balance is None or abs(account.balance - sum(e.seconds for e in entries)) > 1e-3:
            report.problems.append("the balance is not the sum of the ledger")


def photo(number: int) -> bytes:
    """A photo: the header of a PNG, and its number."""
    header = struct.pack(">II", 8, 8) + b"\x08\x02\0\0\0"
    face = FACELESS if number % _FACELESS_EVERY == 0 else b"face"
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + header + b"%s %d" % (face, number)


class _PhotoServer(HTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore connections of killed services."""


class _Photos(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = photo(int(self.path.removeprefix("/")))
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Log nothing."""


@contextmanager
def _photo_server() -> Iterator[str]:
    """A server of photos in a process of its own; returns its origin."""
    server = _PhotoServer(("127.0.0.1", 0), _Photos)
    process = _FORK.Process(target=server.serve_forever, daemon=True)
    process.start()
    server.socket.close()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        process.kill()
        process.join()


def _serve(folder: Path, fuse: Fuse, sender: Connection, hasty: bool) -> None:
    asyncio.run(run(folder, fuse, sender.send, hasty=hasty))
