"""The parts of a running service, by their keys in the application.

Whatever is added to the application (routes, middlewares) finds them here.
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
