"""The journal on the event loop: records are queued here and written in groups by a thread."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from types import TracebackType
from typing import Final, Self, TypeVar

from photoanimer_async.errors import JournalError
from photoanimer_async.jobs.budget import price
from photoanimer_async.jobs.journal.entries import (
    NOTHING,
    Entry,
    Facts,
    NewEntry,
    Record,
    Summary,
)
from photoanimer_async.jobs.journal.journal_store import JournalStore
from photoanimer_async.jobs.journal.writer import Queued, Step, Writer
from photoanimer_async.jobs.lifecycle import Event, State
from photoanimer_async.models import AnimationRequest, Location
from photoanimer_async.photos.cancellation import ThreadStep
from photoanimer_async.redaction import printable

_T = TypeVar("_T")

_PROMPT: Final = 0.0
"""Seconds for which a record that is waited for is held back: it leaves with all others of this
loop iteration. More records gather while the writer syncs."""

_DEFERRED: Final = 1.0
"""The same for what nobody waits for. A transaction writes whole pages: the more photos end in it,
the more of them share a page."""

_MOST_WAITING = 1000
"""What is held back at once, at most."""

_BACKLOG = 4
"""Groups queued for the writer, above which planning waits for it."""


@contextmanager
def read_journal(path: str | os.PathLike[str]) -> Iterator[JournalStore]:
    """Open a journal for reading, also while another process writes to it. Blocking.

    Raises:
        JournalError: it does not exist, or cannot be read.
    """
    store = JournalStore(path, create=False)
    try:
        yield store
    finally:
        store.close()


class Journal:
    """A journal, owned by this process inside `async with`, which can be entered again afterwards.

    Args:
        path: the file.
        service: the base URL of the service that its tasks belong to.
        create: whether the file is made if missing.

    Raises:
        JournalInUseError: it is open already, here or in another process (on entering).
        JournalError: it cannot be used, or is not open (on entering, and from every method).
    """

    def __init__(self, path: str | os.PathLike[str], service: str, *, create: bool = True) -> None:
        # Not a `Path`: that of an empty name is the current folder.
        self._path = path
        self._create = create
        self._service = service
        self._waiting: list[Queued] = []
        self._within = _DEFERRED
        self._timer: asyncio.TimerHandle | None = None
        self._last = 0
        self._numbers = count(1)
        self._writer: Writer | None = None

    async def __aenter__(self) -> Self:
        writer = Writer(asyncio.get_running_loop(), self._path, self._service, create=self._create)
        writer.start()
        try:
            self._last = await writer.opened
        except BaseException:
            # The lock is released before the error, or the cancellation, is raised.
            writer.groups.put(None)
            await ThreadStep(asyncio.to_thread(writer.join))
            raise
        self._writer = writer
        self._numbers = count(1)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is None:
            return
        self._hand_over()
        writer, self._writer = self._writer, None
        writer.groups.put(None)
        await ThreadStep(asyncio.to_thread(writer.join))

    async def plan(
        self, photos: Sequence[tuple[bytes, AnimationRequest]], folder: Location | None
    ) -> list[int]:
        """Return the entries' numbers of photos, each given with its digest.

        New entries are on disk when this returns; see `JournalStore.plan`.
        """
        if self._last:
            return await self._do(
                lambda store: [store.plan(digest, request, folder).id for digest, request in photos]
            )
        entries = [
            NewEntry(number, digest, request, folder)
            for (digest, request), number in zip(photos, self._numbers, strict=False)
        ]
        await self._do(lambda store: store.add_all(entries))
        return [entry.number for entry in entries]

    async def planned(
        self, number: int, request: AnimationRequest, folder: Location | None
    ) -> Entry:
        """Return the entry that `plan` has found or made, before anything is recorded."""
        if number > self._last:
            return _unsubmitted(number, request, folder)
        return await self.entry(number)

    async def plan_one(
        self, digest: bytes, request: AnimationRequest, folder: Location | None
    ) -> Entry:
        """Return the entry of one photo; see `JournalStore.plan`.

        A new one is queued, and on disk when its first record is; if it cannot be written,
        that record fails for the same reason.
        """
        if self._last:
            return await self._do(lambda store: store.plan(digest, request, folder))
        number = next(self._numbers)
        self._add(NewEntry(number, digest, request, folder), _DEFERRED)
        if self._writer is not None and self._writer.groups.qsize() > _BACKLOG:
            await self._do(lambda _: None)
        return _unsubmitted(number, request, folder)

    async def entry(self, number: int) -> Entry:
        """Return the present state of one entry."""
        return await self._do(lambda store: store.entry(number))

    async def entries(self, *states: State) -> AsyncGenerator[Entry]:
        """Yield the entries in these states by number; some hundred are held at a time."""
        after = 0
        while page := await self._page(states, after):
            for entry in page:
                yield entry
            after = page[-1].id

    async def unsaved(self) -> AsyncGenerator[Entry]:
        """Yield the entries without a saved result by number, and those whose result is gone."""
        after: int | None = 0
        while after is not None:
            page, after = await self._do(partial(JournalStore.unsaved, after=after))
            for entry in page:
                yield entry

    async def summary(self) -> Summary:
        """Return the journal's totals."""
        return await self._do(JournalStore.summary)

    def record(
        self, number: int, state: State, event: Event, facts: Facts = NOTHING
    ) -> "asyncio.Future[None]":
        """Queue an event; it is on disk when the returned future is done.

        Args:
            number: the entry.
            state: its state before the event.
            event: what happened.
            facts: what to store with it.
        """
        done = asyncio.get_running_loop().create_future()
        self._add(Record(number, state, event, facts, done), _PROMPT)
        return done

    def record_later(
        self,
        number: int,
        state: State,
        event: Event,
        facts: Facts,
        failed: Callable[[BaseException], None],
    ) -> None:
        """Queue an event, as `record` does, that nobody waits for; it is written within a second.

        Records are always written in the order of the calls. If this one cannot be written,
        `failed` is called in the loop with the reason.
        """
        # A submit that seems to be open is ambiguous after a crash.
        within = _PROMPT if state is State.SUBMITTING else _DEFERRED
        self._add(Record(number, state, event, facts, failed), within)

    async def annotate(self, number: int, facts: Facts) -> None:
        """Store facts that change no state; they are on disk when this returns."""
        await self._do(lambda store: store.annotate(number, facts))

    def _page(self, states: Sequence[State], after: int) -> "asyncio.Future[list[Entry]]":
        return self._do(lambda store: store.page(states, after))

    def _do(self, work: Callable[[JournalStore], _T]) -> "asyncio.Future[_T]":
        step = Step(asyncio.get_running_loop().create_future(), work)
        self._add(step, _PROMPT)
        return step.recipient

    def _add(self, step: Queued, within: float) -> None:
        """Queue a step; all that is queued is handed over when the first deadline is reached."""
        if self._writer is None:  # nothing would ever be answered
            raise JournalError(f"{printable(str(self._path))}: is not open")
        self._waiting.append(step)
        if len(self._waiting) >= _MOST_WAITING:
            self._hand_over()
        elif self._timer is None or within < self._within:
            if self._timer is not None:
                self._timer.cancel()
            self._within = within
            self._timer = asyncio.get_running_loop().call_later(within, self._hand_over)

    def _hand_over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting and self._writer is not None:
            self._writer.groups.put(self._waiting)
            self._waiting = []


def _unsubmitted(number: int, request: AnimationRequest, folder: Location | None) -> Entry:
    return Entry(number, request, State.PLANNED, price(request.options), folder)
