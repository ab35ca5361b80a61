"""Metrics of the service for Prometheus.

They are counted around the parts: `middleware` around the request handlers, `wrap_fetcher` and
`wrap_renderer` around the fetcher and the renderer. Labels have few values (route patterns, codes,
outcomes) and contain no key, account, task or URL.
"""

import time
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler
from attrs import frozen
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from photoanimer_async.service.acceptance import FileSource
from photoanimer_async.service.error_codes import RENDERING_FAILED, RenderFailedError
from photoanimer_async.service.fetching.fetcher import (
    FetchError,
    FileTooLargeError,
    UnsuitableUrlError,
)
from photoanimer_async.service.fetching.received_file import ReceivedFile
from photoanimer_async.service.http.responses import ERROR_CODE, route_of
from photoanimer_async.service.notifying.notifier import DeliveryOutcome
from photoanimer_async.service.rendering.renderer import Renderer, RenderJob
from photoanimer_async.service.shortages import is_shortage

_RENDER_BUCKETS: Final = (0.25, 0.5, 1, 2, 3, 5, 8, 13, 20, 30, 60, 120, 300)
_REQUEST_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30)


class Metrics:
    """The metrics of one service, in a registry of their own.

        app = create_app(settings, metrics=Metrics())

    Attributes:
        registry: all metrics, and those of the process.
        waiting: tasks that wait for a worker.
        open_tasks: tasks that have not ended.
        pending: notifications that have not been delivered.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "photoanimer_http_requests",
            "Requests, by route, HTTP status, and name of the error code.",
            ("route", "status", "code"),
            registry=registry,
        )
        self._request_seconds = Histogram(
            "photoanimer_http_request_seconds",
            "Duration of requests.",
            ("route",),
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        self._fetches = Counter(
            "photoanimer_fetches",
            "Fetched photos and voices, by outcome.",
            ("outcome",),
            registry=registry,
        )
        self._renders = Counter(
            "photoanimer_renders",
            "Rendered tasks, by outcome: finished, put_back, or the name of the error code.",
            ("outcome",),
            registry=registry,
        )
        self._render_seconds = Histogram(
            "photoanimer_render_seconds",
            "Duration of rendering, for finished tasks.",
            ("template",),
            buckets=_RENDER_BUCKETS,
            registry=registry,
        )
        self._notifications = Counter(
            "photoanimer_notification_attempts",
            "Attempts to deliver a notification, by outcome.",
            ("outcome",),
            registry=registry,
        )
        self.waiting = Gauge(
            "photoanimer_tasks_waiting", "Tasks that wait for a worker.", registry=registry
        )
        self.open_tasks = Gauge(
            "photoanimer_tasks_open", "Tasks that have not ended.", registry=registry
        )
        self.pending = Gauge(
            "photoanimer_notifications_pending",
            "Notifications that have not been delivered.",
            registry=registry,
        )

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count a request, and measure its duration."""
        started = time.monotonic()
        response = await handler(request)
        route = route_of(request)
        self._request_seconds.labels(route).observe(time.monotonic() - started)
        self._requests.labels(route, response.status, response.get(ERROR_CODE, "")).inc()
        return response

    def wrap_fetcher(self, fetcher: FileSource) -> FileSource:
        """Return a fetcher whose files are counted."""
        return _CountedFetcher(self._fetches, fetcher)

    def wrap_renderer(self, renderer: Renderer) -> Renderer:
        """Return a renderer whose tasks are counted and timed."""
        return _TimedRenderer(self._renders, self._render_seconds, renderer)

    def count_notification(self, outcome: DeliveryOutcome) -> None:
        """Count an attempt to deliver a notification."""
        self._notifications.labels(outcome.value).inc()


@frozen
class _CountedFetcher:
    counter: Counter
    fetcher: FileSource

    async def fetch(self, url: str, *, size_limit: int, accept: str) -> ReceivedFile:
        try:
            file = await self.fetcher.fetch(url, size_limit=size_limit, accept=accept)
        except FetchError as error:
            self.counter.labels(_fetch_outcome(error)).inc()
            raise
        self.counter.labels("fetched").inc()
        return file


@frozen
class _TimedRenderer:
    counter: Counter
    seconds: Histogram
    renderer: Renderer

    async def render(self, job: RenderJob) -> float | None:
        started = time.monotonic()
        try:
            seconds = await self.renderer.render(job)
        except RenderFailedError as error:
            self.counter.labels(error.code.name).inc()
            raise
        except Exception as error:
            outcome = "put_back" if is_shortage(error) else RENDERING_FAILED.name
            self.counter.labels(outcome).inc()
            raise
        self.counter.labels("finished").inc()
        self.seconds.labels(job.template).observe(time.monotonic() - started)
        return seconds


def _fetch_outcome(error: FetchError) -> str:
    match error:
        case FileTooLargeError():
            return "too_large"
        case UnsuitableUrlError():
            return "not_allowed"
        case _:
            return "failed"
