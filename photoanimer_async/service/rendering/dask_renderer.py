"""Rendering on the machines of a Dask cluster.

The service stays what it is: the database is here, a task is open until its results are in the
data folder, and a render that is interrupted is done again. All that leaves is a photo, with
the task's id as its key, and all that comes back are the results, as bytes or by a folder that
workers and service share. See `dask_client` for what happens when machines go away, and
`dask_worker` for what runs there.
"""

import asyncio
import functools
import re
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, Self

from distributed import KilledWorker

from photoanimer_async.service.error_codes import RENDERING_FAILED, RenderFailedError, SetupError
from photoanimer_async.service.rendering.dask_client import DaskCluster
from photoanimer_async.service.rendering.dask_worker import (
    ClusterJob,
    Reply,
    Setup,
    obstacle,
    render,
)
from photoanimer_async.service.rendering.process_renderer import ANIMATE, RENDER_MEMORY, check_reply
from photoanimer_async.service.rendering.renderer import RenderJob
from photoanimer_async.service.storing.data_folder import RESULT_NAME, copy_whole, write_whole

_LEFT: Final = re.compile(rf"{RESULT_NAME}|\.{RESULT_NAME}\.[0-9a-f]+\.part")
_DAY: Final = 24 * 3600.0


class DaskRenderer:
    """A `Renderer` on a Dask cluster. Use as an async context manager.

    How many jobs are under way is up to whoever calls `render`; the scheduler keeps those that
    no worker has a thread for. A render that is cancelled is forgotten; a worker that has begun
    it ends it, for nobody.

    Args:
        address: the scheduler's, for instance `tcp://scheduler:8786`.
        shared: a folder of this service's own, under the same path on every worker and here,
            that results travel by; `None`: they travel through the scheduler.
        render_seconds: the longest that one job may render.
        animate: the function that renders, as `module:name`.
        options: what it is called with besides; values of JSON.
        memory: bytes of memory that one rendering process may have.

    Raises, when entered:
        SetupError: no scheduler answers, or it or a worker has another version, or lacks what
            rendering needs; or the shared folder can not be used.
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
        self._cluster = DaskCluster(
            address, functools.partial(obstacle, options.get("engine"), self._shared)
        )
        self._setup = Setup(
            animate=animate,
            options=tuple(sorted(options.items())),
            render_seconds=render_seconds,
            memory=memory,
        )

    async def __aenter__(self) -> Self:
        if self._shared is not None:
            await asyncio.to_thread(_sweep, self._shared)
        await self._cluster.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._cluster.__aexit__(kind, error, trace)

    async def render(self, job: RenderJob) -> None:
        """Render somewhere on the cluster; see `Renderer.render`."""
        load = functools.partial(self._packed, job)
        try:
            reply = await self._cluster.run(f"photoanimer-{job.task_id}", render, load)
        except KilledWorker as error:
            raise RenderFailedError(
                RENDERING_FAILED,
                f"{error.allowed_failures + 1} workers of the cluster died on this photo",
            ) from error
        check_reply(reply)
        await asyncio.to_thread(self._unpack, job, reply)

    async def is_ready(self) -> bool:
        """Whether the cluster has a scheduler and a worker; see `DaskCluster.has_workers`."""
        return self._cluster.has_workers()

    def _packed(self, job: RenderJob) -> ClusterJob:
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

    def _unpack(self, job: RenderJob, reply: Reply) -> None:
        for path in (job.mp4, job.gif):
            if path is None:
                continue
            if self._shared is None:
                write_whole(path, reply["files"][path.name])
            else:
                left = self._shared / path.name
                copy_whole(left, path)
                left.unlink(missing_ok=True)


def _sweep(shared: Path) -> None:
    """Remove what workers left that nobody came for: they were taken for dead, and were not."""
    oldest = time.time() - _DAY
    try:
        for path in shared.iterdir():
            if _LEFT.fullmatch(path.name) and path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise SetupError(f"{shared}, which results travel by: {error.strerror}") from error
