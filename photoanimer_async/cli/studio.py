"""`photoanimer studio`."""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from attrs import evolve
from cyclopts import Parameter
from rich.text import Text

from photoanimer_async.cli.clients import account_client, persistent_local_client
from photoanimer_async.cli.exit_status import ExitStatus, UsageError
from photoanimer_async.cli.logs import log_warnings
from photoanimer_async.cli.options import (
    DEFAULT_CONCURRENCY,
    FLAG,
    AccountOptions,
    Local,
    Port,
    listen_error,
    refuse_with_local,
)
from photoanimer_async.cli.output import Output
from photoanimer_async.cli.page_opening import open_page
from photoanimer_async.cli.signals import run_async
from photoanimer_async.client import DEFAULT_BASE_URL, PhotoAnimerClient
from photoanimer_async.photos.loopback import is_loopback
from photoanimer_async.redaction import printable
from photoanimer_async.storage.result_names import safe_stem
from photoanimer_async.studio import Animator, RunningStudio, StudioSettings, TaskCanceller

_LOCAL_FOLDER = "this-machine"
_LOCAL_IN_FLIGHT = (os.cpu_count() or 1) + 2
"""Clips at the local service at once: some more than it renders, so that it is never idle."""


def studio(
    *,
    local: Local = False,
    host: Annotated[
        str, Parameter(help="Address to listen on; beyond this machine, a token is needed.")
    ] = "127.0.0.1",
    port: Port = 8766,
    data: Annotated[
        Path, Parameter(help="Folder for photos and videos, kept between runs.")
    ] = Path("photoanimer-studio"),
    name: Annotated[
        list[str] | None,
        Parameter(
            negative="",
            help="A name by which other machines open it; can be given more than once. Addresses, "
            "and the name of this machine, need not be given.",
        ),
    ] = None,
    no_browser: Annotated[bool, FLAG, Parameter(help="Do not open the page in a browser.")] = False,
    account: AccountOptions = AccountOptions(),
) -> ExitStatus:
    """Open a page in the browser; see `photoanimer studio --help`."""
    is_local = local or not (account.api_key or account.base_url)
    if is_local:
        refuse_with_local(account)
    folder = _create_folder(data)
    settings = _settings(folder, host, port, name or [])
    client: AbstractAsyncContextManager[PhotoAnimerClient]
    everyone: AbstractAsyncContextManager[PhotoAnimerClient] | None = None
    key = account.api_key or ""
    if is_local:
        settings = evolve(
            settings, data_dir=_create_folder(folder / _LOCAL_FOLDER), in_flight=_LOCAL_IN_FLIGHT
        )
        client = persistent_local_client(
            settings.data_dir / "service", concurrency=DEFAULT_CONCURRENCY
        )
        everyone = persistent_local_client(
            settings.data_dir / "service-everyone", concurrency=DEFAULT_CONCURRENCY, all_faces=True
        )
        key = "any"  # the local service accepts every key
    else:
        client = account_client(account, concurrency=DEFAULT_CONCURRENCY)
        service = urlsplit(client.base_url).netloc.rpartition("@")[2]
        # A task belongs to one service, so each service has a folder of its own.
        own = _create_folder(folder / safe_stem(service))
        settings = evolve(settings, data_dir=own, service=service)
    log_warnings()
    return run_async(_studio(client, everyone, settings, key, open_browser=not no_browser))


def _settings(folder: Path, host: str, port: int, names: list[str]) -> StudioSettings:
    if is_loopback(host):
        return StudioSettings(data_dir=folder, host=host, port=port, names=frozenset(names))
    own = {socket.gethostname().lower(), socket.getfqdn().lower()}
    return StudioSettings(
        data_dir=folder,
        host=host,
        port=port,
        names=frozenset({*own, *(f"{short}.local" for short in own), *map(str.lower, names)}),
        token=_read_or_create_token(folder / "token"),
    )


def _create_folder(folder: Path) -> Path:
    """Create a folder that only the user can read, if missing, and return it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        why = error.strerror or "not a folder"
        raise UsageError(f"--data: {printable(str(folder))} cannot be used: {why}") from None
    return folder


def _read_or_create_token(path: Path) -> str:
    """Return the token of a folder, which stays the same, so that browsers stay signed in."""
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(24))
    token = path.read_text().strip()
    if not token:
        raise UsageError(f"{path} is empty; delete it, and a new token is created")
    return token


async def _studio(
    client: AbstractAsyncContextManager[PhotoAnimerClient],
    everyone: AbstractAsyncContextManager[PhotoAnimerClient] | None,
    settings: StudioSettings,
    key: str,
    *,
    open_browser: bool,
) -> ExitStatus:
    console = Output()
    try:
        async with AsyncExitStack() as stack:
            one = _animator(await stack.enter_async_context(client), key)
            group = None
            if everyone is not None:
                group = _animator(await stack.enter_async_context(everyone), key)
            running = await stack.enter_async_context(_listening(one, group, settings))
            _announce(console, settings, running.url)
            if open_browser:
                await open_page(running.url)
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        console.print("Stopped. Unfinished photos continue when the studio is started again.")
    return ExitStatus.DONE


@asynccontextmanager
async def _listening(
    one: Animator, everyone: Animator | None, settings: StudioSettings
) -> AsyncIterator[RunningStudio]:
    studio = RunningStudio(one.client, settings, one.canceller, everyone)
    try:
        await studio.__aenter__()
    except OSError as error:
        raise listen_error(error, settings.host, settings.port) from error
    try:
        yield studio
    finally:
        await studio.__aexit__(None, None, None)


def _animator(client: PhotoAnimerClient, key: str) -> Animator:
    if client.base_url == DEFAULT_BASE_URL:  # the vendor cannot cancel
        return Animator(client)
    return Animator(client, TaskCanceller(client.base_url, key))


def _announce(console: Output, settings: StudioSettings, url: str) -> None:
    if settings.service is None:
        where = "Photos are animated on this machine: no account, no internet, no cost."
    else:
        where = f"Photos are animated by {settings.service}, which costs video seconds."
    for line in (
        Text.assemble("The studio is open: ", (url, "bold")),
        Text(where),
        Text(f"Photos and videos are kept in {settings.data_dir.resolve()}."),
        Text("\nCtrl-C closes it.\n"),
    ):
        console.print(line, soft_wrap=True)
    if settings.token is not None:
        console.print(
            Text(
                "Other machines can open it with the same link, and this machine's name or "
                "address in place of 127.0.0.1. Photos are sent unencrypted.\n",
                "yellow",
            )
        )
