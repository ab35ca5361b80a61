"""Rendering in worker processes on this machine.

Each worker process renders one photo at a time and stays for the next. When one dies, it is
clear which photo killed it: that job is tried once more in a new worker, and other jobs are not
affected. A worker that exceeds the timeout is killed.
"""

import asyncio
import logging
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import entry_points
from importlib.util import find_spec
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

from photoanimer_async.service.error_codes import RENDERING_FAILED, RenderFailedError, SetupError
from photoanimer_async.service.rendering.renderer import RenderJob
from photoanimer_async.service.rendering.resource_limits import ResourceLimits
from photoanimer_async.service.rendering.worker_process import (
    WorkerDiedError,
    WorkerProcess,
    check_reply,
)

ANIMATE: Final = "photoanimer_async.service.rendering.worker:animate"
"""The function that renders with the engine."""
RENDER_MEMORY: Final = 2 * 1024**3
"""Bytes of memory that a worker may use by default."""

_logger = logging.getLogger(__name__)
_ENGINES: Final = "photoanimer_async.engines"
_WARP: Final = "warp"
_ENGINE_NEEDS: Final = ("av", "cv2", "numpy", "onnxruntime", "PIL")
_ATTEMPTS: Final = 2
_THREADS: Final = 2  # of a render: one computes, one encodes
_LONGEST_RESULT: Final = 1024**3


class ProcessRenderer:
    """A `Renderer` that renders in worker processes. Use it as an async context manager.

        async with ProcessRenderer(4) as renderer:
            await renderer.render(job)

    Args:
        workers: the largest number of processes.
        render_seconds: the longest that one job may take; then its worker is killed.
        animate: the function that renders, as `module:name`; called in the worker like
            `worker.animate`.
        options: further keyword arguments of that function; JSON values.
        memory: bytes of memory that one worker may use.

    Raises, when entered:
        SetupError: the engine, or a library that it needs, is not installed.
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
        self._limits = ResourceLimits(
            memory=memory,
            # Above what the timeout allows: it matters only if the service does not enforce that.
            cpu_seconds=math.ceil(_THREADS * render_seconds),
            file_bytes=_LONGEST_RESULT,
        )
        self._workers = workers
        self._slots = asyncio.Semaphore(workers)
        self._idle: list[WorkerProcess] = []
        self._busy = 0
        self._readiness_check = asyncio.Lock()

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
        idle, self._idle = self._idle, []
        for worker in idle:
            worker.kill()  # all of them, also if this is cancelled while it waits
        for worker in idle:
            await worker.stop()

    async def start_workers(self, photos: int) -> None:
        """Start the workers for the first photos, which load the engine before these come.

        A worker that is not started here starts, and loads the engine, with a photo.

        Args:
            photos: how many photos will come.
        """
        with suppress(OSError):  # the first job tries again, and says why
            for _ in range(min(photos, self._workers)):
                worker = await WorkerProcess.start(self._animate, self._limits, load_engine=True)
                self._idle.append(worker)

    async def render(self, job: RenderJob) -> float | None:
        """Render in a worker; see `Renderer.render`."""
        async with self._slots:
            began = time.monotonic()
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
            RENDERING_FAILED,
            f"the renderer {what} on this photo {_ATTEMPTS} times",
            processor_seconds=time.monotonic() - began,
        )

    async def is_ready(self) -> bool:
        """Return whether a worker runs or can be started; a started one waits for a job."""
        async with self._readiness_check:
            if self._busy or any(worker.is_running for worker in self._idle):
                return True
            async with self._slots:
                try:
                    self._idle.append(await WorkerProcess.start(self._animate, self._limits))
                except OSError:
                    _logger.exception("event=worker_not_started")
                    return False
            return True

    async def _run(self, job: RenderJob) -> dict[str, Any]:
        worker = (
            self._idle.pop()
            if self._idle
            else await WorkerProcess.start(self._animate, self._limits)
        )
        self._busy += 1
        try:
            async with asyncio.timeout(self._render_seconds):
                reply = await worker.run(job, self._options)
        except TimeoutError:
            await _abort(worker, job)
            raise RenderFailedError(
                RENDERING_FAILED,
                f"rendering took longer than {self._render_seconds:g} s",
                processor_seconds=self._render_seconds,
            ) from None
        except BaseException:
            await _abort(worker, job)
            raise
        finally:
            self._busy -= 1
        match reply:
            case {"shortage": _}:
                await _abort(worker, job)  # a new one may have what this one lacks
            case _:
                self._idle.append(worker)
        return reply


def check_engine(name: object) -> None:
    """Check that an engine and the libraries it needs are installed, without importing them.

    Raises:
        SetupError: something is not installed.
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


async def _abort(worker: WorkerProcess, job: RenderJob) -> None:
    """Stop a worker in the middle of a job and remove its unfinished files."""
    await worker.stop()
    await asyncio.to_thread(_remove_unfinished, job)


def _remove_unfinished(job: RenderJob) -> None:
    for path in job.mp4.parent.glob(f".{job.mp4.stem}.*"):
        path.unlink(missing_ok=True)
