"""The one thread that writes a journal: it takes what has gathered, and syncs once for all."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from attrs import define

from photoanimer_async.errors import JournalError
from photoanimer_async.jobs.journal.entries import NewEntry, Record
from photoanimer_async.jobs.journal.journal_lock import OwnerLock
from photoanimer_async.jobs.journal.journal_store import JournalStore, RefusedStepError

_Answer: TypeAlias = tuple["asyncio.Future[Any]", Any, BaseException | None]


@define
class Step:
    """Something to do in a transaction, and who waits for it."""

    done: "asyncio.Future[Any]"
    work: Record | Callable[[JournalStore], Any]


class Writer(threading.Thread):
    """Owns the journal: locks it, and writes down what comes, in groups.

    Args:
        loop: where those who wait are told.
        path: the file; made if it is not there.
        service: the base URL of the service that its tasks belong to.

    Attributes:
        opened: done when the journal can be used; the number of the last entry in it.
        groups: what is to be written, and `None` for the end.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, path: Path, service: str) -> None:
        super().__init__(name="photoanimer journal", daemon=True)
        self.opened: asyncio.Future[int] = loop.create_future()
        self.groups: SimpleQueue[Sequence[Step | NewEntry] | None] = SimpleQueue()
        self._loop = loop
        self._path = path
        self._service = service
        self._lost: dict[int, Exception] = {}

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
                self._tell([(self.opened, store.last_number, None)])
                while group := self._next_group():
                    self._tell(self._commit(store, group))
            finally:
                store.close()
        except JournalError as error:
            self._tell([(self.opened, None, error)])
        finally:
            lock.release()

    def _next_group(self) -> list[Step | NewEntry]:
        """All that waits, at least one step; none at the end."""
        group: list[Step | NewEntry] = []
        more = self.groups.get()
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

    def _commit(self, store: JournalStore, group: Sequence[Step | NewEntry]) -> list[_Answer]:
        """Does all of it in one transaction. A step that refuses has changed nothing."""
        entries = [one for one in group if isinstance(one, NewEntry)]
        steps = [one for one in group if isinstance(one, Step)]
        try:
            try:
                return self._transact(store, entries, steps)
            except RefusedStepError:
                # It took the others with it: once more, each by itself.
                self._transact(store, entries, [])
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must be told
            self._lost |= {entry.number: error for entry in entries}
            return [(step.done, None, error) for step in steps]
        return [answer for step in steps for answer in self._alone(store, step)]

    def _alone(self, store: JournalStore, step: Step) -> list[_Answer]:
        try:
            return self._transact(store, [], [step])
        except Exception as error:  # noqa: BLE001 - likewise
            return [(step.done, None, error)]

    def _transact(
        self, store: JournalStore, entries: Sequence[NewEntry], steps: Sequence[Step]
    ) -> list[_Answer]:
        """Does it in one transaction: entries, then records in rounds of different photos."""
        answers: list[_Answer] = []
        others: list[Step] = []
        records: dict[int, Record] = {}
        with store.transaction():
            store.add_all(entries)
            for step in steps:
                work = step.work
                if not isinstance(work, Record):
                    others.append(step)
                    continue
                number = work.number
                if number in self._lost:
                    # Nobody waited for the entry: the photo's first step learns that it is lost.
                    answers.append((step.done, None, self._lost[number]))
                    continue
                if number in records:
                    store.record_all([*records.values()])
                    records.clear()
                records[number] = work
                answers.append((step.done, None, None))
            store.record_all([*records.values()])
            for step in others:
                assert not isinstance(step.work, Record)  # noqa: S101 - it has been sorted out
                answers.append((step.done, step.work(store), None))
        return answers

    def _tell(self, answers: Sequence[_Answer]) -> None:
        if not answers:
            return
        try:
            self._loop.call_soon_threadsafe(_resolve, answers)
        except RuntimeError:
            # The loop was closed before the journal was: nobody waits any more.
            return


def _resolve(answers: Sequence[_Answer]) -> None:
    for done, result, error in answers:
        if done.done():
            continue
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)
