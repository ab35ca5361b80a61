"""A service that answers at once and animates nothing, in a process of its own.

It speaks the Photo Animer API and, for comparison, the request shapes of clients of other
submit-then-poll services. It is written on plain asyncio protocols, so that it takes little CPU
from what is measured. A task ends some seconds after its submit; the seconds come from a lognormal
distribution with a fixed seed, in the order of submits.

Tasks whose ids are `due-<seconds>`, on the monotonic clock that all processes of a machine
share, need no submit: they have ended by that time. Nor do numbers that begin with 9, which
ended long ago.

    python benchmarks/stub.py SEED [SLOWNESS]

With a SLOWNESS of 0 tasks end at once.
"""

import asyncio
import gc
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random
from typing import Any, Protocol
from urllib.error import URLError
from urllib.request import urlopen

SHORTEST, LONGEST, MEAN, SIGMA = 0.8, 6.0, 2.0, 0.45
UNKNOWN = 900_000_000_000_000
"""An id of a task that ended long ago, as are the next ones."""

_HEAD = b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Tasks:
    """The tasks, and counts of requests."""

    def __init__(self, seed: int, slowness: float = 1.0) -> None:
        self._slowness = slowness
        self._rng = Random(seed)  # noqa: S311 - durations, no secret
        self.submits = 0
        self.polls = 0
        self.connections = 0
        self.ends: dict[str, float] = {}
        self.found: dict[str, float] = {}
        self.durations: list[float] = []

    def submit(self) -> str:
        """Return a new task's id."""
        self.submits += 1
        duration = self._rng.lognormvariate(math.log(MEAN) - SIGMA**2 / 2, SIGMA)
        duration = self._slowness * min(max(duration, SHORTEST), LONGEST)
        task_id = str(100_000_000_000_000 + self.submits)
        self.ends[task_id] = time.monotonic() + duration
        self.durations.append(duration)
        return task_id

    def has_ended(self, task_id: str) -> bool:
        """Count a poll; return whether the task has ended."""
        self.polls += 1
        if task_id.startswith("due-"):
            end = float(task_id[4:])
        else:
            end = 0.0 if task_id.startswith("9") else self.ends[task_id]
        now = time.monotonic()
        if now >= end:
            self.found.setdefault(task_id, now)
        return now >= end

    def report(self) -> dict[str, Any]:
        """Return the counts."""
        return {
            "submits": self.submits,
            "polls": self.polls,
            "connections": self.connections,
            "delays": [
                self.found[known] - self.ends[known] for known in self.found if known in self.ends
            ],
            "longest": max(self.durations, default=0.0),
            "cpu": time.process_time(),
        }


class Shape(Protocol):
    """How a service reports a task."""

    def __call__(self, task_id: str, *, has_ended: bool) -> dict[str, Any]:
        """Return the JSON for this task."""
        ...


def answer(tasks: Tasks, method: str, target: str) -> Any:
    """Return the JSON that answers a request.

    Raises:
        LookupError: there is nothing under this target.
    """
    path, _, query = target.partition("?")
    service, *_, last = path.strip("/").split("/")
    if last == "submitTaskByUrl":
        return {"code": 0, "data": int(tasks.submit()), "msg": None, "time": 1}
    if last == "getTaskInfo":
        task_id = query.rpartition("taskId=")[2].partition("&")[0]
        return _photo_animer(task_id, has_ended=tasks.has_ended(task_id))
    if method == "POST":
        return _SHAPES[service](tasks.submit(), has_ended=False)
    if service == "fal" and last != "status":
        return {"video": {"url": "http://127.0.0.1/x.mp4"}}
    task_id = path.rsplit("/", 2)[1] if service == "fal" else last
    return _SHAPES[service](task_id, has_ended=tasks.has_ended(task_id))


def _photo_animer(task_id: str, *, has_ended: bool) -> dict[str, Any]:
    data = {
        "taskId": int(task_id) if task_id.isdecimal() else task_id,
        "status": 1 if has_ended else 0,
        "resultUrl": "http://127.0.0.1/x.mp4" if has_ended else None,
        "gifUrl": None,
    }
    return {"code": 0, "data": data, "msg": None, "time": 1615368038661}


def _runpod(task_id: str, *, has_ended: bool) -> dict[str, Any]:
    status = "COMPLETED" if has_ended else "IN_PROGRESS"
    return {"id": task_id, "status": status, "output": "x" if has_ended else None}


def _openai(task_id: str, *, has_ended: bool) -> dict[str, Any]:
    return {
        "id": task_id,
        "object": "video",
        "created_at": 1,
        "model": "sora-2",
        "progress": 0,
        "seconds": "4",
        "size": "720x1280",
        "status": "completed" if has_ended else "in_progress",
    }


def _runwayml(task_id: str, *, has_ended: bool) -> dict[str, Any]:
    task: dict[str, Any] = {"id": task_id, "createdAt": "2026-01-01T00:00:00Z"}
    if has_ended:
        return task | {"status": "SUCCEEDED", "output": ["http://127.0.0.1/x.mp4"]}
    return task | {"status": "RUNNING", "progress": 0.5}


def _replicate(task_id: str, *, has_ended: bool) -> dict[str, Any]:
    return {
        "id": task_id,
        "model": "a/b",
        "version": "v" * 64,
        "status": "succeeded" if has_ended else "processing",
        "input": {},
        "output": ["http://127.0.0.1/x.mp4"] if has_ended else None,
        "logs": "",
        "error": None,
        "created_at": "2026-01-01T00:00:00Z",
        "urls": {"get": "", "cancel": ""},
    }


def _fal(task_id: str, *, has_ended: bool) -> dict[str, Any]:
    return {
        "status": "COMPLETED" if has_ended else "IN_PROGRESS",
        "logs": [],
        "request_id": task_id,
        "response_url": f"/fal/app/requests/{task_id}",
        "status_url": f"/fal/app/requests/{task_id}/status",
        "cancel_url": f"/fal/app/requests/{task_id}/cancel",
        "queue_position": 0,
    }


def _elevenlabs(task_id: str, *, has_ended: bool) -> dict[str, Any]:
    return {
        "dubbing_id": task_id,
        "expected_duration_sec": 2.0,
        "name": "x",
        "status": "dubbed" if has_ended else "dubbing",
        "source_language": "en",
        "target_languages": ["es"],
        "created_at": "2026-01-01T00:00:00Z",
        "editable": False,
    }


_SHAPES: dict[str, Shape] = {
    "runpod": _runpod,
    "openai": _openai,
    "runwayml": _runwayml,
    "replicate": _replicate,
    "fal": _fal,
    "elevenlabs": _elevenlabs,
}


class Connection(asyncio.Protocol):
    """A connection that answers each request as its client's service does."""

    transport: asyncio.Transport

    def __init__(self, tasks: Tasks) -> None:
        self.tasks = tasks
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.tasks.connections += 1

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._buffer += data
        while b"\r\n\r\n" in self._buffer and self._answer_one():
            pass

    def _answer_one(self) -> bool:
        head, _, rest = self._buffer.partition(b"\r\n\r\n")
        length = 0
        lower = head.lower()
        if b"\r\ncontent-length:" in lower:
            length = int(lower.split(b"\r\ncontent-length:")[1].split(b"\r\n")[0])
        elif b"\r\ntransfer-encoding: chunked" in lower:
            length = rest.find(b"0\r\n\r\n") + 5 if b"0\r\n\r\n" in rest else len(rest) + 1
        if len(rest) < length:
            return False
        self._buffer = rest[length:]
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        host = lower.split(b"\r\nhost: ")[1].split(b"\r\n")[0]
        status = 200
        try:
            is_report = target == "/report"
            content = self.tasks.report() if is_report else answer(self.tasks, method, target)
        except LookupError:
            status, content = 404, {}
        body = json.dumps(content).replace('"/fal/', f'"http://{host.decode()}/fal/').encode()
        self.respond(method, target, _HEAD % (status, len(body)) + body)
        return True

    def respond(self, method: str, target: str, response: bytes) -> None:
        """Send the response to a request, of which method and target are known."""
        del method, target
        self.transport.write(response)


@contextmanager
def serving(seed: int = 1, slowness: float = 1.0) -> Iterator[str]:
    """Run the stub in a process of its own until the block ends; give its origin."""
    with started(__file__, str(seed), str(slowness)) as origin:
        yield origin


@contextmanager
def started(script: str, *arguments: str) -> Iterator[str]:
    """Run a script that calls `serve` until the block ends; give its origin."""
    command = [sys.executable, script, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own scripts
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def report(origin: str) -> dict[str, Any]:
    """Return the counts of the stub."""
    with suppress(URLError), urlopen(f"{origin}/report", timeout=30) as found:  # noqa: S310 - the stub's own origin
        content: dict[str, Any] = json.load(found)
        return content
    raise RuntimeError("the stub is gone")


async def serve(make: Callable[[], asyncio.Protocol]) -> None:
    """Serve connections until this process is ended; print the port."""
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    gc.freeze()
    await server.serve_forever()


if __name__ == "__main__":
    known = Tasks(int(sys.argv[1]), *map(float, sys.argv[2:]))
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(lambda: Connection(known)))
