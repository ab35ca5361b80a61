"""`photoanimer demo`."""

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

from rich.table import Table
from rich.text import Text

from photoanimer_async.cli.clients import local_client
from photoanimer_async.cli.exit_status import ExitStatus
from photoanimer_async.cli.logs import log_warnings
from photoanimer_async.cli.options import DEFAULT_CONCURRENCY, Out, result_location
from photoanimer_async.cli.output import Output, format_duration
from photoanimer_async.cli.run_batch import BatchRun
from photoanimer_async.cli.signals import run_async
from photoanimer_async.cli.summary import NextCommand
from photoanimer_async.engine.samples import PORTRAITS
from photoanimer_async.models import AnimationOptions, AnimationRequest, Location, Outcome, Template


def demo(*, out: Out = "photoanimer-demo") -> ExitStatus:
    """Animate two sample portraits; see `photoanimer demo --help`."""
    location = result_location(out)
    log_warnings()
    return run_async(_demo(Output(), location))


async def _demo(console: Output, out: Location) -> ExitStatus:
    async with local_client(concurrency=DEFAULT_CONCURRENCY) as client:
        names = await asyncio.to_thread(_expression_names)
        requests = await asyncio.to_thread(_requests, names)
        if isinstance(out, Path):
            await asyncio.to_thread(_remove_earlier, out, requests)
        console.print(
            f"Animating {len(PORTRAITS)} portraits with {len(Template)} templates, on this machine:"
        )
        batch = BatchRun(console, len(requests), out, next_command=NextCommand(), requests=requests)
        await batch.run(
            client.animate_many(requests, save_to=out, timeout=None, on_progress=batch.on_progress)
        )
    console.print(_table(batch.outcomes, names))
    status = batch.print_summary()
    console.print(
        Text.assemble(
            "\nTo animate a photo of your own on this machine:\n",
            ("  photoanimer animate me.jpg --local\n", "bold"),
            "To run a service here that your own programs can use:\n",
            ("  photoanimer serve", "bold"),
        )
    )
    return status


def _expression_names() -> dict[Template, str]:
    # The engine needs the extra `local`, which the service has checked for at its start.
    from photoanimer_async.engine.expressions import expression  # noqa: PLC0415

    return {template: expression(template.value).name for template in Template}


def _requests(names: dict[Template, str]) -> list[AnimationRequest]:
    return [
        AnimationRequest(
            portrait.read_bytes(),
            AnimationOptions(template=template),
            name=f"{PurePath(portrait.name).stem}-{template.value}-{names[template]}",
        )
        for portrait in PORTRAITS
        for template in Template
    ]


def _remove_earlier(out: Path, requests: Iterable[AnimationRequest]) -> None:
    for request in requests:
        (out / f"{request.name}.mp4").unlink(missing_ok=True)


def _table(outcomes: Sequence[Outcome], names: dict[Template, str]) -> Table:
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    for heading in ("photo", "template", "seconds", "file", "time"):
        table.add_column(heading, justify="right" if heading in {"seconds", "time"} else "left")
    for outcome in sorted(outcomes, key=lambda outcome: outcome.index):
        template = Template(outcome.request.options.template)
        portrait = PORTRAITS[outcome.index // len(Template)]
        animation = outcome.animation
        place = None if animation is None else animation.place
        table.add_row(
            PurePath(portrait.name).stem,
            f"{template.value} {names[template]}",
            f"{template.seconds:.2f}",
            "failed" if place is None else PurePath(place).name,
            "" if animation is None else format_duration(animation.seconds),
        )
    return table
