"""`photoanimer demo`."""

import asyncio
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import Annotated, TypeAlias

from cyclopts import Parameter
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from photoanimer_async.cli.clients import local_client
from photoanimer_async.cli.exit_status import ExitStatus
from photoanimer_async.cli.logs import log_warnings
from photoanimer_async.cli.options import DEFAULT_CONCURRENCY, Out, result_location
from photoanimer_async.cli.output import Output, format_duration, program
from photoanimer_async.cli.run_batch import BatchRun
from photoanimer_async.cli.signals import run_async
from photoanimer_async.cli.summary import NextCommand
from photoanimer_async.engine.samples import PORTRAITS
from photoanimer_async.models import AnimationOptions, AnimationRequest, Location, Outcome, Template

_WIDTH = 75
"""Columns that the whole table of results needs."""

_Folder: TypeAlias = Annotated[
    Out,
    Parameter(
        help="Folder for the results, created if missing; or one in an object store, such as "
        "s3://bucket/prefix."
    ),
]


def demo(*, out: _Folder = "photoanimer-demo") -> ExitStatus:
    """Animate two sample portraits; see `photoanimer demo --help`."""
    location = result_location(out)
    log_warnings()
    console = Output()
    status = run_async(_demo(console, location, NextCommand()))
    if status is ExitStatus.DONE:
        _print_next_steps(console)
    return status


async def _demo(console: Output, out: Location, next_command: NextCommand) -> ExitStatus:
    videos = len(PORTRAITS) * len(Template)
    async with local_client(concurrency=DEFAULT_CONCURRENCY, photos=videos) as client:
        requests = await asyncio.to_thread(_requests)
        if isinstance(out, Path):
            await asyncio.to_thread(_remove_earlier, out, requests)
        console.print(
            f"Animating {len(PORTRAITS)} portraits with {len(Template)} templates, on this machine:"
        )
        batch = BatchRun(len(requests), out, next_command=next_command, requests=requests)
        await batch.run(
            client.animate_many(requests, save_to=out, timeout=None, on_progress=batch.on_progress)
        )
    console.print(_table(batch.outcomes, is_narrow=console.width < _WIDTH))
    return batch.finish()


def _print_next_steps(console: Console) -> None:
    """Print commands that work as they are typed, in this folder."""
    portrait = Path(str(PORTRAITS[0])).absolute()
    if portrait.is_relative_to(Path.cwd()):
        portrait = portrait.relative_to(Path.cwd())
    for what, command in (
        (
            "To animate one photo on this machine; put yours in place of this one:",
            [program(), "animate", str(portrait), "--template", "kiss", "--local"],
        ),
        ("To animate photos in the browser:", [program(), "studio"]),
        ("To run a service here that your own programs can use:", [program(), "serve"]),
    ):
        console.print(f"\n{what}")
        console.print(Text(f"  {shlex.join(command)}", "bold"), soft_wrap=True)


def _requests() -> list[AnimationRequest]:
    return [
        AnimationRequest(
            portrait.read_bytes(),
            AnimationOptions(template=template),
            name=f"{PurePath(portrait.name).stem}-{template.value}-{template.expression}",
        )
        for portrait in PORTRAITS
        for template in Template
    ]


def _remove_earlier(out: Path, requests: Iterable[AnimationRequest]) -> None:
    for request in requests:
        (out / f"{request.name}.mp4").unlink(missing_ok=True)


def _table(outcomes: Sequence[Outcome], *, is_narrow: bool) -> Table:
    """Return the results; where there is little room, what a file's name says is left out."""
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    for heading in (*(() if is_narrow else ("photo", "template")), "seconds", "file", "time"):
        justify: JustifyMethod = "right" if heading in {"seconds", "time"} else "left"
        table.add_column(heading, justify=justify, overflow="fold")
    for outcome in sorted(outcomes, key=lambda outcome: outcome.index):
        template = Template(outcome.request.options.template)
        portrait = PORTRAITS[outcome.index // len(Template)]
        animation = outcome.animation
        place = None if animation is None else animation.place
        subject = [PurePath(portrait.name).stem, f"{template.value} {template.expression}"]
        table.add_row(
            *([] if is_narrow else subject),
            f"{template.seconds:.2f}",
            "failed" if place is None else PurePath(place).name,
            "" if animation is None else format_duration(animation.seconds),
        )
    return table
