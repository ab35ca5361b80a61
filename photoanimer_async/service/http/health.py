"""`/healthz`: whether the service works.

It works if the database can be written to, and a worker runs or can be started. A stopping service
accepts no more requests, so `draining` is visible at the address of `operations` only.
"""

import asyncio
import sqlite3
from enum import Enum
from typing import Final

from aiohttp import web

from photoanimer_async.service.app_keys import DATABASE, QUEUE, RENDERER
from photoanimer_async.service.rendering.renderer import SupportsReadiness

HEALTH_PATH: Final = "/healthz"
_SECONDS: Final = 5.0
_OK: Final = 200
_UNAVAILABLE: Final = 503


class Health(Enum):
    """The health of a service."""

    OK = "ok"
    DRAINING = "draining"
    NO_DATABASE = "no database"
    NO_WORKERS = "no workers"


async def health_of(app: web.Application) -> Health:
    """Return the health of a service that has started."""
    if app[QUEUE].is_draining:
        return Health.DRAINING
    if not await _database_is_writable(app):
        return Health.NO_DATABASE
    if not await _has_workers(app):
        return Health.NO_WORKERS
    return Health.OK


def add_health(app: web.Application, service: web.Application) -> None:
    """Add `/healthz` of a service to an application, which may be another one."""

    async def answer(_: web.Request) -> web.Response:
        health = await health_of(service)
        status = _OK if health is Health.OK else _UNAVAILABLE
        return web.json_response({"status": health.value}, status=status)

    app.router.add_get(HEALTH_PATH, answer, allow_head=False)


async def _database_is_writable(app: web.Application) -> bool:
    try:
        async with asyncio.timeout(_SECONDS):
            await app[DATABASE].write(lambda _: None)
    except (sqlite3.Error, TimeoutError):
        return False
    return True


async def _has_workers(app: web.Application) -> bool:
    renderer = app[RENDERER]
    if not isinstance(renderer, SupportsReadiness):
        return True
    try:
        async with asyncio.timeout(_SECONDS):
            return await renderer.is_ready()
    except TimeoutError:
        return False
