"""Show what `photoanimer animate` would send, without sending it."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
from attrs import define, field
from rich.text import Text

from photoanimer_async.cli.exit_status import ExitStatus
from photoanimer_async.cli.options import SubmitOptions
from photoanimer_async.cli.output import Output, format_estimate, format_seconds, format_size
from photoanimer_async.cli.photo_sources import PhotoSelection
from photoanimer_async.errors import PhotoAnimerError
from photoanimer_async.jobs import budget
from photoanimer_async.jobs.journal import read_journal
from photoanimer_async.jobs.journal.entries import key_of
from photoanimer_async.jobs.lifecycle import State
from photoanimer_async.models import AnimationRequest, Photo
from photoanimer_async.photos.check import PhotoPreparer, PhotoPreparers
from photoanimer_async.photos.header import read_header
from photoanimer_async.photos.opening import open_photo
from photoanimer_async.redaction import is_url, printable, shown_photo, shown_url

_WHY_NOT_SENT = {
    State.SUBMITTING: "its submit is being sent, or was when the process was killed",
    State.SUBMITTED: "paid for already; its result would be downloaded",
    State.FINISHED: "paid for already; its result would be downloaded",
    State.SAVED: "saved already",
    State.FAILED: "failed in an earlier run; sent again only with --retry-failed",
    State.AMBIGUOUS: "may have been charged in an earlier run; sent again only with "
    "--resubmit-ambiguous",
}


async def dry_run(
    selection: PhotoSelection, submit: SubmitOptions, journal: Path | None
) -> ExitStatus:
    """Print each photo as it would be sent, and what all of them would cost.

    Photos are checked and prepared as in a real run. Nothing is sent to the service; with
    `--check-urls` the hosts of URLs are asked.

    Args:
        selection: the photos.
        submit: how they would be sent.
        journal: the journal of earlier runs; it need not exist.

    Raises:
        InvalidRequestError: Pillow is not installed.
        JournalError: the journal cannot be read.
    """
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        preparer = PhotoPreparers(lambda: session).choose(
            prepare=not submit.no_prepare, check_urls=submit.check_urls
        )
        earlier = {} if journal is None else await asyncio.to_thread(_read_states, journal)
        run = _DryRun(Output(), preparer, earlier, submit.retry_failed)
        for request in selection.requests:
            await run.show(request)
    for error in selection.refused:
        run.show_refused(error)
    return run.show_total()


def _read_states(journal: Path) -> Mapping[bytes, deque[State]]:
    """Return the states of a journal's photos by their keys, which equal photos share."""
    if not journal.exists():
        return {}
    states = defaultdict[bytes, deque[State]](deque)
    with read_journal(journal) as store:
        for key, state in store.states():
            states[key].append(state)
    return states


@define
class _DryRun:
    """Shows one photo after another, and adds up what they cost."""

    console: Output
    preparer: PhotoPreparer
    earlier: Mapping[bytes, deque[State]]
    retry_failed: bool
    sent: list[AnimationRequest] = field(factory=list)
    not_sent_again: int = 0
    refused: int = 0

    async def show(self, request: AnimationRequest) -> None:
        """Show what would be sent for a photo, or why nothing would."""
        try:
            state = await self._state(request)
            why_not = _WHY_NOT_SENT.get(state)
            if why_not is not None and not (state is State.FAILED and self.retry_failed):
                self.not_sent_again += 1
                self.console.print(f"{shown_photo(request.photo)}: {why_not}")
                return
            async with AsyncExitStack() as resources:
                prepared = await self.preparer.prepare(request.photo, resources)
                what = await asyncio.to_thread(_describe_photo, request.photo, prepared)
        except PhotoAnimerError as error:
            self.show_refused(error)
            return
        self.sent.append(request)
        self.console.print(f"{shown_photo(request.photo)}: {what}{_describe_options(request)}")

    async def _state(self, request: AnimationRequest) -> State:
        if not self.earlier:
            return State.PLANNED
        key = key_of(await self.preparer.digest(request.photo), request.options)
        states = self.earlier.get(key)
        return states.popleft() if states else State.PLANNED

    def show_refused(self, error: PhotoAnimerError) -> None:
        """Show why a photo cannot be sent."""
        self.refused += 1
        self.console.print(Text(str(error), "red"))

    def show_total(self) -> ExitStatus:
        """Show what all photos cost, and return the exit status."""
        self.console.print(f"\nWould be sent: {format_estimate(budget.estimate(self.sent))}.")
        if self.not_sent_again:
            self.console.print(f"{self.not_sent_again} would not be sent again.")
        if self.refused:
            self.console.print(f"{self.refused} cannot be sent.")
        self.console.print("Nothing was sent.")
        return ExitStatus.FAILED if self.refused else ExitStatus.DONE


def _describe_photo(photo: Photo, prepared: Photo) -> str:
    """Return the format, pixels and size of what would be sent, and whether it was changed."""
    if isinstance(prepared, str) and is_url(prepared):
        return ""
    with open_photo(prepared) as (file, size):
        header = read_header(file)
    changed = "" if prepared is photo else "prepared as "
    shape = f"{header.width}x{header.height}"
    return f"{changed}{header.format.name} {shape}, {format_size(size)}; "


def _describe_options(request: AnimationRequest) -> str:
    options = request.options
    voice = "" if options.voice_url is None else f", voice {shown_url(options.voice_url)}"
    name = "" if request.name is None else f", named {printable(request.name)}"
    return (
        f"template {options.template:d}, {options.output_format}{voice}{name}; "
        f"{format_seconds(budget.price(options))} video seconds"
    )
