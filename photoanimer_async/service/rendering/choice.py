"""Who renders, by the settings: processes of this machine, or a Dask cluster."""

from contextlib import AbstractAsyncContextManager

from photoanimer_async.service.error_codes import SetupError
from photoanimer_async.service.rendering.process_renderer import ProcessRenderer
from photoanimer_async.service.rendering.renderer import Renderer
from photoanimer_async.service.settings import ServiceSettings


def renderer_for(settings: ServiceSettings) -> AbstractAsyncContextManager[Renderer]:
    """The renderer that the settings ask for, to be entered; loading it may take a second.

    Raises:
        SetupError: Dask is not installed.
    """
    if settings.dask is None:
        return ProcessRenderer(
            settings.workers,
            render_seconds=settings.render_seconds,
            options=settings.render_options,
            memory=settings.render_memory,
        )
    try:
        from photoanimer_async.service.rendering.dask_renderer import DaskRenderer  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise SetupError(
            f"rendering on a Dask cluster needs {error.name}, which is not installed: "
            "pip install 'photoanimer-async[dask,local]'"
        ) from error
    return DaskRenderer(
        settings.dask,
        shared=settings.dask_shared,
        render_seconds=settings.render_seconds,
        options=settings.render_options,
        memory=settings.render_memory,
    )
