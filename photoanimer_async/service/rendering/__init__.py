"""Render the videos of accepted tasks, in worker processes or on a Dask cluster.

`renderer` defines the interface between the service and what renders: a `RenderJob` (files in,
files out) and a `Renderer`. `render_queue` takes accepted tasks in their order, gives each to
the renderer and stores its end. It knows nothing of how videos are made.

`process_renderer` is the default renderer, a pool of worker processes on this machine:

    ProcessRenderer ── WorkerProcess ═ pipes ═ worker (python -m ...rendering.worker) ── engine

A photo comes from anybody and is decoded by large C libraries, so each worker process renders
one photo at a time under the limits of `resource_limits`, and exchanges only lines of JSON with
the service. A photo that crashes a decoder, hangs or takes too much memory costs one process; it
is tried once more in a new one, and other tasks are not affected.

With `ServiceSettings.dask`, `dask_renderer` sends photos to a Dask cluster instead. On each Dask
worker `dask_worker` runs the same pool of worker processes, and `dask_client` keeps the
connection to the scheduler. Nothing is stored there: a task stays open in the service's database
until its results are in the data folder, and an interrupted render is repeated.

To render in another way, pass any object with `async def render(job)` as `renderer=` to
`LocalService`, `serve` or `create_app`.
"""
