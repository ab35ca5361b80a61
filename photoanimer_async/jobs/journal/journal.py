"""The journal on the event loop: one writer thread, group commit."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from photoanimer_async.errors import JournalError
from photoanimer_async.jobs.budget import price
from photoanimer_async.jobs.journal.entries import NOTHING, Entry, Facts, NewEntry, Record, Summary
from photoanimer_async.jobs.journal.journal_store import JournalStore
from photoanimer_async.jobs.journal.writer import Step, Writer
from photoanimer_async.jobs.lifecycle import Event, State
from photoanimer_async.models import AnimationRequest, Location
from photoanimer_async.redaction import printable

_T = TypeVar("_T")

LEISURELY: Final = 0.04
"""Seconds that what nobody waits for may wait for company in its transaction."""

_PROMPT: Final = 0.0
"""The same for what is waited for: it goes with all that this round of the loop has to say.

More gathers by itself while the writer syncs."""

_BACKLOG = 4
"""Groups that the writer may be behind before whoever plans has to wait for it."""


@contextmanager
def read_journal(path: str | os.PathLike[str]) -> Iterator[JournalStore]:
    """A journal to look at, also while another process is at work with it. Blocking.

    Raises:
        JournalError: it is not there, or can not be read.
    """
    journal = Path(path)
    if not journal.is_file():
        raise JournalError(f"{printable(str(journal))}: there is no such journal")
    store = JournalStore(journal)
    try:
        yield store
    finally:
        store.close()


class Journal:
    """A journal that this process owns while it is inside `async with`.

    Args:
        path: the file; made if it is not there.
        service: the base URL of the service that its tasks belong to.

    Raises:
        JournalInUseError: another process is at work with it (on entering).
        JournalError: it can not be used (on entering, and from every method).
    """

    def __init__(self, path: str | os.PathLike[str], service: str) -> None:
        self._path = Path(path)
        self._service = service
        self._waiting: list[Step | NewEntry] = []
        self._within = LEISURELY
        self._timer: asyncio.TimerHandle | None = None
        self._last = 0
        self._numbers = count(1)
        self._writer: Writer | None = None

    async def __aenter__(self) -> Self:
        writer = Writer(asyncio.get_running_loop(), self._path, self._service)
        writer.start()
        try:
            self._last = await writer.opened
        except asyncio.CancelledError:
            writer.groups.put(None)
            raise
        except JournalError:
            # The lock is given back before anybody is told that the journal can not be used.
            await asyncio.to_thread(writer.join)
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
        self._writer.groups.put(None)
        await asyncio.shield(asyncio.to_thread(self._writer.join))

    async def plan(
        self, photos: Sequence[tuple[bytes, AnimationRequest]], folder: Location | None
    ) -> list[int]:
        """The numbers of the entries for photos, each given with its digest; see the store.

        They are on disk when this returns.
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
        """The entry that `plan` has found or made, before anything is recorded of it."""
        if number > self._last:
            return _unsubmitted(number, request, folder)
        return await self.entry(number)

    async def plan_one(
        self, digest: bytes, request: AnimationRequest, folder: Location | None
    ) -> Entry:
        """The entry for one photo; see the store.

        A new one is only on its way to the disk. It is there when the first record of it is;
        if it can not be written, that record fails for the same reason.
        """
        if self._last:
            return await self._do(lambda store: store.plan(digest, request, folder))
        number = next(self._numbers)
        self._add(NewEntry(number, digest, request, folder), LEISURELY)
        if self._writer is not None and self._writer.groups.qsize() > _BACKLOG:
            await self._do(lambda _: None)
        return _unsubmitted(number, request, folder)

    async def entry(self, number: int) -> Entry:
        """One entry as it is now."""
        return await self._do(lambda store: store.entry(number))

    async def entries(self, *states: State) -> AsyncGenerator[Entry]:
        """The entries in these states, by number, some hundred held at a time."""
        after = 0
        while page := await self._page(states, after):
            for entry in page:
                yield entry
            after = page[-1].id

    async def summary(self) -> Summary:
        """The journal in numbers."""
        return await self._do(JournalStore.summary)

    def record(
        self,
        number: int,
        state: State,
        event: Event,
        facts: Facts = NOTHING,
        *,
        within: float = _PROMPT,
    ) -> "asyncio.Future[None]":
        """An event, queued when this returns, and on disk when its future is done.

        Args:
            number: the entry.
            state: where it is before.
            event: what happened.
            facts: what is known with it.
            within: seconds that it may wait for others to share its sync: `LEISURELY` where
                nobody waits for it. Whatever is recorded later comes later, all the same.
        """
        return self._promised(Record(number, state, event, facts), within)

    async def note(self, number: int, facts: Facts) -> None:
        """Something was learned that changes no state."""
        await self._do(lambda store: store.note(number, facts))

    def _page(self, states: Sequence[State], after: int) -> "asyncio.Future[list[Entry]]":
        return self._do(lambda store: store.page(states, after))

    def _do(self, work: Callable[[JournalStore], _T]) -> "asyncio.Future[_T]":
        return self._promised(work, _PROMPT)

    def _promised(
        self, work: Record | Callable[[JournalStore], Any], within: float
    ) -> "asyncio.Future[Any]":
        step = Step(asyncio.get_running_loop().create_future(), work)
        self._add(step, within)
        return step.done

    def _add(self, step: Step | NewEntry, within: float) -> None:
        """Queues it; all that has gathered is handed over together when the first has to go."""
        self._waiting.append(step)
        if self._timer is None or within < self._within:
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
