"""Open clients for commands: of an account, or of a service in this process.

The client and the service take a third of a second to import. They are imported when they are
first used: by then the workers have been started, and load the engine meanwhile.
"""

import asyncio
import errno
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from urllib.request import getproxies

import photoanimer_async
from photoanimer_async import service
from photoanimer_async.cli.exit_status import UsageError
from photoanimer_async.cli.options import API_KEY_VARIABLE, AccountOptions
from photoanimer_async.photos.loopback import is_loopback
from photoanimer_async.polling.adaptive import AdaptivePolling
from photoanimer_async.polling.policies import PollPolicy
from photoanimer_async.redaction import printable
from photoanimer_async.service.api_path import API_PREFIX
from photoanimer_async.service.error_codes import SetupError
from photoanimer_async.service.rendering.process_renderer import ProcessRenderer
from photoanimer_async.service.rendering.resource_limits import available_cores

if TYPE_CHECKING:
    from photoanimer_async.client import PhotoAnimerClient

_PORT_FILE = "port"
_PIPELINE: Final = "photoanimer_async.jobs.pipeline"


def account_client(
    account: AccountOptions, *, concurrency: int, host: str | None = None, without_key: str = ""
) -> "PhotoAnimerClient":
    """Return a client of an account, to be entered.

    Args:
        account: the service and the key.
        concurrency: most requests of one kind that are open at once.
        host: the object store for files; `None` for the client's default.
        without_key: what to do without a key, for the error's text.

    Raises:
        UsageError: there is no key.
    """
    if not account.api_key:
        raise UsageError(f"no API key: set {API_KEY_VARIABLE} or pass --api-key{without_key}")
    base_url = account.chosen_base_url
    return photoanimer_async.PhotoAnimerClient(
        account.api_key,
        base_url=base_url,
        concurrency=concurrency,
        host=host,
        poll=_local_polling() if _is_on_loopback(base_url or "") else None,
        proxy=account.proxy,
        # Only where there is one: it costs time for each request.
        trust_env=account.proxy is None and bool(getproxies()),
    )


@asynccontextmanager
async def local_client(
    *, concurrency: int, photos: int = 0, all_faces: bool = False
) -> AsyncIterator["PhotoAnimerClient"]:
    """Open a client of a service in this process, whose data is deleted at the end.

    Args:
        concurrency: most requests of one kind that are open at once.
        photos: how many photos are expected; workers for them are started at once.
        all_faces: whether everyone in a photo is animated, or only the largest face.

    Raises:
        UsageError: the service cannot run here.
    """
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="photoanimer-"))
        # It would warn of tasks that are left though they are paid for: these cost nothing.
        logger = logging.getLogger(_PIPELINE)
        stack.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.ERROR)
        opening = _client_and_service(Path(folder), concurrency, photos, all_faces=all_faces)
        yield await stack.enter_async_context(opening)


@asynccontextmanager
async def persistent_local_client(
    folder: Path, *, concurrency: int, photos: int = 0, all_faces: bool = False
) -> AsyncIterator["PhotoAnimerClient"]:
    """Open a client of a service in this process, which keeps its tasks for the next time.

    The port is kept too, because a journal belongs to a service's URL.

    Args:
        folder: for the service's data; created if missing.
        concurrency: most requests of one kind that are open at once.
        photos: how many photos are expected; workers for them are started at once.
        all_faces: whether everyone in a photo is animated, or only the largest face.

    Raises:
        UsageError: the service cannot run here.
    """
    await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
    port = await asyncio.to_thread(_read_port, folder)
    try:
        async with _client_and_service(
            folder, concurrency, photos, port=port, all_faces=all_faces
        ) as client:
            if not port:
                chosen = str(urlsplit(client.base_url).port)
                await asyncio.to_thread((folder / _PORT_FILE).write_text, chosen)
            yield client
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise UsageError(
            f"port {port}, to which the tasks in {printable(str(folder))} belong, is in use: end "
            "the program that uses it, or choose another folder"
        ) from error


def local_base_url(folder: Path) -> str | None:
    """Return the URL of the service in this process that keeps its tasks in a folder.

    `None` if it has not run yet.
    """
    port = _read_port(folder)
    return f"http://127.0.0.1:{port}{API_PREFIX}" if port else None


def _read_port(folder: Path) -> int:
    with suppress(FileNotFoundError, NotADirectoryError, ValueError):
        return int((folder / _PORT_FILE).read_text())
    return 0


@asynccontextmanager
async def _client_and_service(
    folder: Path, concurrency: int, photos: int, *, port: int = 0, all_faces: bool
) -> AsyncIterator["PhotoAnimerClient"]:
    clients: list[PhotoAnimerClient] = []  # one, once the service is there

    def on_end(task_id: int) -> None:
        for client in clients:
            client.notify(task_id)

    async with AsyncExitStack() as stack:
        renderer = ProcessRenderer(available_cores(), options={"all_faces": all_faces})
        try:
            await stack.enter_async_context(renderer)
            await renderer.start_workers(photos)
            # Renders that the end interrupts are not needed any more, or are done again next time.
            settings = service.ServiceSettings(data_dir=folder, port=port, drain_seconds=0)
            running = service.LocalService(settings, renderer=renderer, on_end=on_end)
            await stack.enter_async_context(running)
        except SetupError as error:
            raise UsageError(str(error)) from error
        client = photoanimer_async.PhotoAnimerClient(
            token_hex(16),
            base_url=running.base_url,
            concurrency=concurrency,
            # Whatever the environment says: photos stay on this machine.
            host=photoanimer_async.LocalImageHost(),
            poll=_local_polling(),
        )
        clients.append(client)
        yield await stack.enter_async_context(client)


def _local_polling() -> PollPolicy:
    """Return a policy for a service on this machine, where tasks are quick and polls cheap."""
    return AdaptivePolling(cost=0.05, longest=1.0)


def _is_on_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return is_loopback(host)
