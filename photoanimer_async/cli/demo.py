"""`photoanimer demo`."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

from rich.table import Table
from rich.text import Text

from photoanimer_async.cli.clients import local_client
from photoanimer_async.cli.exits import ExitStatus
from photoanimer_async.cli.folders import made_place
from photoanimer_async.cli.interrupts import run_until_done
from photoanimer_async.cli.logs import show_warnings
from photoanimer_async.cli.options import CONCURRENCY, Out
from photoanimer_async.cli.output import Output, shown_duration
from photoanimer_async.cli.summary import exit_status, print_interruption, print_summary
from photoanimer_async.cli.watched_batch import WatchedBatch
from photoanimer_async.engine.samples import PORTRAITS
from photoanimer_async.models import AnimationOptions, AnimationRequest, Location, Outcome, Template


def demo(*, out: Out = "photoanimer-demo") -> ExitStatus:
    """Bring two portraits to life; see `photoanimer demo --help`."""
    place = made_place(out)
    show_warnings()
    return run_until_done(_demo(Output(), place))


async def _demo(console: Output, out: Location) -> ExitStatus:
    begun = time.monotonic()
    async with local_client(concurrency=CONCURRENCY) as client:
        names = _expression_names()
        requests = [
            AnimationRequest(
                portrait.read_bytes(),
                AnimationOptions(template=template),
                name=f"{PurePath(portrait.name).stem}-{template.value}-{names[template]}",
            )
            for portrait in PORTRAITS
            for template in Template
        ]
        if isinstance(out, Path):
            await asyncio.to_thread(_remove_earlier, out, requests)
        console.print(
            f"Animating {len(PORTRAITS)} portraits with {len(Template)} templates, on this machine:"
        )
        batch = WatchedBatch(
            console,
            lambda opened, hook: opened.animate_many(requests, save_to=out, on_progress=hook),
            len(requests),
            requests=requests,
        )
        try:
            await batch.run(client)
        except asyncio.CancelledError:
            print_interruption(console, batch.ledger, wait_options=None)
            raise
    console.print(_table(batch.outcomes, names))
    print_summary(console, batch.ledger, out, time.monotonic() - begun, wait_options=None)
    console.print(
        Text.assemble(
            "\nNow with photos of your own, on this machine too:\n",
            ("  photoanimer animate me.jpg --local\n", "bold"),
            "or as the service that a program of yours talks to:\n",
            ("  photoanimer serve", "bold"),
        )
    )
    return exit_status(batch.ledger)


def _expression_names() -> dict[Template, str]:
    # The engine needs the extra `local`, for which the service has looked when it started.
    from photoanimer_async.engine.expressions import expression  # noqa: PLC0415

    return {template: expression(template.value).name for template in Template}


def _remove_earlier(out: Path, requests: Iterable[AnimationRequest]) -> None:
    for request in requests:
        (out / f"{request.name}.mp4").unlink(missing_ok=True)


def _table(outcomes: Sequence[Outcome], names: dict[Template, str]) -> Table:
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    for heading in ("photo", "template", "seconds", "file", "time"):
        table.add_column(heading, justify="right" if heading in {"seconds", "time"} else "left")
    for outcome in sorted(outcomes, key=lambda outcome: outcome.index):
        template = outcome.request.options.template
        portrait = PORTRAITS[outcome.index // len(Template)]
        animation = outcome.animation
        place = None if animation is None else animation.place
        table.add_row(
            PurePath(portrait.name).stem,
            f"{template.value} {names[template]}",
            f"{template.seconds:.2f}",
            "failed" if place is None else PurePath(place).name,
            "" if animation is None else shown_duration(animation.seconds),
        )
    return table
