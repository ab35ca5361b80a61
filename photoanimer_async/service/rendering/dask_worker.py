"""The part of rendering that runs on a worker of a Dask cluster.

`render` is a coroutine, which Dask runs in the worker's event loop while it counts as one of the
worker's threads. It gives the photo to a `ProcessRenderer` as on a single machine, so decoding
happens under the same limits: a photo that crashes a decoder, hangs or takes too much memory
kills a child process, and neither the Dask worker nor other photos are affected. When the Dask
worker is closed it stops these processes; when it is killed, their standard input ends, and they
exit.

Nothing is kept between jobs: a job has all it needs, and gives the same files on every worker,
however often it runs. The reply consists of numbers, text and bytes, and an error of the engine
is a code in it, so the service never unpickles exceptions.
"""

import asyncio
import os
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypedDict

from attrs import field, frozen
from distributed import Worker, WorkerPlugin, get_worker

from photoanimer_async.service.error_codes import RenderFailedError, SetupError
from photoanimer_async.service.rendering.process_renderer import ProcessRenderer, check_engine
from photoanimer_async.service.rendering.renderer import RendererFaultError, RenderJob
from photoanimer_async.service.shortages import is_shortage, reason_of
from photoanimer_async.service.storing.data_folder import copy_atomically

_LONGEST_TRACE: Final = 8_000


@frozen(kw_only=True)
class WorkerSetup:
    """Settings of the rendering processes; the same for every job of a service.

    Attributes:
        animate: the function that renders, as `module:name`.
        options: further keyword arguments of that function, as pairs of name and value.
        render_seconds: the longest that one job may take.
        memory: bytes of memory that one process may use.
    """

    animate: str
    options: tuple[tuple[str, object], ...]
    render_seconds: float
    memory: int


@frozen(kw_only=True)
class ClusterJob:
    """One photo to render, with all the data that this needs.

    Attributes:
        task_id: the task, for logs.
        template: the expression, 0 to 5.
        photo: content of the photo.
        voice: content of the voice that the mouth follows, if there is one.
        mp4: file name of the video.
        gif: file name of the GIF, if one is wanted.
        shared: folder to write the results to; `None`: the reply contains them.
        setup: how to render.
    """

    task_id: int
    template: int
    photo: bytes = field(repr=False)
    voice: bytes | None = field(default=None, repr=False)
    mp4: str
    gif: str | None = None
    shared: Path | None = None
    setup: WorkerSetup


class Reply(TypedDict, total=False):
    """The result of a job; `worker_process.check_reply` raises the errors in it.

    `files` has the results by name, unless they were written to the shared folder.
    """

    code: int
    seconds: float | None
    processor_seconds: float
    reason: str
    shortage: str
    fault: str
    files: dict[str, bytes]


async def render(job: ClusterJob) -> Reply:
    """Render a job on this Dask worker; errors are in the reply."""
    worker = get_worker()
    try:
        renderer = await _renderer_of(worker, job.setup)
        async with _scratch_folder(worker) as scratch:
            seconds, files = await _render_in(scratch, renderer, job)
            return {"code": 0, "seconds": seconds, "files": files}
    except RenderFailedError as failure:
        return {
            "code": failure.code.number,
            "reason": failure.reason,
            "processor_seconds": float(failure.processor_seconds),
        }
    except Exception as error:  # noqa: BLE001 - reported in full; the next photo may be fine
        if is_shortage(error):
            return {"shortage": reason_of(error)}
        used = error.processor_seconds if isinstance(error, RendererFaultError) else 0.0
        return {
            "fault": f"on {worker.address}:\n{traceback.format_exc()[-_LONGEST_TRACE:]}",
            "processor_seconds": used,
        }


async def check_worker(engine: object, shared: Path | None) -> str | None:
    """Return why this Dask worker cannot render; `None` if it can."""
    try:
        await asyncio.to_thread(check_engine, engine)
    except SetupError as error:
        return str(error)
    if shared is not None and not await asyncio.to_thread(os.access, shared, os.W_OK | os.X_OK):
        return f"{shared}, the shared folder for results, is not a folder that it can write to"
    return None


async def _render_in(
    scratch: Path, renderer: ProcessRenderer, job: ClusterJob
) -> tuple[float | None, dict[str, bytes]]:
    """Render in a folder.

    Returns:
        The length of the video in seconds, and the results by name, unless they are in
        `job.shared`.
    """
    photo, voice = scratch / "photo", scratch / "voice"
    await asyncio.to_thread(photo.write_bytes, job.photo)
    if job.voice is not None:
        await asyncio.to_thread(voice.write_bytes, job.voice)
    seconds = await renderer.render(
        RenderJob(
            task_id=job.task_id,
            template=job.template,
            photo=photo,
            voice=None if job.voice is None else voice,
            mp4=scratch / job.mp4,
            gif=None if job.gif is None else scratch / job.gif,
        )
    )
    results = [scratch / name for name in (job.mp4, job.gif) if name is not None]
    if job.shared is None:
        return seconds, {path.name: await asyncio.to_thread(path.read_bytes) for path in results}
    for path in results:
        await asyncio.to_thread(copy_atomically, path, job.shared / path.name)
    return seconds, {}


@asynccontextmanager
async def _scratch_folder(worker: Worker) -> AsyncIterator[Path]:
    """Create a folder in the Dask worker's own, which Dask removes even after a crash."""
    folder = await asyncio.to_thread(TemporaryDirectory, dir=worker.local_directory)
    try:
        yield Path(folder.name)
    finally:
        await asyncio.to_thread(folder.cleanup)


class _RendererPlugin(WorkerPlugin):
    """A Dask worker's renderer for one setup, which lives as long as the worker."""

    def __init__(self, processes: int, setup: WorkerSetup) -> None:
        self.renderer = ProcessRenderer(
            processes,
            render_seconds=setup.render_seconds,
            animate=setup.animate,
            options=dict(setup.options),
            memory=setup.memory,
        )

    async def teardown(self, worker: Worker) -> None:  # noqa: ARG002 - Dask's
        """Stop the processes; called by Dask when the worker is closed."""
        await self.renderer.__aexit__(None, None, None)


async def _renderer_of(worker: Worker, setup: WorkerSetup) -> ProcessRenderer:
    name = f"photoanimer {setup}"
    if name not in worker.plugins:
        created = _RendererPlugin(worker.state.nthreads, setup)
        await created.renderer.__aenter__()
        # Another job may have added one meanwhile; then that one is used.
        if name not in worker.plugins:
            await worker.plugin_add(created, name=name)
    plugin = worker.plugins[name]
    assert isinstance(plugin, _RendererPlugin)  # noqa: S101 - by its name
    return plugin.renderer
