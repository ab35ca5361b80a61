"""`photoanimer studio`."""

import asyncio
import errno
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from attrs import evolve
from cyclopts import Parameter
from cyclopts.validators import Number
from rich.text import Text

from photoanimer_async.cli.clients import account_client, kept_local_client
from photoanimer_async.cli.exits import ExitStatus, WrongUseError
from photoanimer_async.cli.interrupts import run_until_done
from photoanimer_async.cli.logs import show_warnings
from photoanimer_async.cli.loopback import is_loopback
from photoanimer_async.cli.options import CONCURRENCY, ApiKey, BaseUrl, Local
from photoanimer_async.cli.output import Output
from photoanimer_async.client import PhotoAnimerClient
from photoanimer_async.redaction import printable
from photoanimer_async.storage.result_names import safe_stem
from photoanimer_async.studio import RunningStudio, StudioSettings

_THIS_MACHINE = "this-machine"


def studio(
    *,
    local: Local = False,
    host: Annotated[
        str, Parameter(help="Address to listen on; beyond this machine, a token is needed.")
    ] = "127.0.0.1",
    port: Annotated[
        int, Parameter(validator=Number(gte=0, lte=65535), help="Port; 0 for any free one.")
    ] = 8766,
    data: Annotated[
        Path, Parameter(help="Folder for photos and videos; they are still there next time.")
    ] = Path("photoanimer-studio"),
    name: Annotated[
        list[str] | None,
        Parameter(
            negative="",
            help="A name under which other machines open it; can be given more than once. "
            "Addresses, and the name of this machine, need not be given.",
        ),
    ] = None,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> ExitStatus:
    """Open a page to bring photos to life with; see `photoanimer studio --help`."""
    if local and base_url:
        raise WrongUseError("--local and --base-url exclude each other: both name a service")
    folder = _made(data)
    settings = _settings(folder, host, port, name or [])
    client: AbstractAsyncContextManager[PhotoAnimerClient]
    if local or not (api_key or base_url):
        settings = evolve(settings, data_dir=_made(folder / _THIS_MACHINE))
        client = kept_local_client(settings.data_dir / "service", concurrency=CONCURRENCY)
    else:
        account = account_client(api_key, base_url, concurrency=CONCURRENCY)
        service = urlsplit(account.base_url).netloc.rpartition("@")[2]
        # Tasks are known to their own service only, and so each has a folder of its own.
        place = _made(folder / safe_stem(service))
        settings = evolve(settings, data_dir=place, service=service)
        client = account
    show_warnings()
    return run_until_done(_studio(client, settings))


def _settings(folder: Path, host: str, port: int, names: list[str]) -> StudioSettings:
    if is_loopback(host):
        return StudioSettings(data_dir=folder, host=host, port=port, names=frozenset(names))
    own = {socket.gethostname().lower(), socket.getfqdn().lower()}
    return StudioSettings(
        data_dir=folder,
        host=host,
        port=port,
        names=frozenset({*own, *(f"{short}.local" for short in own), *map(str.lower, names)}),
        token=_kept_token(folder / "token"),
    )


def _made(folder: Path) -> Path:
    """The folder, which is there now, for its user alone."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        why = error.strerror or "not a folder"
        raise WrongUseError(f"--data: {printable(str(folder))} can not be used: {why}") from None
    return folder


def _kept_token(path: Path) -> str:
    """The token of this folder: the same next time, so that browsers need not enter again."""
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(24))
    token = path.read_text().strip()
    if not token:
        raise WrongUseError(f"{path} is empty; remove it, and another token is made")
    return token


async def _studio(
    client: AbstractAsyncContextManager[PhotoAnimerClient], settings: StudioSettings
) -> ExitStatus:
    console = Output()
    try:
        async with client as opened, _listening(opened, settings) as running:
            _announce(console, settings, running.url)
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        console.print("Stopped. What is on its way goes on when the studio is started again.")
    return ExitStatus.DONE


@asynccontextmanager
async def _listening(
    client: PhotoAnimerClient, settings: StudioSettings
) -> AsyncIterator[RunningStudio]:
    studio = RunningStudio(client, settings)
    try:
        await studio.__aenter__()
    except OSError as error:
        raise WrongUseError(_why_not(error, settings)) from error
    try:
        yield studio
    finally:
        await studio.__aexit__(None, None, None)


def _why_not(error: OSError, settings: StudioSettings) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {settings.port} of {settings.host} is in use; choose another with --port, "
            "or let one be found with --port 0"
        )
    return f"can not listen on port {settings.port} of {settings.host}: {error.strerror or error}"


def _announce(console: Output, settings: StudioSettings, url: str) -> None:
    if settings.service is None:
        made = "Photos are brought to life on this machine: no account, no internet, no cost."
    else:
        made = f"Photos are brought to life by {settings.service}, which costs video seconds."
    for line in (
        Text.assemble("The studio is open: ", (url, "bold")),
        Text(made),
        Text(f"Photos and videos are kept in {settings.data_dir.resolve()}."),
        Text("\nCtrl-C closes it.\n"),
    ):
        console.print(line, soft_wrap=True)
    if settings.token is not None:
        console.print(
            Text(
                "Other machines can open it too: with the same link, and this machine's name or "
                "address in place of 127.0.0.1. Photos travel unencrypted.\n",
                "yellow",
            )
        )
