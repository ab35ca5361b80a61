"""A local Photo Animer: the API page's interfaces on one's own machine, really animating.

::

    submit → parameters → acceptance ─ fetch, folder, store
                              │
                        render_queue ─ rendering (the seam), workers → worker process → engine
                              │
                            notify

`app` is the HTTP side of it and `local` the socket. What is sent is pinned to the API page by
golden JSON; nothing here is shared with the client, so that neither hides the other's mistakes.
"""

from photoanimer_async.service.app import create_app
from photoanimer_async.service.errors import RenderFailedError, SetupError, markdown_table
from photoanimer_async.service.local import LocalService, serve
from photoanimer_async.service.rendering import Renderer, RenderJob
from photoanimer_async.service.settings import ServiceSettings

__all__ = [
    "LocalService",
    "RenderFailedError",
    "RenderJob",
    "Renderer",
    "ServiceSettings",
    "SetupError",
    "create_app",
    "markdown_table",
    "serve",
]
