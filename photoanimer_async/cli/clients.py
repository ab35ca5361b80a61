"""Clients for commands: of an account, or of a service in this process."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from photoanimer_async.cli.exits import WrongUseError
from photoanimer_async.cli.loopback import is_loopback_url
from photoanimer_async.cli.options import API_KEY_VARIABLE, BASE_URL_VARIABLE
from photoanimer_async.client import PhotoAnimerClient
from photoanimer_async.polling.policies import AdaptivePolling, PollPolicy
from photoanimer_async.service import LocalService, ServiceSettings, SetupError
from photoanimer_async.storage.local_host import LocalImageHost


def _look_often() -> PollPolicy:
    """For a service on this machine, which is quick, and costs nothing to ask."""
    return AdaptivePolling(cost=0.05, longest=1.0)


def account_client(
    api_key: str | None,
    base_url: str | None,
    *,
    concurrency: int,
    host: str | None = None,
    otherwise: str = "",
) -> PhotoAnimerClient:
    """A client of an account, to be entered.

    Args:
        api_key: the key, from an option or the environment.
        base_url: the service; `None` for the client's default.
        concurrency: requests of one kind under way at once.
        host: the object store for files; `None` for the client's default.
        otherwise: what can be done without a key.

    Raises:
        WrongUseError: there is no key.
    """
    if not api_key:
        raise WrongUseError(f"no API key: set {API_KEY_VARIABLE} or pass --api-key{otherwise}")
    where = base_url or os.environ.get(BASE_URL_VARIABLE, "")
    near = is_loopback_url(where)
    return PhotoAnimerClient(
        api_key,
        base_url=base_url,
        concurrency=concurrency,
        host=host,
        poll=_look_often() if near else None,
    )


@asynccontextmanager
async def local_client(*, concurrency: int) -> AsyncIterator[PhotoAnimerClient]:
    """A client of a service in this process, whose data is gone with it.

    Raises:
        WrongUseError: the service can not run here.
    """
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="photoanimer-"))
        yield await stack.enter_async_context(_served_client(Path(folder), 0, concurrency))


@asynccontextmanager
async def kept_local_client(folder: Path, *, concurrency: int) -> AsyncIterator[PhotoAnimerClient]:
    """A client of a service in this process, whose tasks are still there next time.

    A journal belongs to one service, by its URL, so that the port is kept too.

    Args:
        folder: for the service's data; made if it is missing.
        concurrency: requests of one kind under way at once.

    Raises:
        WrongUseError: the service can not run here.
    """
    kept = folder / "port"
    port = await asyncio.to_thread(_kept_port, kept)
    try:
        async with _served_client(folder, port, concurrency) as client:
            if not port:
                found = str(urlsplit(client.base_url).port)
                await asyncio.to_thread(kept.write_text, found)
            yield client
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise WrongUseError(
            f"port {port}, to which the tasks in {folder} belong, is in use: end the program "
            "that uses it, or choose another folder with --data"
        ) from error


def _kept_port(path: Path) -> int:
    with suppress(FileNotFoundError, ValueError):
        return int(path.read_text())
    return 0


@asynccontextmanager
async def _served_client(
    folder: Path, port: int, concurrency: int
) -> AsyncIterator[PhotoAnimerClient]:
    async with AsyncExitStack() as stack:
        # What is under way when this ends is for nobody, or is done again next time.
        service = LocalService(ServiceSettings(data_dir=folder, port=port, drain_seconds=0))
        try:
            await stack.enter_async_context(service)
        except SetupError as error:
            raise WrongUseError(str(error)) from error
        client = PhotoAnimerClient(
            token_hex(16),
            base_url=service.base_url,
            concurrency=concurrency,
            host=LocalImageHost(),  # whatever the environment says: it stays on this machine
            poll=_look_often(),
        )
        yield await stack.enter_async_context(client)
