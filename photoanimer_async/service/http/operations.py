"""`/metrics` and `/healthz` for the operators of the service, at an address of their own.

They need no key, so they have another address than the interfaces, where a reverse proxy would
publish them. The address answers until the service has stopped, and so shows that it is stopping.
"""

import asyncio
import sqlite3
from contextlib import suppress
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from photoanimer_async.service.app_keys import DATABASE, QUEUE, STORE
from photoanimer_async.service.http.browser_guard import own_hosts_only
from photoanimer_async.service.http.health import add_health
from photoanimer_async.service.http.metrics import Metrics
from photoanimer_async.service.http.responses import envelope_errors
from photoanimer_async.service.storing import outbox

METRICS_PATH: Final = "/metrics"


def create_operations_app(
    service: web.Application, metrics: Metrics, *, is_on_loopback: bool
) -> web.Application:
    """Return the operators' application of a service that has started.

    Args:
        service: the service.
        metrics: its metrics.
        is_on_loopback: whether only this machine can reach the address.
    """

    async def answer(_: web.Request) -> web.Response:
        if service[QUEUE].is_draining:  # it may have closed its database
            metrics.waiting.set(0)
        else:
            await _count_stored(service, metrics)
        text = await asyncio.to_thread(generate_latest, metrics.registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    own_hosts = own_hosts_only(lambda _: is_on_loopback)
    app = web.Application(middlewares=[envelope_errors(own_hosts)])
    app.router.add_get(METRICS_PATH, answer, allow_head=False)
    add_health(app, service)
    return app


async def _count_stored(service: web.Application, metrics: Metrics) -> None:
    """Set the gauges to what is in the database."""
    with suppress(sqlite3.Error):  # then they keep their values; `/healthz` says what is wrong
        open_tasks = await service[STORE].open_count()
        metrics.open_tasks.set(open_tasks)
        metrics.waiting.set(max(0, open_tasks - service[QUEUE].rendering))
        metrics.pending.set(await service[DATABASE].read(outbox.pending))
