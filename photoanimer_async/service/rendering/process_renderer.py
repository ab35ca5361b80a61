"""Rendering in worker processes, each with one photo at a time.

A worker is a process of its own program rather than a fork or a spawn of this one: the user's
script is not imported a second time, and Ctrl-C in a terminal, which goes to the whole
foreground group, reaches the service only (workers have a session of their own). It starts
when there is work and stays for the next. As every process has one photo, the one that dies
tells which photo did it: that task is tried once more in a fresh worker, and its neighbours
notice nothing. What a worker may use, `containment` says; a worker that takes too long is
killed. It gets nothing of the service's own: no key, no connection, no open file.
"""

import asyncio
import json
import logging
import math
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from importlib.util import find_spec
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

from photoanimer_async.redaction import printable
from photoanimer_async.service.error_codes import (
    RENDERING_FAILED,
    TABLE,
    RenderFailedError,
    SetupError,
)
from photoanimer_async.service.rendering.renderer import RenderJob
from photoanimer_async.service.rendering.resource_limits import OUT_OF_MEMORY_STATUS, Limits

_logger = logging.getLogger(__name__)
ANIMATE: Final = "photoanimer_async.service.rendering.worker:animate"
_ENGINES: Final = "photoanimer_async.engines"
_WARP: Final = "warp"
_ENGINE_NEEDS: Final = ("av", "cv2", "numpy", "onnxruntime", "PIL")
_ATTEMPTS: Final = 2
_LONGEST_REASON: Final = 300
_LINES_KEPT: Final = 8
_CHUNK: Final = 16 * 1024
_CODES: Final = {code.number: code for code in TABLE}
# Photos are what is rendered in parallel: one thread each keeps the cores from being shared.
_ENVIRONMENT: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_OWN_VARIABLES: Final = "PHOTOANIMER_"
_THREADS: Final = 2  # of a render: one computes, one encodes
_LONGEST_RESULT: Final = 1024**3
RENDER_MEMORY: Final = 2 * 1024**3
_DEATHS: Final = {
    OUT_OF_MEMORY_STATUS: "ran out of memory",
    -signal.SIGXCPU: "ran out of processor time",
}


class WorkerDiedError(Exception):
    """A worker process ended in the middle of a job.

    Attributes:
        what: what it did, in words that go on from "the renderer".
    """

    def __init__(self, status: int, printed: Iterable[str]) -> None:
        ending = f"signal {-status}" if status < 0 else f"status {status}"
        super().__init__(" | ".join((ending, *printed)))
        self.what = _DEATHS.get(status, "crashed")


class _Worker:
    """One worker process, and the last lines that it has printed."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._printed: deque[str] = deque(maxlen=_LINES_KEPT)
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, animate: str, limits: Limits) -> Self:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            # Without -P the current folder would come before the standard library.
            "-P",
            "-m",
            "photoanimer_async.service.rendering.worker",
            animate,
            limits.as_argument(),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
            env=_environment(),
        )
        _logger.debug("event=worker_started pid=%d", process.pid)
        return cls(process)

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    async def run(self, job: RenderJob, options: Mapping[str, object]) -> dict[str, Any]:
        """The worker's reply to a job.

        Raises:
            WorkerDiedError: it ended instead.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None  # noqa: PT018, S101 - both are pipes
        try:
            stdin.write(_encode(job, options))
            await stdin.drain()
            line = await stdout.readline()
        except ConnectionError:
            line = b""
        if not line.endswith(b"\n"):
            status = await self._process.wait()
            await self._listening
            raise WorkerDiedError(status, self._printed)
        reply: dict[str, Any] = json.loads(line)
        return reply

    async def stop(self) -> None:
        """End the process, whatever it is doing."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._listening

    async def _listen(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None  # noqa: S101 - it is a pipe
        while printed := await stderr.read(_CHUNK):
            for line in printed.decode(errors="replace").splitlines():
                text = printable(line)
                self._printed.append(text)
                _logger.debug("event=worker_printed pid=%d text=%r", self._process.pid, text)


class ProcessRenderer:
    """A `Renderer` on worker processes of this machine. Use as an async context manager.

    Args:
        workers: how many processes there are at most.
        render_seconds: the longest that one job may take; its worker is killed then.
        animate: the function that renders, as `module:name`; called in the worker as
            `engine.animate` is.
        options: what it is called with besides; values of JSON.
        memory: bytes of memory that one worker may have.
    """

    def __init__(
        self,
        workers: int,
        *,
        render_seconds: float = 300.0,
        animate: str = ANIMATE,
        options: Mapping[str, object] = MappingProxyType({}),
        memory: int = RENDER_MEMORY,
    ) -> None:
        self._render_seconds = render_seconds
        self._animate = animate
        self._options = dict(options)
        self._limits = Limits(
            memory=memory,
            # Who is killed for the time it takes is to be killed by the clock; this is for
            # when nobody looks at the clock.
            cpu_seconds=math.ceil(_THREADS * render_seconds),
            file_bytes=_LONGEST_RESULT,
        )
        self._places = asyncio.Semaphore(workers)
        self._idle: list[_Worker] = []
        self._busy = 0
        self._checking = asyncio.Lock()

    async def __aenter__(self) -> Self:
        if self._animate == ANIMATE:
            await asyncio.to_thread(check_engine, self._options.get("engine"))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._idle:
            await self._idle.pop().stop()

    async def render(self, job: RenderJob) -> None:
        """Render in a worker; see `Renderer.render`."""
        async with self._places:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    return check_reply(await self._run(job))
                except WorkerDiedError as error:
                    what = error.what
                    _logger.warning(
                        "task=%d event=worker_died attempt=%d how=%r",
                        job.task_id,
                        attempt,
                        str(error),
                    )
        raise RenderFailedError(
            RENDERING_FAILED, f"the renderer {what} on this photo {_ATTEMPTS} times"
        )

    async def is_ready(self) -> bool:
        """Whether a worker runs or can be started; one that is started for this is kept."""
        async with self._checking:
            if self._busy or any(worker.is_running for worker in self._idle):
                return True
            async with self._places:
                try:
                    self._idle.append(await _Worker.start(self._animate, self._limits))
                except OSError:
                    _logger.exception("event=worker_not_started")
                    return False
            return True

    async def _run(self, job: RenderJob) -> dict[str, Any]:
        worker = (
            self._idle.pop() if self._idle else await _Worker.start(self._animate, self._limits)
        )
        self._busy += 1
        try:
            async with asyncio.timeout(self._render_seconds):
                reply = await worker.run(job, self._options)
        except TimeoutError:
            await _end(worker, job)
            raise RenderFailedError(
                RENDERING_FAILED, f"rendering took longer than {self._render_seconds:g} s"
            ) from None
        except BaseException:
            await _end(worker, job)
            raise
        finally:
            self._busy -= 1
        self._idle.append(worker)
        return reply


async def _end(worker: _Worker, job: RenderJob) -> None:
    """Stop a worker in the middle of a job, and remove what it could not finish."""
    await worker.stop()
    await asyncio.to_thread(_discard_unfinished, job)


def _discard_unfinished(job: RenderJob) -> None:
    for path in job.mp4.parent.glob(f".{job.mp4.stem}.*"):
        path.unlink(missing_ok=True)


def _environment() -> dict[str, str]:
    """This process's environment, without what is set for the service itself: keys."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(_OWN_VARIABLES)
    }
    return inherited | _ENVIRONMENT


def check_engine(name: object) -> None:
    """Look for the engine of this name, and for what it needs.

    Raises:
        SetupError: there is none, or something is not installed.
    """
    missing = [name for name in _ENGINE_NEEDS if find_spec(name) is None]
    if missing:
        raise SetupError(
            f"rendering needs {', '.join(missing)}, which are not installed: "
            "pip install 'photoanimer-async[local]'"
        )
    engines = sorted({_WARP, *entry_points(group=_ENGINES).names})
    if name is not None and name not in engines:
        raise SetupError(f"no engine {name!r} is installed; there are: {', '.join(engines)}")


def check_reply(reply: Mapping[str, Any]) -> None:
    """Raise what a worker's reply reports.

    Raises:
        RenderFailedError: the task fails with a code of the table.
        RuntimeError: the renderer has a fault.
    """
    match reply:
        case {"code": 0}:
            return
        case {"code": int(number), "reason": str(reason)} if number in _CODES:
            raise RenderFailedError(_CODES[number], reason[:_LONGEST_REASON])
        case {"fault": str(trace)}:
            raise RuntimeError(f"the renderer has a fault:\n{trace}")
        case _:
            raise RuntimeError("the renderer gave a reply that means nothing")


def _encode(job: RenderJob, options: Mapping[str, object]) -> bytes:
    fields = {
        "template": job.template,
        "photo": str(job.photo),
        "voice": None if job.voice is None else str(job.voice),
        "mp4": str(job.mp4),
        "gif": None if job.gif is None else str(job.gif),
        "options": options,
    }
    return json.dumps(fields).encode() + b"\n"
