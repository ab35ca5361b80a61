"""The service with its socket: inside a running program, or as one."""

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from photoanimer_async.service.app import API_PREFIX, create_app
from photoanimer_async.service.app_keys import ACCESS
from photoanimer_async.service.error_codes import SetupError
from photoanimer_async.service.faults import FaultInjector
from photoanimer_async.service.rendering.renderer import Renderer
from photoanimer_async.service.settings import ServiceSettings

if TYPE_CHECKING:
    from photoanimer_async.service.http.metrics import Metrics

_logger = logging.getLogger(__name__)
_http_logger = logging.getLogger(f"{__name__}.http")
# Signed image URLs are long, and percent-encoded in a query they are longer.
_LONGEST_REQUEST_LINE: Final = 32 * 1024
_SHORTEST_SHUTDOWN: Final = 0.05
_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised, not bound


class LocalService:
    """A local Photo Animer, running for as long as the context lasts.

        async with LocalService(ServiceSettings(data_dir=folder, port=0)) as service:
            async with PhotoAnimerClient("any-key", base_url=service.base_url) as client:
                ...

    It runs in the loop it is entered in; rendering has processes of its own. Leaving stops
    the workers, after the renders under way have ended or `drain_seconds` are over. Tasks
    that have not ended go on when a service starts on the same folder.

    Args:
        settings: how it is set up.
        renderer: what makes the videos; the engine in worker processes by default.
        faults: what goes wrong, for tests; by default nothing does.

    Attributes:
        app: the application; when it has started, `parts` says what is in it.

    Raises:
        SetupError: `metrics_address` is set, and prometheus_client is not installed.

    Raises, when entered:
        SetupError: the data folder can not be used, the engine is not installed, or the
            service would be open to everybody on the network.
        OSError: the address can not be listened on.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        *,
        renderer: Renderer | None = None,
        faults: FaultInjector | None = None,
    ) -> None:
        self._settings = settings
        self._metrics = None if settings.metrics_address is None else _new_metrics()
        self.app = create_app(settings, renderer=renderer, faults=faults, metrics=self._metrics)
        self._operations: web.AppRunner | None = None
        # Its own access log would hold the query, and so the images' URLs.
        self._runner = web.AppRunner(
            self.app,
            access_log=None,
            logger=_http_logger,
            max_line_size=_LONGEST_REQUEST_LINE,
            # aiohttp waits twice as long for a request; 0 would be for ever.
            shutdown_timeout=max(settings.drain_seconds / 2, _SHORTEST_SHUTDOWN),
        )

    async def __aenter__(self) -> Self:
        try:
            await self._runner.setup()
            await web.TCPSite(self._runner, self._settings.host, self._settings.port).start()
            await self._start_operations()
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
        """Where the interfaces are, for instance `http://127.0.0.1:8765/api/v1`."""
        return f"{_origin(self._runner)}{API_PREFIX}"

    @property
    def operations_url(self) -> str | None:
        """Where `/metrics` and `/healthz` are, as `http://127.0.0.1:9464`; `None`: nowhere."""
        return None if self._operations is None else _origin(self._operations)

    async def _start_operations(self) -> None:
        address, metrics = self._settings.metrics_address, self._metrics
        if address is None or metrics is None:
            return
        from photoanimer_async.service.http.operations import (  # noqa: PLC0415 - see _new_metrics
            create_operations_app,
        )

        self._operations = web.AppRunner(
            create_operations_app(self.app, metrics), access_log=None, shutdown_timeout=0.1
        )
        await self._operations.setup()
        try:
            await web.TCPSite(self._operations, *address).start()
        except OSError as error:
            raise SetupError(
                f"metrics can not be served at {address[0]}, port {address[1]}: {error.strerror}"
            ) from error
        _logger.info("event=metrics_served url=%s", self.operations_url)

    async def _stop(self) -> None:
        """Stop; until it has, those who run the service can see that it does."""
        try:
            await self._runner.cleanup()
        finally:
            if self._operations is not None:
                await self._operations.cleanup()

    @property
    def is_open(self) -> bool:
        """Whether every key is accepted, as neither the settings nor an account has one."""
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


def _origin(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    host = _EVERY_ADDRESS.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def serve(
    settings: ServiceSettings,
    *,
    renderer: Renderer | None = None,
    faults: FaultInjector | None = None,
    on_start: Callable[[LocalService], object] | None = None,
) -> None:
    """Run a service until it is cancelled or gets SIGTERM.

    Args:
        settings: how it is set up.
        renderer: what makes the videos; the engine in worker processes by default.
        faults: what goes wrong, for tests; by default nothing does.
        on_start: called once with the service, when requests are taken.

    Raises:
        SetupError: the data folder can not be used, the engine is not installed, or the
            service would be open to everybody on the network.
        OSError: the address can not be listened on.
    """
    async with LocalService(settings, renderer=renderer, faults=faults) as service:
        with _termination() as terminated:
            if on_start is not None:
                on_start(service)
            await terminated.wait()


class _RequestsUnread(logging.Filter):
    """Reports what is no HTTP by its kind: aiohttp's own report holds the request's URL."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            record.msg, record.args = "event=bad_request kind=%s", (type(error).__name__,)
            record.levelno, record.levelname = logging.INFO, "INFO"
            record.exc_info = None
        return True


_http_logger.addFilter(_RequestsUnread())


@contextmanager
def _termination() -> Iterator[asyncio.Event]:
    """An event that SIGTERM sets, where signals can be had: in the main thread."""
    loop = asyncio.get_running_loop()
    terminated = asyncio.Event()
    with suppress(NotImplementedError, RuntimeError, ValueError):
        loop.add_signal_handler(signal.SIGTERM, terminated.set)
    try:
        yield terminated
    finally:
        with suppress(NotImplementedError, RuntimeError, ValueError):
            loop.remove_signal_handler(signal.SIGTERM)
