"""The studio with its socket."""

from types import TracebackType
from typing import Final, Self

from aiohttp import web

from photoanimer_async import PhotoAnimerClient
from photoanimer_async.studio.studio_settings import StudioSettings
from photoanimer_async.studio.web_app import create_app

_SHUTDOWN_SECONDS: Final = 3.0
_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised, not bound


class RunningStudio:
    """A studio that can be opened in a browser, for as long as the context lasts.

    Args:
        client: an open one; it is used, and not closed.
        settings: how it is set up.

    Raises, when entered:
        PhotoAnimerError: the folder can not be used, or another studio is at work in it.
        OSError: the address can not be listened on.
    """

    def __init__(self, client: PhotoAnimerClient, settings: StudioSettings) -> None:
        self._settings = settings
        # An access log would hold the token, and the names of photos.
        self._runner = web.AppRunner(
            create_app(client, settings), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS
        )

    async def __aenter__(self) -> Self:
        try:
            await self._runner.setup()
            await web.TCPSite(self._runner, self._settings.host, self._settings.port).start()
        except BaseException:
            await self._runner.cleanup()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """What to open in a browser of this machine; with the token, if there is one."""
        host, port = self._runner.addresses[0][:2]
        host = _EVERY_ADDRESS.get(host, host)
        origin = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        return origin if self._settings.token is None else f"{origin}enter/{self._settings.token}"
