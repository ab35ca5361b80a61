"""What `photoanimer animate` would do, without doing it."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
from attrs import define, field
from rich.text import Text

from photoanimer_async.cli.consent import shown_estimate
from photoanimer_async.cli.exits import ExitStatus
from photoanimer_async.cli.output import Output, shown_size
from photoanimer_async.cli.requests import Named
from photoanimer_async.errors import PhotoAnimerError
from photoanimer_async.jobs import budget
from photoanimer_async.jobs.journal import read_journal
from photoanimer_async.jobs.journal.entries import key_of
from photoanimer_async.jobs.lifecycle import State
from photoanimer_async.jobs.photo_preparer import PhotoPreparer, PhotoPreparers
from photoanimer_async.models import AnimationRequest, Photo
from photoanimer_async.photos.header import read_header
from photoanimer_async.photos.opening import open_photo
from photoanimer_async.redaction import is_url, printable, shown_photo, shown_url

_NOT_SENT = {
    State.SUBMITTING: "its submit is under way, or was when the process was killed",
    State.SUBMITTED: "paid for already; its result would be collected",
    State.FINISHED: "paid for already; its result would be collected",
    State.SAVED: "saved already",
    State.FAILED: "failed in an earlier run; sent again only with --retry-failed",
    State.AMBIGUOUS: "may have been charged in an earlier run; sent again only with "
    "--resubmit-ambiguous",
}


async def rehearsed(
    named: Named,
    *,
    prepare: bool,
    check_urls: bool,
    journal: Path | None,
    retry_failed: bool,
) -> ExitStatus:
    """Shows each photo as it would be sent, and what all of them would cost.

    Photos are checked, and prepared, as for a real run; nothing is sent to the service.

    Args:
        named: the photos.
        prepare: whether they are made fit.
        check_urls: whether the hosts of URLs are asked.
        journal: what earlier runs have paid for, if there is such a file.
        retry_failed: whether what failed would be paid for again.

    Raises:
        InvalidRequestError: Pillow is not installed.
        JournalError: the journal can not be read.
    """
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        preparers = PhotoPreparers(lambda: session)
        preparer = preparers.choose(prepare=prepare, check_urls=check_urls)
        earlier = {} if journal is None else await asyncio.to_thread(_earlier, journal)
        rehearsal = _Rehearsal(Output(), preparer, earlier, retry_failed)
        for request in named.requests:
            await rehearsal.look_at(request)
    for error in named.refused:
        rehearsal.refuse(error)
    return rehearsal.conclusion()


def _earlier(journal: Path) -> Mapping[bytes, deque[State]]:
    """What a journal knows: the states of photos, by what makes them the same."""
    if not journal.exists():
        return {}
    found = defaultdict[bytes, deque[State]](deque)
    with read_journal(journal) as store:
        for key, state in store.states():
            found[key].append(state)
    return found


@define
class _Rehearsal:
    """Looks at one photo after another, and adds up."""

    console: Output
    preparer: PhotoPreparer
    earlier: Mapping[bytes, deque[State]]
    retry_failed: bool
    sent: list[AnimationRequest] = field(factory=list)
    left: int = 0
    refused: int = 0

    async def look_at(self, request: AnimationRequest) -> None:
        """Shows what would become of a photo."""
        try:
            state = await self._state(request)
            why_not = _NOT_SENT.get(state)
            if state is State.FAILED and self.retry_failed:
                why_not = None
            if why_not is not None:
                self.left += 1
                self.console.print(f"{shown_photo(request.photo)}: {why_not}")
                return
            async with AsyncExitStack() as resources:
                fit = await self.preparer.prepare(request.photo, resources)
                what = await asyncio.to_thread(_described, request.photo, fit)
        except PhotoAnimerError as error:
            self.refuse(error)
            return
        self.sent.append(request)
        self.console.print(f"{shown_photo(request.photo)}: {what}{_how(request)}")

    async def _state(self, request: AnimationRequest) -> State:
        if not self.earlier:
            return State.PLANNED
        key = key_of(await self.preparer.digest(request.photo), request.options)
        states = self.earlier.get(key)
        return states.popleft() if states else State.PLANNED

    def refuse(self, error: PhotoAnimerError) -> None:
        """Shows why a photo would not be sent."""
        self.refused += 1
        self.console.print(Text(str(error), "red"))

    def conclusion(self) -> ExitStatus:
        """Shows the sum."""
        self.console.print(f"\nWould be sent: {shown_estimate(budget.estimate(self.sent))}.")
        if self.left:
            self.console.print(f"{self.left} would not be sent again.")
        if self.refused:
            self.console.print(f"{self.refused} can not be sent.")
        self.console.print("Nothing was sent.")
        return ExitStatus.FAILED if self.refused else ExitStatus.DONE


def _described(photo: Photo, fit: Photo) -> str:
    """What would be sent: format, pixels, size, and whether it was changed for that."""
    if isinstance(fit, str) and is_url(fit):
        return ""
    with open_photo(fit) as (file, size):
        header = read_header(file)
    changed = "" if fit is photo else "prepared as "
    shape = f"{header.width}x{header.height}"
    return f"{changed}{header.format.name} {shape}, {shown_size(size)}; "


def _how(request: AnimationRequest) -> str:
    options = request.options
    voice = "" if options.voice_url is None else f", voice {shown_url(options.voice_url)}"
    name = "" if request.name is None else f", named {printable(request.name)}"
    return (
        f"template {options.template:d}, {options.output_format}{voice}{name}; "
        f"{budget.price(options):g} video seconds"
    )
