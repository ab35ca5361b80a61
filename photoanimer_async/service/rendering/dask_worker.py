"""What runs on a worker of a Dask cluster: one photo, in a contained process beside the worker.

`render` is a coroutine, which Dask runs in the worker's event loop while it counts as one of
the worker's threads. It hands the photo to a `ProcessRenderer` like the one at home, so that
decoding happens under the same limits: a photo that crashes a decoder, hangs or swells kills a
child, which is replaced, and neither the Dask worker nor its neighbours notice. When the
Dask worker is closed it stops them; when it is killed, the pipe that they read from ends, and
then they end too.

Nothing is kept: a job brings all it needs, and the same job gives the same files, on any worker
and however often. What comes back is numbers, text and bytes; an error of the engine is a code,
so that whoever asks need not unpickle exceptions.
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
from photoanimer_async.service.rendering.renderer import RenderJob
from photoanimer_async.service.storing.data_folder import copy_whole

_LONGEST_TRACE: Final = 8_000


@frozen(kw_only=True)
class Setup:
    """How the processes that render are set up; the same for every job of a service.

    Attributes:
        animate: the function that renders, as `module:name`.
        options: what it is called with besides, as pairs of a name and a value.
        render_seconds: the longest that one job may take.
        memory: bytes of memory that one process may have.
    """

    animate: str
    options: tuple[tuple[str, object], ...]
    render_seconds: float
    memory: int


@frozen(kw_only=True)
class ClusterJob:
    """One photo to render, with all that it takes.

    Attributes:
        task_id: the task, for logs.
        template: the expression, 0 to 5.
        photo: the photo's file.
        voice: the sound's file, if the mouth is to follow one.
        mp4: name of the video's file.
        gif: name of the GIF's file, if one is wanted.
        shared: folder that the results are left in; `None`: they come back in the reply.
        setup: how to render.
    """

    task_id: int
    template: int
    photo: bytes = field(repr=False)
    voice: bytes | None = field(default=None, repr=False)
    mp4: str
    gif: str | None = None
    shared: Path | None = None
    setup: Setup


class Reply(TypedDict, total=False):
    """What comes back: `workers.check_reply` tells what of it means a failure.

    `files` holds the results by their names, unless they were left in the shared folder.
    """

    code: int
    reason: str
    fault: str
    files: dict[str, bytes]


async def render(job: ClusterJob) -> Reply:
    """Render a job on this Dask worker; raises nothing, as everything is in the reply."""
    worker = get_worker()
    try:
        renderer = await _renderer(worker, job.setup)
        async with _scratch(worker) as scratch:
            return {"code": 0, "files": await _render_in(scratch, renderer, job)}
    except RenderFailedError as failure:
        return {"code": failure.code.number, "reason": failure.reason}
    except Exception:  # noqa: BLE001 - reported in full; the next photo may be fine
        return {"fault": f"on {worker.address}:\n{traceback.format_exc()[-_LONGEST_TRACE:]}"}


async def obstacle(engine: object, shared: Path | None) -> str | None:
    """What keeps this Dask worker from rendering, in words."""
    try:
        await asyncio.to_thread(check_engine, engine)
    except SetupError as error:
        return str(error)
    if shared is not None and not await asyncio.to_thread(os.access, shared, os.W_OK | os.X_OK):
        return f"{shared}, which results travel by, is no folder that it can write to"
    return None


async def _render_in(scratch: Path, renderer: ProcessRenderer, job: ClusterJob) -> dict[str, bytes]:
    """The results, by their names; none of them if they are in the shared folder."""
    photo, voice = scratch / "photo", scratch / "voice"
    await asyncio.to_thread(photo.write_bytes, job.photo)
    if job.voice is not None:
        await asyncio.to_thread(voice.write_bytes, job.voice)
    await renderer.render(
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
        return {path.name: await asyncio.to_thread(path.read_bytes) for path in results}
    for path in results:
        await asyncio.to_thread(copy_whole, path, job.shared / path.name)
    return {}


@asynccontextmanager
async def _scratch(worker: Worker) -> AsyncIterator[Path]:
    """A folder in the Dask worker's own, which Dask removes when it finds its worker dead."""
    folder = await asyncio.to_thread(TemporaryDirectory, dir=worker.local_directory)
    try:
        yield Path(folder.name)
    finally:
        await asyncio.to_thread(folder.cleanup)


class _Processes(WorkerPlugin):
    """A Dask worker's processes for one setup: they stay for the next job, and end with it."""

    def __init__(self, processes: int, setup: Setup) -> None:
        self.renderer = ProcessRenderer(
            processes,
            render_seconds=setup.render_seconds,
            animate=setup.animate,
            options=dict(setup.options),
            memory=setup.memory,
        )

    async def teardown(self, worker: Worker) -> None:  # noqa: ARG002 - Dask's
        """Called by Dask when the worker is closed."""
        await self.renderer.__aexit__(None, None, None)


async def _renderer(worker: Worker, setup: Setup) -> ProcessRenderer:
    name = f"photoanimer {setup}"
    if name not in worker.plugins:
        processes = _Processes(worker.state.nthreads, setup)
        await processes.renderer.__aenter__()
        # Others may have come here meanwhile; the first to get this far is the one.
        if name not in worker.plugins:
            await worker.plugin_add(processes, name=name)
    plugin = worker.plugins[name]
    assert isinstance(plugin, _Processes)  # noqa: S101 - by its name
    return plugin.renderer
