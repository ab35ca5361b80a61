"""The moments at which a run is killed, by name.

A child process puts wrappers around the package's own functions. The wrapper at the chosen
point counts how often it is passed, and at the given count kills the process: SIGKILL, to
itself, in whatever thread that happens to be.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from attrs import define

from photoanimer_async.api.transport import Transport
from photoanimer_async.api.wire import Operation, Request
from photoanimer_async.jobs.journal.entries import Entry, NewEntry, Record
from photoanimer_async.jobs.journal.journal_store import JournalStore
from photoanimer_async.jobs.lifecycle import Event
from photoanimer_async.storage import result_folder
from photoanimer_async.storage.result_folder import FileDestination

T = TypeVar("T")

_RARE = 0.3
_WHEN = ("before", "after")
_OFTEN = [Event.SUBMIT, Event.ACCEPT, Event.FINISH, Event.SAVE]
_SELDOM = [Event.DEFER, Event.LOSE, Event.FAIL]

POINTS: dict[str, float] = {
    "planning": _RARE,
    **{f"{event.value}: {when} its commit": 1.0 for event in _OFTEN for when in _WHEN},
    **{f"{event.value}: {when} its commit": _RARE for event in _SELDOM for when in _WHEN},
    "submit: on its way": 1.0,
    "submit: answered": 1.0,
    "getTaskInfo: on its way": 1.0,
    "getTaskInfo: answered": 1.0,
    "result: empty .part made": 1.0,
    "result: part of it written": 1.0,
    "result: complete, without its name": 1.0,
    "result: with its name": 1.0,
}
"""Every named moment, with its share of the kills."""


@define
class Fuse:
    """Kills this process when a point has been passed so many times."""

    point: str
    left: int

    def passes(self, point: str) -> None:
        if point == self.point:
            self.left -= 1
            if self.left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


def arm(fuse: Fuse) -> None:
    """Puts the wrappers in place, for the rest of this process's life."""
    _arm_journal(fuse)
    _arm_transport(fuse)
    _arm_files(fuse)


def _arm_journal(fuse: Fuse) -> None:
    record, transaction = JournalStore.record_all, JournalStore.transaction
    plan, add = JournalStore.plan, JournalStore.add_all
    written: list[Event] = []

    def recorded(store: JournalStore, records: Sequence[Record]) -> None:
        record(store, records)
        for one in records:
            written.append(one.event)
            fuse.passes(f"{one.event.value}: before its commit")

    def planned(store: JournalStore, *args: Any) -> Entry:
        entry = plan(store, *args)
        fuse.passes("planning")
        return entry

    def added(store: JournalStore, entries: Sequence[NewEntry]) -> None:
        add(store, entries)
        for _ in entries:
            fuse.passes("planning")

    @contextlib.contextmanager
    def committed(store: JournalStore) -> Iterator[None]:
        with transaction(store):
            yield
        for event in written:
            fuse.passes(f"{event.value}: after its commit")
        written.clear()

    _set(JournalStore, "record_all", recorded)
    _set(JournalStore, "plan", planned)
    _set(JournalStore, "add_all", added)
    _set(JournalStore, "transaction", committed)


def _arm_transport(fuse: Fuse) -> None:
    send = Transport.send
    names = {Operation.SUBMIT: "submit", Operation.GET_TASK_INFO: "getTaskInfo"}

    async def sent(transport: Transport, request: Request[T]) -> T:
        name = names.get(request.operation, "")
        sending = asyncio.ensure_future(send(transport, request))
        if fuse.point == f"{name}: on its way":
            await asyncio.sleep(0.001)
            fuse.passes(f"{name}: on its way")
        answer = await sending
        fuse.passes(f"{name}: answered")
        return answer

    _set(Transport, "send", sent)


def _arm_files(fuse: Fuse) -> None:
    target = FileDestination
    create, write = target._create, target._write
    link, sync = result_folder._link, os.fsync

    def created(file: FileDestination) -> None:
        create(file)
        fuse.passes("result: empty .part made")

    def written(file: FileDestination, offset: int, data: bytearray) -> None:
        write(file, offset, data[: len(data) // 2])
        fuse.passes("result: part of it written")
        write(file, offset, data)

    def linked(part: Path, name: Path) -> bool:
        done = link(part, name)
        fuse.passes("result: with its name")
        return done

    def synced(descriptor: int) -> None:
        sync(descriptor)
        fuse.passes("result: complete, without its name")

    _set(target, "_create", created)
    _set(target, "_write", written)
    _set(result_folder, "_link", linked)
    _set(os, "fsync", synced)


def _set(owner: object, name: str, function: Callable[..., object]) -> None:
    setattr(owner, name, function)
