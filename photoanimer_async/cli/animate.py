"""`photoanimer animate`."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from photoanimer_async.cli.batch import WatchedBatch
from photoanimer_async.cli.clients import account_client, local_client
from photoanimer_async.cli.exits import ExitStatus, WrongUseError
from photoanimer_async.cli.folders import made_folder
from photoanimer_async.cli.interrupts import run_until_done
from photoanimer_async.cli.logs import show_warnings
from photoanimer_async.cli.options import (
    CONCURRENCY,
    OUT,
    ApiKey,
    BaseUrl,
    Concurrency,
    Gif,
    Local,
    Out,
    TemplateNumber,
    wait_options,
)
from photoanimer_async.cli.output import Output
from photoanimer_async.cli.sources import find_photos
from photoanimer_async.cli.summary import exit_status, print_interruption, print_summary
from photoanimer_async.client import PhotoAnimerClient
from photoanimer_async.errors import InvalidPhotoError
from photoanimer_async.models import AnimationOptions, AnimationRequest, OutputFormat

_WITHOUT_KEY = "; or animate on this machine, with no account: --local"


def animate(
    *photos: Annotated[str, Parameter(name="PHOTO", help="URLs, files, and folders of photos.")],
    template: TemplateNumber = None,
    gif: Gif = False,
    voice_url: Annotated[
        str | None,
        Parameter(
            name="--voice-url", help="URL of a sound for the mouths to follow; template 0 only."
        ),
    ] = None,
    out: Out = OUT,
    concurrency: Concurrency = CONCURRENCY,
    local: Local = False,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> ExitStatus:
    """Bring photos to life; see `photoanimer animate --help`."""
    if not photos:
        raise WrongUseError("no photo is given: name URLs, files or folders of photos")
    if local and base_url:
        raise WrongUseError("--local and --base-url exclude each other: both name a service")
    found = find_photos(photos)
    if template is None:
        template = 1 if voice_url is None else 0
    options = AnimationOptions(
        template=template,
        output_format=OutputFormat.GIF if gif else OutputFormat.MP4,
        voice_url=voice_url,
    )
    client: AbstractAsyncContextManager[PhotoAnimerClient]
    if local:
        client = local_client(concurrency=concurrency)
    else:
        client = account_client(api_key, base_url, concurrency=concurrency, otherwise=_WITHOUT_KEY)
    batch = WatchedBatch(
        console := Output(),
        [AnimationRequest(p, options) for p in found if not isinstance(p, InvalidPhotoError)],
        refused=[p for p in found if isinstance(p, InvalidPhotoError)],
        out=made_folder(out),
    )
    show_warnings()
    afterwards = None if local else wait_options(out, base_url, gif=gif)
    return run_until_done(_run(console, batch, client, out, afterwards))


async def _run(
    console: Output,
    batch: WatchedBatch,
    client: AbstractAsyncContextManager[PhotoAnimerClient],
    out: Path,
    afterwards: Sequence[str] | None,
) -> ExitStatus:
    begun = time.monotonic()
    try:
        async with client as opened:
            await batch.run(opened)
    except asyncio.CancelledError:
        print_interruption(console, batch.ledger, wait_options=afterwards)
        raise
    print_summary(console, batch.ledger, out, time.monotonic() - begun, wait_options=afterwards)
    return exit_status(batch.ledger)
