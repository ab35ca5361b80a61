"""Kill a service many times, let it finish, and compare what clients saw with what it stored.

Each run of the service is a process of its own, forked from this one, so that a restart takes
milliseconds. Half of the kills come from inside, at a point of `killed_service.POINTS`, the
others from outside, at a random time. Meanwhile clients submit and poll, and record every answer.
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

from .killed_service import BEFORE_ACCEPTANCE, FACELESS, POINTS, KillSwitch, run, video

_FORK = multiprocessing.get_context("fork")
_CLIENTS = 6
_CREDIT = 1_000_000.0
_FACELESS_EVERY = 5
_FAILED = 2
_FROM_OUTSIDE = 0.5
_RANDOM_TIME = "a random time"
_LONGEST_RUN = 3.0
_LONGEST_DEATH = 1.0
_LONGEST_STOP = 5.0
_LONGEST_REST = 240.0
_POLL_SECONDS = 0.02
_NO_URL = "http://127.0.0.1:1"


@define
class Report:
    """The outcome of all kills.

    Attributes:
        kills: number of kills at each point.
        answered: number of submits with an answer.
        unanswered: number of submits without one.
        accepted: number of tasks in the database at the end.
        problems: descriptions of everything that is wrong.
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
class Clients:
    """Clients that submit and poll at the same time, and the answers they got.

    Attributes:
        key: their API key.
        photos: origin of the photo server.
        rng: chooses templates and tasks.
        submitted: number of the photo and template, by task id.
        ends: status of each task that was seen to have ended.
        unanswered: number of submits without an answer.
        contradictions: answers that contradict earlier ones.
    """

    key: str
    photos: str
    rng: Random
    submitted: dict[int, tuple[int, int]] = field(factory=dict)
    ends: dict[int, int] = field(factory=dict)
    unanswered: int = 0
    contradictions: list[str] = field(factory=list)
    _number: int = 0

    async def use(self, base_url: str) -> None:
        """Submit and poll until the service is gone."""
        async with aiohttp.ClientSession(headers={"APIKEY": self.key}) as session:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LONGEST_RUN):
                    await asyncio.gather(*(self._use(session, base_url) for _ in range(_CLIENTS)))

    async def poll_to_the_end(self, base_url: str) -> None:
        """Poll every task until it has ended."""
        async with (
            aiohttp.ClientSession(headers={"APIKEY": self.key}) as session,
            asyncio.timeout(_LONGEST_REST),
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
        self.unanswered += 1
        envelope = await _get(session, f"{base_url}/faceDriven/submitTaskByUrl", query)
        self.unanswered -= 1
        if envelope["code"] != 0:
            self.contradictions.append(f"a submit was refused: {envelope['msg']}")
        self.submitted[envelope["data"]] = (number, template)

    async def _poll(self, session: aiohttp.ClientSession, base_url: str, task_id: int) -> bool:
        query = {"taskId": str(task_id)}
        envelope = await _get(session, f"{base_url}/faceDriven/getTaskInfo", query)
        if envelope["code"] != 0:
            self.contradictions.append(f"task {task_id} was accepted, and is unknown now")
            return True
        status = envelope["data"]["status"]
        earlier = self.ends.get(task_id, status)
        if earlier != status:
            self.contradictions.append(f"task {task_id} had status {earlier}, and now {status}")
        if status:
            self.ends[task_id] = status
        return bool(status)


async def _get(session: aiohttp.ClientSession, url: str, query: dict[str, str]) -> dict[str, Any]:
    async with session.get(url, params=query) as answer:
        envelope: dict[str, Any] = await answer.json()
        return envelope


@define
class Harness:
    """Kills one service.

    Attributes:
        folder: an empty folder.
        kills: number of kills.
        seed: of all random choices.
        answers_early: whether the service answers before a submit is on disk, which is wrong. It
            is then killed at the point where that shows.
    """

    folder: Path
    kills: int
    seed: int = 0
    answers_early: bool = False
    rng: Random = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.rng = Random(self.seed)

    def run(self) -> Report:
        """Kill the service `kills` times, let it finish, and check everything."""
        report = Report()
        book = AccountBook(self.folder)
        key = book.add("clients", seconds=_CREDIT)
        with _photo_server() as photos:
            clients = Clients(key, photos, self.rng)
            while report.kills.total() < self.kills:
                point = self._killed_run(clients)
                if point is not None:
                    report.kills[point] += 1
            with self._service(KillSwitch("never", 0)) as (_, base_url), suppress(TimeoutError):
                asyncio.run(clients.poll_to_the_end(base_url))
                self._wait_for_unanswered_tasks()
        report.answered, report.unanswered = len(clients.submitted), clients.unanswered
        report.problems += clients.contradictions
        self._check_tasks(report, clients, book)
        return report

    def _wait_for_unanswered_tasks(self) -> None:
        """Wait for the end of tasks whose submit was not answered."""
        with closing(sqlite3.connect(self.folder / "tasks.db")) as connection:
            for _ in range(int(_LONGEST_REST / _POLL_SECONDS)):
                (left,) = connection.execute(
                    "SELECT count(*) FROM task WHERE status = 0"
                ).fetchone()
                if not left and not self._inputs():
                    return
                time.sleep(_POLL_SECONDS)

    def _killed_run(self, clients: Clients) -> str | None:
        """Run the service once; return the point at which it was killed, `None` if it was not."""
        point = self._point()
        with self._service(KillSwitch(point, self.rng.randint(1, 12))) as (process, base_url):
            if point == _RANDOM_TIME:
                Timer(self.rng.uniform(0, 0.15), process.kill).start()
            asyncio.run(clients.use(base_url))
            process.join(_LONGEST_DEATH)
            return point if process.exitcode == -signal.SIGKILL else None

    def _point(self) -> str:
        if self.answers_early:
            return BEFORE_ACCEPTANCE
        point = self.rng.choice(POINTS)
        return _RANDOM_TIME if self.rng.random() < _FROM_OUTSIDE else point

    @contextmanager
    def _service(self, switch: KillSwitch) -> Iterator[tuple[ForkProcess, str]]:
        """Run a service in a process of its own until the end of the block; give its base URL."""
        receiver, sender = _FORK.Pipe(duplex=False)
        process = _FORK.Process(
            target=_serve, args=(self.folder, switch, sender, self.answers_early)
        )
        process.start()
        sender.close()
        base_url = _NO_URL
        with suppress(EOFError):  # it may be killed before it has started
            base_url = receiver.recv()
        try:
            yield process, base_url
        finally:
            process.terminate()
            process.join(_LONGEST_STOP)
            process.kill()
            process.join()
            receiver.close()

    def _check_tasks(self, report: Report, clients: Clients, book: AccountBook) -> None:
        """Compare the clients' answers with the tasks, the files and the ledger."""
        with closing(sqlite3.connect(self.folder / "tasks.db")) as connection:
            rows = connection.execute("SELECT task_id, status, template, token FROM task")
            tasks = {row[0]: (row[1], row[2], row[3]) for row in rows}
            (inputs,) = connection.execute("SELECT count(*) FROM input").fetchone()
        report.accepted = len(tasks)
        for task_id, (number, template) in clients.submitted.items():
            status, found, token = tasks.get(task_id, (None, None, ""))
            result = self.folder / "results" / f"{token}.mp4"
            expected = video(photo(number), template)
            match status:
                case 1 if result.is_file() and result.read_bytes() == expected:
                    pass
                case 2 if number % _FACELESS_EVERY == 0 and not result.exists():
                    pass
                case _:
                    report.problems.append(
                        f"task {task_id}, template {found}, has status {status} or a wrong result"
                    )
        names = {f"{token}.mp4" for status, _, token in tasks.values() if status == 1}
        wrong = {path.name for path in (self.folder / "results").iterdir()} ^ names
        report.problems += [f"an unexpected or missing result: {name}" for name in wrong]
        report.problems += [f"an unexpected input: {path.name}" for path in self._inputs()]
        if inputs:
            report.problems.append(f"the database has {inputs} inputs of tasks that have ended")
        self._check_ledger(report, tasks, book)

    def _inputs(self) -> list[Path]:
        return list((self.folder / "inputs").iterdir())

    def _check_ledger(
        self, report: Report, tasks: dict[int, tuple[int, int, str]], book: AccountBook
    ) -> None:
        entries = book.entries("clients")
        expected = Counter[tuple[Kind, float, int | None]]({(Kind.CREDIT, _CREDIT, None): 1})
        for task_id, (status, template, _) in tasks.items():
            cost = VIDEO_SECONDS[template]
            expected[(Kind.CHARGE, -cost, task_id)] += 1
            if status == _FAILED:
                expected[(Kind.REFUND, cost, task_id)] += 1
        found = Counter((entry.kind, entry.seconds, entry.task_id) for entry in entries)
        wrong = [*(expected - found), *(found - expected)]
        report.problems += [f"a wrong or missing ledger entry: {entry}" for entry in wrong]
        [account] = book.accounts()
        if account.balance is None or abs(account.balance - sum(e.seconds for e in entries)) > 1e-3:
            report.problems.append("the balance is not the sum of the ledger")


def photo(number: int) -> bytes:
    """A photo of a client: the header of a PNG, and the photo's number."""
    header = struct.pack(">II", 8, 8) + b"\x08\x02\0\0\0"
    face = FACELESS if number % _FACELESS_EVERY == 0 else b"face"
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + header + b"%s %d" % (face, number)


class _PhotoServer(HTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore connections of services that were killed."""


class _Photos(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = photo(int(self.path.removeprefix("/")))
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


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


def _serve(folder: Path, switch: KillSwitch, sender: Connection, answers_early: bool) -> None:
    asyncio.run(run(folder, switch, sender.send, answers_early=answers_early))
