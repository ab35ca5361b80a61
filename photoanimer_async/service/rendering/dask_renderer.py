"""Rendering on the machines of a Dask cluster.

The service keeps its database, its queue and its results. A photo is sent out with the task's id
as its key, and the results come back as bytes, or through a folder that workers and service
share. `dask_client` handles schedulers and workers that go away; `dask_worker` runs on a worker.
"""

import asyncio
import functools
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, Self

from distributed import KilledWorker

from photoanimer_async.service.error_codes import RENDERING_FAILED, RenderFailedError, SetupError
from photoanimer_async.service.rendering.dask_client import ReconnectingClient
from photoanimer_async.service.rendering.dask_worker import (
    ClusterJob,
    Reply,
    WorkerSetup,
    check_worker,
    render,
)
from photoanimer_async.service.rendering.process_renderer import ANIMATE, RENDER_MEMORY
from photoanimer_async.service.rendering.renderer import RenderJob
from photoanimer_async.service.rendering.worker_process import check_reply
from photoanimer_async.service.storing.data_folder import (
    RESULT_NAME,
    copy_atomically,
    write_atomically,
)

_LEFTOVER: Final = re.compile(rf"{RESULT_NAME}|\.{RESULT_NAME}\.[0-9a-f]+\.part")
_DAY: Final = 24 * 3600.0
_MOST_IN_TRANSIT: Final = 128 * 1024 * 1024


class ByteBudget:
    """Bounds the bytes that are held at the same time; who finds too few left waits in line.

        async with budget.taken(len(photo)):
            ...

    Args:
        most: the bytes; who wants more gets all of them.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._free = most
        self._line = asyncio.Lock()
        self._given_back = asyncio.Event()

    @asynccontextmanager
    async def taken(self, size: int) -> AsyncIterator[None]:
        """Hold so many bytes for the duration of the block."""
        size = min(size, self._most)
        async with self._line:
            while self._free < size:
                self._given_back.clear()
                await self._given_back.wait()
            self._free -= size
        try:
            yield
        finally:
            self._free += size
            self._given_back.set()


class DaskRenderer:
    """A `Renderer` on a Dask cluster. Use it as an async context manager.

        async with DaskRenderer("tcp://scheduler:8786") as renderer:
            await renderer.render(job)

    The number of jobs at the cluster is not limited here; the scheduler queues those for which no
    worker has a free thread. But photos and voices at the cluster have 128 MiB together at most:
    they pass through the memory of this process, and are held in that of the scheduler. After a
    cancellation a worker that has started the render completes it, and its results are dropped.

    Args:
        address: of the scheduler, for instance `tcp://scheduler:8786`.
        shared: a folder of this service alone, under the same path on every worker and here,
            through which results are transferred; `None`: through the scheduler.
        render_seconds: the longest that one job may render.
        animate: the function that renders, as `module:name`.
        options: further keyword arguments of that function; JSON values.
        memory: bytes of memory that one rendering process may use.

    Raises, when entered:
        SetupError: no scheduler answers; the scheduler or a worker has another version than this
            process, or lacks what rendering needs; or the shared folder cannot be used.
    """

    def __init__(
        self,
        address: str,
        *,
        shared: Path | None = None,
        render_seconds: float = 300.0,
        animate: str = ANIMATE,
        options: Mapping[str, object] = MappingProxyType({}),
        memory: int = RENDER_MEMORY,
    ) -> None:
        self._shared = None if shared is None else shared.absolute()
        self._client = ReconnectingClient(
            address, functools.partial(check_worker, options.get("engine"), self._shared)
        )
        self._in_transit = ByteBudget(_MOST_IN_TRANSIT)
        self._setup = WorkerSetup(
            animate=animate,
            options=tuple(sorted(options.items())),
            render_seconds=render_seconds,
            memory=memory,
        )

    async def __aenter__(self) -> Self:
        if self._shared is not None:
            await asyncio.to_thread(_remove_leftovers, self._shared)
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def render(self, job: RenderJob) -> float | None:
        """Render on some machine of the cluster; see `Renderer.render`."""
        load = functools.partial(self._cluster_job, job)
        size = await asyncio.to_thread(_size_of_inputs, job)
        began = time.monotonic()
        try:
            async with self._in_transit.taken(size):
                reply = await self._client.run(f"photoanimer-{job.task_id}", render, load)
        except KilledWorker as error:
            raise RenderFailedError(
                RENDERING_FAILED,
                f"{error.allowed_failures + 1} workers of the cluster died on this photo",
                processor_seconds=time.monotonic() - began,
            ) from error
        seconds = check_reply(reply)
        await asyncio.to_thread(self._save_results, job, reply)
        return seconds

    async def is_ready(self) -> bool:
        """Return whether there is a worker; see `ReconnectingClient.has_workers`."""
        return self._client.has_workers()

    def _cluster_job(self, job: RenderJob) -> ClusterJob:
        return ClusterJob(
            task_id=job.task_id,
            template=job.template,
            photo=job.photo.read_bytes(),
            voice=None if job.voice is None else job.voice.read_bytes(),
            mp4=job.mp4.name,
            gif=None if job.gif is None else job.gif.name,
            shared=self._shared,
            setup=self._setup,
        )

    def _save_results(self, job: RenderJob, reply: Reply) -> None:
        for path in (job.mp4, job.gif):
            if path is None:
                continue
            if self._shared is None:
                write_atomically(path, reply["files"][path.name])
            else:
                transferred = self._shared / path.name
                copy_atomically(transferred, path)
                transferred.unlink(missing_ok=True)


def _size_of_inputs(job: RenderJob) -> int:
    return sum(path.stat().st_size for path in (job.photo, job.voice) if path is not None)


def _remove_leftovers(shared: Path) -> None:
    """Remove old results that nobody collected, of workers that lost their connection."""
    oldest = time.time() - _DAY
    try:
        for path in shared.iterdir():
            if _LEFTOVER.fullmatch(path.name) and path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise SetupError(f"{shared}, the shared folder for results: {error.strerror}") from error
