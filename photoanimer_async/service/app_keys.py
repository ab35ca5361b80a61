"""Keys of the parts of a running service in its `aiohttp.web` application.

Request handlers find what they need by these keys, as `request.app[STORE]`. `create_app` sets
`SETTINGS` and `FOLDER`; `assembly` sets the others when the application starts.
"""

from typing import Final

from aiohttp import web

from photoanimer_async.service.acceptance import Acceptance
from photoanimer_async.service.access import AccessControl
from photoanimer_async.service.rendering.render_queue import RenderQueue
from photoanimer_async.service.rendering.renderer import Renderer
from photoanimer_async.service.settings import ServiceSettings
from photoanimer_async.service.storing.data_folder import DataFolder
from photoanimer_async.service.storing.database import Database
from photoanimer_async.service.storing.task_store import TaskStore

SETTINGS: Final = web.AppKey("settings", ServiceSettings)
FOLDER: Final = web.AppKey("folder", DataFolder)
STORE: Final = web.AppKey("store", TaskStore)
ACCESS: Final = web.AppKey("access", AccessControl)
ACCEPTANCE: Final = web.AppKey("acceptance", Acceptance)
DATABASE: Final = web.AppKey("database", Database)
RENDERER: Final[web.AppKey[Renderer]] = web.AppKey("renderer")
QUEUE: Final = web.AppKey("queue", RenderQueue)
