"""The journal on the event loop: one writer thread, group commit."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar

from attrs import define

from photoanimer_async.core.lifecycle import Event, State
from photoanimer_async.errors import JournalError
from photoanimer_async.journal.entries import NOTHING, Entry, Facts, Record, Summary
from photoanimer_async.journal.lock import OwnerLock
from photoanimer_async.journal.store import JournalStore, RefusedStepError
from photoanimer_async.models import AnimationRequest, Place, TaskId
from photoanimer_async.redaction import printable

_T = TypeVar("_T")

_GATHER_SECONDS = 0.005
"""How long a transaction waits for company. A sync costs more than all that is written."""

_Answer: TypeAlias = tuple["asyncio.Future[Any]", Any, BaseException | None]


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


@define
class _Step:
    """Something to do in a transaction, and who waits for it."""

    done: "asyncio.Future[Any]"
    work: Record | Callable[[JournalStore], Any]


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
        self._waiting: list[_Step] = []
        self._writer: _Writer | None = None

    async def __aenter__(self) -> Self:
        writer = _Writer(asyncio.get_running_loop(), self._path, self._service)
        writer.start()
        try:
            await writer.opened
        except asyncio.CancelledError:
            writer.groups.put(None)
            raise
        except JournalError:
            # The lock is given back before anybody is told that the journal can not be used.
            await asyncio.to_thread(writer.join)
            raise
        self._writer = writer
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
        self, photos: Sequence[tuple[bytes, AnimationRequest]], folder: Place | None
    ) -> list[int]:
        """The numbers of the entries for photos, each given with its digest; see the store."""
        return await self._do(
            lambda store: [store.plan(digest, request, folder).id for digest, request in photos]
        )

    async def plan_one(
        self, digest: bytes, request: AnimationRequest, folder: Place | None
    ) -> Entry:
        """The entry for one photo; see the store."""
        return await self._do(lambda store: store.plan(digest, request, folder))

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
        self, number: int, state: State, event: Event, facts: Facts = NOTHING
    ) -> "asyncio.Future[None]":
        """An event, queued when this returns, and on disk when its future is done."""
        return self._add(Record(number, state, event, facts))

    async def note(self, number: int, facts: Facts) -> None:
        """Something was learned that changes no state."""
        await self._do(lambda store: store.note(number, facts))

    async def settle(self, number: int, task_id: TaskId) -> None:
        """There is proof that an ambiguous photo's task is this one; see the store."""
        await self._do(lambda store: store.settle(number, task_id))

    async def settle_left_over(self, task_ids: Sequence[TaskId]) -> TaskId | None:
        """Gives the one ambiguous photo the one task that no photo owns; see the store."""
        return await self._do(lambda store: store.settle_left_over(task_ids))

    def _page(self, states: Sequence[State], after: int) -> "asyncio.Future[list[Entry]]":
        return self._do(lambda store: store.page(states, after))

    def _do(self, work: Callable[[JournalStore], _T]) -> "asyncio.Future[_T]":
        return self._add(work)

    def _add(self, work: Record | Callable[[JournalStore], Any]) -> "asyncio.Future[Any]":
        loop = asyncio.get_running_loop()
        step = _Step(loop.create_future(), work)
        if not self._waiting:
            # Once for all that this round of the loop has to say: waking a thread is dear.
            loop.call_soon(self._hand_over)
        self._waiting.append(step)
        return step.done

    def _hand_over(self) -> None:
        if self._waiting and self._writer is not None:
            self._writer.groups.put(self._waiting)
            self._waiting = []


class _Writer(threading.Thread):
    """Owns the journal: locks it, and writes down what comes, in groups."""

    def __init__(self, loop: asyncio.AbstractEventLoop, path: Path, service: str) -> None:
        super().__init__(name="photoanimer journal", daemon=True)
        self.opened: asyncio.Future[None] = loop.create_future()
        self.groups: SimpleQueue[list[_Step] | None] = SimpleQueue()
        self._loop = loop
        self._path = path
        self._service = service

    def run(self) -> None:
        """Until `None` is in the queue."""
        try:
            lock = OwnerLock(self._path)
        except JournalError as error:
            self._tell([(self.opened, None, error)])
            return
        try:
            store = JournalStore(self._path)
            try:
                with store.transaction():
                    store.begin_run(self._service)
                self._tell([(self.opened, None, None)])
                while group := self._next_group():
                    self._tell(_commit(store, group))
            finally:
                store.close()
        except JournalError as error:
            self._tell([(self.opened, None, error)])
        finally:
            lock.release()

    def _next_group(self) -> list[_Step]:
        """All that waits, at least one step; none at the end."""
        group: list[_Step] = []
        more = self.groups.get()
        if more is not None:
            time.sleep(_GATHER_SECONDS)
        while more is not None:
            group += more
            try:
                more = self.groups.get_nowait()
            except Empty:
                return group
        if group:
            # The end is to be seen again, after this.
            self.groups.put(None)
        return group

    def _tell(self, answers: Sequence[_Answer]) -> None:
        try:
            self._loop.call_soon_threadsafe(_resolve, answers)
        except RuntimeError:
            # The loop was closed before the journal was: nobody waits any more.
            return


def _commit(store: JournalStore, group: Sequence[_Step]) -> list[_Answer]:
    """Does all steps in one transaction. A step that refuses has changed nothing."""
    try:
        try:
            return _transact(store, group)
        except RefusedStepError:
            # It took the others with it: once more, each by itself.
            return [answer for step in group for answer in _alone(store, step)]
    except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must be told
        return [(step.done, None, error) for step in group]


def _alone(store: JournalStore, step: _Step) -> list[_Answer]:
    try:
        return _transact(store, [step])
    except RefusedStepError as error:
        return [(step.done, None, error)]


def _transact(store: JournalStore, group: Sequence[_Step]) -> list[_Answer]:
    """Does all steps in one transaction: first the records, in rounds of different photos."""
    answers: list[_Answer] = []
    others: list[_Step] = []
    records: dict[int, Record] = {}
    with store.transaction():
        for step in group:
            work = step.work
            if not isinstance(work, Record):
                others.append(step)
                continue
            if work.number in records:
                store.record_all([*records.values()])
                records.clear()
            records[work.number] = work
            answers.append((step.done, None, None))
        store.record_all([*records.values()])
        for step in others:
            assert not isinstance(step.work, Record)  # noqa: S101 - it has been sorted out
            answers.append((step.done, step.work(store), None))
    return answers


def _resolve(answers: Sequence[_Answer]) -> None:
    for done, result, error in answers:
        if done.done():
            continue
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)
