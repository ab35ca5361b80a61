"""Records are written in groups; one that is refused fails alone."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from photoanimer_async import (
    AnimationRequest,
    JournalError,
    State,
)
from photoanimer_async.jobs.journal import Facts, Journal, RefusedStepError
from photoanimer_async.jobs.journal.entries import NewEntry
from photoanimer_async.jobs.journal.journal_store import JournalStore
from photoanimer_async.jobs.lifecycle import Event

from ...support.journals import REQUEST, SERVICE, states_in


async def test_a_refused_record_fails_alone(path: Path) -> None:
    async with Journal(path, SERVICE) as journal:
        a, b = await journal.plan([(b"a", REQUEST), (b"b", REQUEST)], None)
        good = journal.record(a, State.PLANNED, Event.SUBMIT)
        bad = journal.record(b, State.SUBMITTED, Event.FINISH)
        also_good = journal.record(b, State.PLANNED, Event.SUBMIT)
        await good
        await also_good
        with pytest.raises(JournalError, match="no longer submitted"):
            await bad
        assert [entry.state async for entry in journal.entries(*State)] == [State.SUBMITTING] * 2


async def test_a_refused_record_does_not_affect_a_new_entry(path: Path) -> None:
    async with Journal(path, SERVICE) as journal:
        a = (await journal.plan_one(b"a", REQUEST, None)).id
        refused = journal.record(a, State.SUBMITTED, Event.FINISH)
        b = (await journal.plan_one(b"b", REQUEST, None)).id
        with pytest.raises(JournalError, match="no longer submitted"):
            await refused
        await journal.record(b, State.PLANNED, Event.SUBMIT)
    assert await asyncio.to_thread(states_in, path) == {a: State.PLANNED, b: State.SUBMITTING}


async def test_an_entry_that_could_not_be_written_fails_at_its_first_record(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_all, full = JournalStore.add_all, [True]

    def add_or_fail(store: JournalStore, entries: Sequence[NewEntry]) -> None:
        if entries and full:
            raise JournalError("no space is left")
        add_all(store, entries)

    monkeypatch.setattr(JournalStore, "add_all", add_or_fail)
    async with Journal(path, SERVICE) as journal:
        lost = (await journal.plan_one(b"a", REQUEST, None)).id
        with pytest.raises(JournalError, match="no space is left"):
            await journal.summary()
        full.clear()
        kept = (await journal.plan_one(b"b", REQUEST, None)).id
        recorded = journal.record(lost, State.PLANNED, Event.SUBMIT)
        await journal.record(kept, State.PLANNED, Event.SUBMIT)
        with pytest.raises(JournalError, match="no space is left"):
            await recorded


async def test_records_are_written_though_the_file_beside_cannot_be_merged(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: JournalStore) -> None:
        raise MemoryError

    monkeypatch.setattr(JournalStore, "merge_if_large", fail)
    async with Journal(path, SERVICE) as journal, asyncio.timeout(60):
        number = (await journal.plan_one(b"a", REQUEST, None)).id
        await journal.record(number, State.PLANNED, Event.SUBMIT)
        await journal.record(number, State.SUBMITTING, Event.ACCEPT, Facts(task_id=1))
    assert await asyncio.to_thread(states_in, path) == {number: State.SUBMITTED}


def unstorable() -> AnimationRequest:
    """A request that no check has seen: a folder below that SQLite cannot take."""
    request = AnimationRequest(b"content")
    object.__setattr__(request, "name", "\ud800")
    return request


async def test_a_record_that_cannot_be_stored_fails_alone(path: Path) -> None:
    too_large = Facts(submitted_at=10**400)
    async with Journal(path, SERVICE) as journal:
        numbers = await journal.plan([(bytes([i]), REQUEST) for i in range(10)], None)
        written = [
            journal.record(n, State.PLANNED, Event.SUBMIT, too_large if n == 5 else Facts())
            for n in numbers
        ]
        results = await asyncio.gather(*written, return_exceptions=True)
        assert isinstance(results[4], RefusedStepError)
        assert results[:4] + results[5:] == [None] * 9
        states = [entry.state async for entry in journal.entries(*State)]
        assert states.count(State.SUBMITTING) == 9


async def test_a_new_entry_that_cannot_be_stored_fails_alone(path: Path) -> None:
    async with Journal(path, SERVICE) as journal:
        before = (await journal.plan_one(b"a", REQUEST, None)).id
        lost = (await journal.plan_one(b"b", unstorable(), None)).id
        after = (await journal.plan_one(b"c", REQUEST, None)).id
        written = [journal.record(n, State.PLANNED, Event.SUBMIT) for n in (before, lost, after)]
        results = await asyncio.gather(*written, return_exceptions=True)
        assert isinstance(results[1], RefusedStepError)
        assert (results[0], results[2]) == (None, None)
    submitting = {before: State.SUBMITTING, after: State.SUBMITTING}
    assert await asyncio.to_thread(states_in, path) == submitting


async def test_a_fault_of_one_step_does_not_fail_the_records_beside_it(path: Path) -> None:
    async with Journal(path, SERVICE) as journal:
        (number,) = await journal.plan([(b"a", REQUEST)], None)
        good = journal.record(number, State.PLANNED, Event.SUBMIT)
        with pytest.raises(ZeroDivisionError):
            await journal._do(lambda _: 1 / 0)
        await good
