"""Kills the service again and again, lets it finish, and compares the books.

Every run of the service is a process of its own, forked from this one, so that a restart costs
milliseconds. Half of the kills come from inside, at a named point; the others from outside, at
a random moment. Meanwhile customers submit and look, and remember every answer they have seen.
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
    """What became of it all.

    Attributes:
        kills: by the point at which they happened.
        answered: submits that were answered.
        unanswered: submits whose answer was lost.
        accepted: tasks in the database in the end.
        problems: promises that were broken.
    """

    kills: Counter[str] = field(factory=Counter)
    answered: int = 0
    unanswered: int = 0
    accepted: int = 0
    problems: list[str] = field(factory=list)

    def __str__(self) -> str:
        submits = f"{self.answered} submits answered, {self.unanswered} without an answer"
        lines = [
            f"{self.kills.total()} kills at {len(self.kills)} kinds of moments",
            f"    {submits}, {self.accepted} tasks",
            *(f"    {count:4} {moment}" for moment, count in sorted(self.kills.items())),
            f"{len(self.problems)} problems",
            *(f"    {problem}" for problem in self.problems[:20]),
        ]
        return "\n".join(lines)


@define
class Customers:
    """Several people who submit and look, and what they were told."""

    key: str
    photos: str
    rng: Random
    submitted: dict[int, tuple[int, int]] = field(factory=dict)
    ends: dict[int, int] = field(factory=dict)
    lost: int = 0
    contradictions: list[str] = field(factory=list)
    _number: int = 0

    async def use(self, base_url: str) -> None:
        """Submit and look until the service is gone."""
        async with aiohttp.ClientSession(headers={"APIKEY": self.key}) as session:
            with suppress(TimeoutError):
                async with asyncio.timeout(_RUN):
                    await asyncio.gather(*(self._use(session, base_url) for _ in range(_CUSTOMERS)))

    async def look_at_all(self, base_url: str) -> None:
        """Look at every task until it has ended."""
        async with (
            aiohttp.ClientSession(headers={"APIKEY": self.key}) as session,
            asyncio.timeout(_TO_THE_END),
        ):
            for task_id in self.submitted:
                while not await self._look(session, base_url, task_id):
                    await asyncio.sleep(0.01)

    async def _use(self, session: aiohttp.ClientSession, base_url: str) -> None:
        with suppress(aiohttp.ClientError):
            while True:
                await self._submit(session, base_url)
                await self._look(session, base_url, self.rng.choice([*self.submitted]))

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

    async def _look(self, session: aiohttp.ClientSession, base_url: str, task_id: int) -> bool:
        query = {"taskId": str(task_id)}
        envelope = await _get(session, f"{base_url}/faceDriven/getTaskInfo", query)
        if envelope["code"] != 0:
            self.contradictions.append(f"task {task_id} was accepted, and then unknown")
            return True
        status = envelope["data"]["status"]
        known = self.ends.get(task_id, status)
        if known != status:
            self.contradictions.append(f"task {task_id} had status {known}, and then {status}")
        if status:
            self.ends[task_id] = status
        return bool(status)


async def _get(session: aiohttp.ClientSession, url: str, query: dict[str, str]) -> dict[str, Any]:
    async with session.get(url, params=query) as answer:
        envelope: dict[str, Any] = await answer.json()
        return envelope


@define
class Harness:
    """One service under fire.

    Attributes:
        folder: an empty folder.
        kills: how many.
        seed: of all chance.
        hasty: whether the service answers before it has written down, as it must not.
    """

    folder: Path
    kills: int
    seed: int = 0
    hasty: bool = False
    rng: Random = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.rng = Random(self.seed)

    def run(self) -> Report:
        """Kill until there have been enough kills, then let it end."""
        report = Report()
        book = AccountBook(self.folder)
        key = book.add("customers", seconds=_CREDIT)
        with _photo_server() as photos:
            customers = Customers(key, photos, self.rng)
            while report.kills.total() < self.kills:
                moment = self._killed_run(customers)
                if moment is not None:
                    report.kills[moment] += 1
            with self._service(Fuse("never", 0)) as (_, base_url), suppress(TimeoutError):
                asyncio.run(customers.look_at_all(base_url))
                self._wait_for_the_rest()
        report.answered, report.unanswered = len(customers.submitted), customers.lost
        report.problems += customers.contradictions
        self._judge(report, customers, book)
        return report

    def _wait_for_the_rest(self) -> None:
        """Let those tasks end too that were accepted without anybody being told."""
        with closing(sqlite3.connect(self.folder / "tasks.db")) as connection:
            for _ in range(int(_TO_THE_END / _OFTEN)):
                (left,) = connection.execute(
                    "SELECT count(*) FROM task WHERE status = 0"
                ).fetchone()
                if not left and not self._inputs():
                    return
                time.sleep(_OFTEN)

    def _killed_run(self, customers: Customers) -> str | None:
        """One run that is to be killed; the moment, or `None` if it went on."""
        point = self.rng.choice(POINTS)
        if self.rng.random() < _FROM_OUTSIDE:
            point = "a random moment"
        with self._service(Fuse(point, self.rng.randint(1, 12))) as (process, base_url):
            if point == "a random moment":
                alarm = Timer(self.rng.uniform(0, 0.15), process.kill)
                alarm.start()
            asyncio.run(customers.use(base_url))
            process.join(_SHORTLY)
            return point if process.exitcode == -signal.SIGKILL else None

    @contextmanager
    def _service(self, fuse: Fuse) -> Iterator[tuple[ForkProcess, str]]:
        """A service in a process of its own, and its base URL; gone at the end of the block."""
        receiver, sender = _FORK.Pipe(duplex=False)
        process = _FORK.Process(target=_serve, args=(self.folder, fuse, sender, self.hasty))
        process.start()
        sender.close()
        base_url = _NOWHERE
        with suppress(EOFError):  # it may be killed before it has started
            base_url = receiver.recv()
        try:
            yield process, base_url
        finally:
            process.terminate()
            process.join(_LEAVING)
            process.kill()
            process.join()
            receiver.close()

    def _judge(self, report: Report, customers: Customers, book: AccountBook) -> None:
        """Compare what customers were told with the tasks, the files and the ledger."""
        with closing(sqlite3.connect(self.folder / "tasks.db")) as connection:
            rows = connection.execute("SELECT task_id, status, template, token FROM task")
            tasks = {row[0]: (row[1], row[2], row[3]) for row in rows}
            (inputs,) = connection.execute("SELECT count(*) FROM input").fetchone()
        report.accepted = len(tasks)
        say = report.problems.append
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
                    say(f"task {task_id}, template {found}, has status {status} or a wrong result")
        names = {f"{token}.mp4" for status, _, token in tasks.values() if status == 1}
        strays = {path.name for path in (self.folder / "results").iterdir()} ^ names
        report.problems += [f"a stray or missing result: {name}" for name in strays]
        report.problems += [f"a stray input: {path.name}" for path in self._inputs()]
        if inputs:
            say(f"{inputs} inputs are kept of tasks that have ended")
        self._judge_ledger(report, tasks, book)

    def _inputs(self) -> list[Path]:
        return list((self.folder / "inputs").iterdir())

    def _judge_ledger(
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
        report.problems += [f"the ledger is wrong about {movement}" for movement in wrong]
        [account] = book.accounts()
        if account.balance is None or abs(account.balance - sum(e.seconds for e in entries)) > 1e-3:
            report.problems.append("the balance is not the sum of the ledger")


def photo(number: int) -> bytes:
    """A customer's photo: as much of a PNG as the service looks at, and whose it is."""
    header = struct.pack(">II", 8, 8) + b"\x08\x02\0\0\0"
    face = FACELESS if number % _FACELESS_EVERY == 0 else b"face"
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + header + b"%s %d" % (face, number)


class _PhotoServer(HTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Bear with services that are killed."""


class _Photos(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = photo(int(self.path.removeprefix("/")))
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Keep quiet."""


@contextmanager
def _photo_server() -> Iterator[str]:
    """A server of photos in a process of its own; gives its origin."""
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
