"""The one thread that writes a journal: it writes all that is queued, and syncs once."""

import asyncio
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from attrs import define

from photoanimer_async.errors import JournalError
from photoanimer_async.jobs.journal.entries import NewEntry, Recipient, Record, RefusedStepError
from photoanimer_async.jobs.journal.journal_lock import OwnerLock
from photoanimer_async.jobs.journal.journal_opening import journal_path
from photoanimer_async.jobs.journal.journal_store import JournalStore
from photoanimer_async.redaction import printable


@define
class Step:
    """Other work to do in a transaction, and the future of its result."""

    recipient: "asyncio.Future[Any]"
    work: Callable[[JournalStore], Any]


Queued: TypeAlias = NewEntry | Record | Step
_Answer: TypeAlias = tuple[Recipient, Any, BaseException | None]


class Writer(threading.Thread):
    """Owns a journal: locks it, and writes what is queued in groups.

    Args:
        loop: where the futures are resolved.
        path: the file.
        create: whether it is made if missing.
        service: the base URL of the service that its tasks belong to.

    Attributes:
        opened: done when the journal can be used; its result is the last entry's number.
        groups: what to write; `None` ends the thread.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        path: str | os.PathLike[str],
        service: str,
        *,
        create: bool,
    ) -> None:
        super().__init__(name="photoanimer journal", daemon=True)
        self.opened: asyncio.Future[int] = loop.create_future()
        self.groups: SimpleQueue[Sequence[Queued] | None] = SimpleQueue()
        self._loop = loop
        self._path = path
        self._create = create
        self._service = service
        self._lost: dict[int, Exception] = {}

    def run(self) -> None:
        """Write until `None` is taken from the queue."""
        error: Exception
        try:
            self._own()
        except JournalError as journal_error:
            error = journal_error
        except Exception as fault:  # noqa: BLE001 - the caller waits for an answer, whatever it is
            error = JournalError(f"{printable(str(self._path))}: cannot be used: {fault!r}")
            error.__cause__ = fault
        else:
            return
        self._answer([(self.opened, None, error)])

    def _own(self) -> None:
        path = journal_path(self._path, create=self._create)
        lock = OwnerLock(path)
        try:
            store = JournalStore(path, create=self._create)
            try:
                store.require_sound()
                with store.transaction():
                    store.begin_run(self._service)
                store.merge()
                self._answer([(self.opened, store.last_number, None)])
                while group := self._next_group():
                    self._answer(self._commit(store, group))
                    with suppress(Exception):  # the next group's commit shows it, if it lasts
                        store.merge_if_large()
            finally:
                store.close()
        finally:
            lock.release()

    def _next_group(self) -> list[Queued]:
        """Return all that is queued, at least one step; nothing at the end."""
        group: list[Queued] = []
        more = self.groups.get()
        while more is not None:
            group += more
            try:
                more = self.groups.get_nowait()
            except Empty:
                return group
        if group:
            # Put back, to be taken after this group.
            self.groups.put(None)
        return group

    def _commit(self, store: JournalStore, group: Sequence[Queued]) -> list[_Answer]:
        """Write a group in one transaction; if one step is at fault, each in one of its own."""
        try:
            return self._transact(store, group)
        except Exception as error:  # noqa: BLE001 - the futures must be resolved, whatever it is
            reason = error
        is_journals = isinstance(reason, JournalError) and not isinstance(reason, RefusedStepError)
        if len(group) > 1 and not is_journals:
            # The transaction was rolled back as a whole.
            return [answer for one in group for answer in self._commit(store, [one])]
        self._lost |= {one.number: reason for one in group if isinstance(one, NewEntry)}
        return [(one.recipient, None, reason) for one in group if not isinstance(one, NewEntry)]

    def _transact(self, store: JournalStore, group: Sequence[Queued]) -> list[_Answer]:
        """Write entries, then records in rounds of different photos, then run other steps."""
        answers: list[_Answer] = []
        others: list[Step] = []
        records: dict[int, Record] = {}
        with store.transaction():
            store.add_all([one for one in group if isinstance(one, NewEntry)])
            for one in group:
                if isinstance(one, Record):
                    number = one.number
                    if number in self._lost:
                        # Nobody waited for the entry: its first record reports the failure.
                        answers.append((one.recipient, None, self._lost[number]))
                        continue
                    if number in records:
                        store.record_all([*records.values()])
                        records.clear()
                    records[number] = one
                    answers.append((one.recipient, None, None))
                elif isinstance(one, Step):
                    others.append(one)
            store.record_all([*records.values()])
            answers += [(other.recipient, other.work(store), None) for other in others]
        return answers

    def _answer(self, answers: Sequence[_Answer]) -> None:
        if not answers:
            return
        try:
            self._loop.call_soon_threadsafe(_deliver, answers)
        except RuntimeError:
            # The loop was closed before the journal was: no coroutine waits any more.
            return


def _deliver(answers: Sequence[_Answer]) -> None:
    for recipient, result, error in answers:
        if not isinstance(recipient, asyncio.Future):
            if recipient is not None and error is not None:
                recipient(error)
        elif recipient.done():
            continue
        elif error is None:
            recipient.set_result(result)
        else:
            recipient.set_exception(error)
