"""A worker process as the service sees it: start it, send it a job, read its reply, stop it.

A worker is a new Python process, neither a fork nor a spawn of this one: the user's script is
not imported a second time, and Ctrl-C in a terminal reaches the service only, because each
worker has its own session. It inherits no connection and no open file of the service, and none
of the environment variables with its keys.
"""

import asyncio
import json
import logging
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

from photoanimer_async.redaction import printable
from photoanimer_async.service.error_codes import TABLE, RenderFailedError
from photoanimer_async.service.rendering.renderer import RendererFaultError, RenderJob
from photoanimer_async.service.rendering.resource_limits import (
    LOAD_ENGINE,
    OUT_OF_MEMORY_STATUS,
    ResourceLimits,
)
from photoanimer_async.service.shortages import ShortageError

_logger = logging.getLogger(__name__)
_PROGRAM: Final = "photoanimer_async.service.rendering.worker"
_LONGEST_REASON: Final = 300
_LINES_KEPT: Final = 8
_MOST_SECONDS: Final = 86_400.0
_CHUNK: Final = 16 * 1024
_CODES: Final = {code.number: code for code in TABLE}
# Photos are rendered in parallel, so more threads in each process would only compete for cores.
_ENVIRONMENT: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_OWN_VARIABLES: Final = "PHOTOANIMER_"
_DEATHS: Final = {
    OUT_OF_MEMORY_STATUS: "ran out of memory",
    -signal.SIGXCPU: "ran out of processor time",
}


class WorkerDiedError(Exception):
    """A worker process ended in the middle of a job.

    Attributes:
        what: what happened, as a verb phrase after "the renderer".
    """

    def __init__(self, status: int, printed: Iterable[str]) -> None:
        ending = f"signal {-status}" if status < 0 else f"status {status}"
        super().__init__(" | ".join((ending, *printed)))
        self.what = _DEATHS.get(status, "crashed")


class WorkerProcess:
    """One worker process and the last lines of its standard error.

    worker = await WorkerProcess.start("my_renderer:animate", limits)
    check_reply(await worker.run(job, {}))
    await worker.stop()
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self._printed: deque[str] = deque(maxlen=_LINES_KEPT)
        self._reading_stderr = asyncio.create_task(self._read_stderr())

    @classmethod
    async def start(
        cls, animate: str, limits: ResourceLimits, *, load_engine: bool = False
    ) -> Self:
        """Start a worker.

        Args:
            animate: the function that renders, as `module:name`.
            limits: what the process may use.
            load_engine: whether it loads the engine at once, and not with its first job.

        Raises:
            OSError: the process cannot be started.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            # Without -P the current folder would come before the standard library.
            "-P",
            "-m",
            _PROGRAM,
            animate,
            limits.as_argument(),
            *[LOAD_ENGINE] * load_engine,
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
        """Whether the process has not ended."""
        return self._process.returncode is None

    async def run(self, job: RenderJob, options: Mapping[str, object]) -> dict[str, Any]:
        """Send a job and return the reply; see `check_reply`.

        Raises:
            WorkerDiedError: the process ended before it replied.
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
            await self._reading_stderr
            raise WorkerDiedError(status, self._printed)
        reply: dict[str, Any] = json.loads(line)
        return reply

    def kill(self) -> None:
        """Kill the process."""
        if self._process.returncode is None:
            self._process.kill()

    async def stop(self) -> None:
        """Kill the process and wait for its end."""
        self.kill()
        await self._process.wait()
        await self._reading_stderr

    async def _read_stderr(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None  # noqa: S101 - it is a pipe
        while printed := await stderr.read(_CHUNK):
            for line in printed.decode(errors="replace").splitlines():
                text = printable(line)
                self._printed.append(text)
                _logger.debug("event=worker_printed pid=%d text=%r", self._process.pid, text)


def check_reply(reply: Mapping[str, Any]) -> float | None:
    """Return the length of the video that a worker's reply reports, if it does.

    Raises:
        RenderFailedError: the task fails with a code of the table of errors.
        ShortageError: the machine is short of something.
        RendererFaultError: the renderer has a fault.
    """
    match reply:
        case {"code": 0}:
            return _seconds(reply.get("seconds"))
        case {"code": int(number), "reason": str(reason)} if number in _CODES:
            raise RenderFailedError(
                _CODES[number], reason[:_LONGEST_REASON], processor_seconds=_used(reply)
            )
        case {"shortage": str(reason)}:
            raise ShortageError(printable(reason)[:_LONGEST_REASON])
        case {"fault": str(trace)}:
            raise RendererFaultError(f"the renderer has a fault:\n{trace}", _used(reply))
        case _:
            raise RendererFaultError("the renderer gave an invalid reply")


def _used(reply: Mapping[str, Any]) -> float:
    return _seconds(reply.get("processor_seconds")) or 0.0


def _seconds(value: object) -> float | None:
    """Return a number of seconds; `None` for anything else, since the worker is not trusted."""
    return value if isinstance(value, float) and 0 <= value <= _MOST_SECONDS else None


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


def _environment() -> dict[str, str]:
    """Return this process's environment without the service's own variables, such as keys."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(_OWN_VARIABLES)
    }
    return inherited | _ENVIRONMENT
