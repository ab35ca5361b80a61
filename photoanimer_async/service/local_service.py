"""Runs the service on a socket: inside another program, or as a program of its own."""

import asyncio
import logging
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from photoanimer_async.photos.loopback import is_loopback
from photoanimer_async.service.api_path import API_PREFIX
from photoanimer_async.service.app import create_app
from photoanimer_async.service.app_keys import ACCESS, FOLDER
from photoanimer_async.service.error_codes import SetupError
from photoanimer_async.service.http.connections import (
    KEEP_ALIVE_SECONDS,
    AcceptErrors,
    ConnectionGuard,
    ConnectionLimits,
    limits_for,
)
from photoanimer_async.service.http.openapi import PAGE_PATH
from photoanimer_async.service.rendering.renderer import Renderer
from photoanimer_async.service.settings import ServiceSettings
from photoanimer_async.service.storing.database import unusable

if TYPE_CHECKING:
    from photoanimer_async.service.faults import FaultInjector
    from photoanimer_async.service.http.metrics import Metrics

_logger = logging.getLogger(__name__)
_http_logger = logging.getLogger(f"{__name__}.http")
# Signed image URLs are long, and longer still when percent-encoded in a query.
_LONGEST_REQUEST_LINE: Final = 32 * 1024
_OPERATORS: Final = ConnectionLimits(in_all=64, per_address=32, request_seconds=10.0)
_SHORTEST_SHUTDOWN: Final = 0.05
# How long aiohttp reads and drops the body of an answered request, also during a shutdown. No
# interface has a body.
_LINGERING_SECONDS: Final = 0.5
_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


class LocalService:
    """A local Photo Animer that runs for the duration of the context.

        async with LocalService(ServiceSettings(data_dir=folder, port=0)) as service:
            async with PhotoAnimerClient("any-key", base_url=service.base_url) as client:
                ...

    It runs in the event loop in which it is entered; rendering runs in worker processes. On exit
    it finishes open requests and running renders, for `drain_seconds` at most, and stops the
    workers. Unfinished tasks continue when a service starts on the same folder.

    Args:
        settings: the settings of the service.
        renderer: makes the videos; by default, the engine in worker processes.
        faults: scripted faults, for tests; by default none.
        on_end: called with the id of each task that has ended, once that is on disk. A client in
            the same program need not wait for its next poll: `on_end=client.notify`.

    Attributes:
        app: the application; `app_keys` lists what it contains after the start.

    Raises:
        SetupError: `metrics_address` is set, and prometheus_client is not installed.

    Raises, when entered:
        SetupError: the data folder cannot be used, the engine is not installed, or the service
            would be open to everybody on the network.
        OSError: the service cannot listen on the address.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        *,
        renderer: Renderer | None = None,
        faults: "FaultInjector | None" = None,
        on_end: Callable[[int], object] | None = None,
    ) -> None:
        self._settings = settings
        self._metrics = None if settings.metrics_address is None else _new_metrics()
        self.app = create_app(
            settings, renderer=renderer, faults=faults, metrics=self._metrics, on_end=on_end
        )
        self._guard: ConnectionGuard | None = None
        self._operations: web.AppRunner | None = None
        self._operations_guard: ConnectionGuard | None = None
        # aiohttp's access log would contain the query, and with it the image URLs.
        self._runner = web.AppRunner(
            self.app,
            access_log=None,
            logger=_http_logger,
            max_line_size=_LONGEST_REQUEST_LINE,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            lingering_time=_LINGERING_SECONDS,
            # The work for a request ends when its sender hangs up; see `acceptance`.
            handler_cancellation=True,
            # aiohttp waits twice this time for open requests; 0 would mean without limit.
            shutdown_timeout=max(settings.drain_seconds / 2, _SHORTEST_SHUTDOWN),
        )

    async def __aenter__(self) -> Self:
        try:
            await self._set_up()
            limits = limits_for(self._settings.connections, self._settings.request_seconds)
            self._guard = ConnectionGuard(limits)
            await self._start_operations()
            await _listen(self._guard, self._runner, (self._settings.host, self._settings.port))
        except BaseException:
            await self._stop()
            raise
        _logger.info("event=listening url=%s", self.base_url)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop()

    @property
    def base_url(self) -> str:
        """The URL of the interfaces, for instance `http://127.0.0.1:8765/api/v1`."""
        return f"{_origin(self._guard)}{API_PREFIX}"

    @property
    def docs_url(self) -> str:
        """The URL of the page that describes the interfaces."""
        return f"{_origin(self._guard)}{PAGE_PATH}"

    @property
    def operations_url(self) -> str | None:
        """The URL of `/metrics` and `/healthz`, as `http://127.0.0.1:9464`, if they are served."""
        return None if self._operations is None else _origin(self._operations_guard)

    async def _set_up(self) -> None:
        """Start the parts of the service; whatever the disk refuses is an error of the folder."""
        try:
            await self._runner.setup()
        except sqlite3.Error as error:
            raise unusable(self.app[FOLDER].database, error) from error
        except OSError as error:
            raise SetupError(f"{self._settings.data_dir} cannot be used: {error}") from error

    async def _start_operations(self) -> None:
        address, metrics = self._settings.metrics_address, self._metrics
        if address is None or metrics is None:
            return
        from photoanimer_async.service.http.operations import (  # noqa: PLC0415 - see _new_metrics
            create_operations_app,
        )

        self._operations = web.AppRunner(
            create_operations_app(self.app, metrics, is_on_loopback=is_loopback(address[0])),
            access_log=None,
            shutdown_timeout=0.1,
        )
        await self._operations.setup()
        self._operations_guard = ConnectionGuard(_OPERATORS)
        try:
            await _listen(self._operations_guard, self._operations, address)
        except OSError as error:
            raise SetupError(
                f"metrics cannot be served at {address[0]}, port {address[1]}: {error.strerror}"
            ) from error
        _logger.info("event=metrics_served url=%s", self.operations_url)

    async def _stop(self) -> None:
        """Stop the service, and then `/healthz`, which reports the stopping until then."""
        try:
            await _stop(self._guard, self._runner)
        finally:
            if self._operations is not None:
                await _stop(self._operations_guard, self._operations)

    @property
    def is_open(self) -> bool:
        """Whether every key is accepted, because no settings and no account have one."""
        return self.app[ACCESS].is_open


def _new_metrics() -> "Metrics":
    try:
        from photoanimer_async.service.http.metrics import (  # noqa: PLC0415 - only the extra has it
            Metrics,
        )
    except ImportError as error:
        raise SetupError(
            f"metrics need {error.name}, which is not installed: "
            "pip install 'photoanimer-async[local]'"
        ) from error
    return Metrics()


async def _listen(guard: ConnectionGuard, runner: web.AppRunner, address: tuple[str, int]) -> None:
    assert runner.server is not None  # noqa: S101 - it has been set up
    await guard.listen(runner.server, *address)


async def _stop(guard: ConnectionGuard | None, runner: web.AppRunner) -> None:
    if guard is not None:
        guard.stop_listening()
    try:
        await runner.cleanup()
    finally:
        if guard is not None:
            await guard.close()


def _origin(guard: ConnectionGuard | None) -> str:
    assert guard is not None  # noqa: S101 - the service has started
    host, port = guard.addresses[0][:2]
    host = _EVERY_ADDRESS.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def serve(
    settings: ServiceSettings,
    *,
    renderer: Renderer | None = None,
    faults: "FaultInjector | None" = None,
    on_start: Callable[[LocalService], object] | None = None,
) -> None:
    """Run a service until it is cancelled or receives SIGTERM or SIGHUP.

    Args:
        settings: the settings of the service.
        renderer: makes the videos; by default, the engine in worker processes.
        faults: scripted faults, for tests; by default none.
        on_start: called once with the service when it accepts requests.

    Raises:
        SetupError: the data folder cannot be used, the engine is not installed, or the service
            would be open to everybody on the network.
        OSError: the service cannot listen on the address.
    """
    asyncio.get_running_loop().set_exception_handler(AcceptErrors())
    # Until the end: a closed terminal sends several signals, and running renders end first.
    with _termination() as terminated:
        async with LocalService(settings, renderer=renderer, faults=faults) as service:
            if on_start is not None:
                on_start(service)
            await terminated.wait()


class _BadRequestFilter(logging.Filter):
    """Logs unreadable requests by the kind of error: aiohttp's own text contains the URL."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError | web.RequestPayloadError):
            record.msg, record.args = "event=bad_request kind=%s", (type(error).__name__,)
            record.levelno, record.levelname = logging.INFO, "INFO"
            record.exc_info = None
        return True


_http_logger.addFilter(_BadRequestFilter())


@contextmanager
def _termination() -> Iterator[asyncio.Event]:
    """Return an event that SIGTERM and SIGHUP set; in other threads than the main one nothing does.

    A signal that is ignored stays ignored (`nohup`).
    """
    loop = asyncio.get_running_loop()
    terminated = asyncio.Event()
    numbers = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]
    with suppress(NotImplementedError, RuntimeError, ValueError):
        for number in numbers:
            loop.add_signal_handler(number, terminated.set)
    try:
        yield terminated
    finally:
        with suppress(NotImplementedError, RuntimeError, ValueError):
            for number in numbers:
                loop.remove_signal_handler(number)
