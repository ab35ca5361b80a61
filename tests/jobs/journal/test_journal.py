"""The journal on the event loop."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from photoanimer_async import (
    JournalError,
    JournalInUseError,
    State,
)
from photoanimer_async.jobs.journal import Facts, Journal, RefusedStepError
from photoanimer_async.jobs.journal.journal_store import JournalStore
from photoanimer_async.jobs.lifecycle import Event

from ...support.journals import REQUEST, SERVICE, photo_count, states_in


async def test_a_journal_belongs_to_one_service(path: Path) -> None:
    async with Journal(path, SERVICE) as journal:
        entry = await journal.plan_one(b"a", REQUEST, None)
        await journal.record(entry.id, State.PLANNED, Event.SUBMIT)
    with pytest.raises(JournalError, match=r"belongs to http://127\.0\.0\.1:1/api/v1"):
        async with Journal(path, "https://other.example/api/v1"):
            pass
    async with Journal(path, SERVICE):
        pass


async def test_a_journal_without_a_submit_belongs_to_none(path: Path) -> None:
    async with Journal(path, "http://mistyped.example/api/v1") as journal:
        entry = await journal.plan_one(b"a", REQUEST, None)
        await journal.record(entry.id, State.PLANNED, Event.SUBMIT)
        await journal.record(entry.id, State.SUBMITTING, Event.DEFER)
    async with Journal(path, SERVICE) as journal:
        assert (await journal.summary()).counts == {State.PLANNED: 1}
        await journal.record(entry.id, State.PLANNED, Event.SUBMIT)
    with pytest.raises(JournalError, match=r"belongs to http://127\.0\.0\.1:1/api/v1"):
        async with Journal(path, "http://mistyped.example/api/v1"):
            pass


async def test_reading_a_missing_journal_raises_and_creates_nothing(path: Path) -> None:
    with pytest.raises(JournalError, match="no such journal"):
        await asyncio.to_thread(photo_count, path)
    assert not await asyncio.to_thread(path.exists)


async def test_records_queued_together_share_a_transaction(path: Path) -> None:
    async with Journal(path, SERVICE) as journal:
        numbers = await journal.plan([(bytes([i]), REQUEST) for i in range(200)], None)
        await asyncio.gather(*(journal.record(n, State.PLANNED, Event.SUBMIT) for n in numbers))
        assert (await journal.summary()).counts == {State.SUBMITTING: 200}
        assert await asyncio.to_thread(os.path.getsize, f"{path}-wal") < 100 * 4096


async def test_a_new_entry_is_on_disk_with_its_first_record(path: Path) -> None:
    async with Journal(path, SERVICE) as journal:
        entries = [await journal.plan_one(bytes([i]), REQUEST, None) for i in range(3)]
        await journal.record(entries[1].id, State.PLANNED, Event.SUBMIT)
        assert await asyncio.to_thread(states_in, path) == {
            entries[0].id: State.PLANNED,
            entries[1].id: State.SUBMITTING,
            entries[2].id: State.PLANNED,
        }
        assert [entry async for entry in journal.entries(State.PLANNED)] == entries[::2]


async def test_planning_the_same_batch_again_finds_its_entries(
    path: Path,
) -> None:
    async with Journal(path, SERVICE) as journal:
        first = await journal.plan_one(b"a", REQUEST, None)
        (second,) = await journal.plan([(b"b", REQUEST)], None)
    async with Journal(path, SERVICE) as journal:
        (third,) = await journal.plan([(b"c", REQUEST)], None)
        assert await journal.plan([(b"b", REQUEST)], None) == [second]
        assert (await journal.plan_one(b"a", REQUEST, None)).id == first.id
        assert await journal.planned(third, REQUEST, None) == await journal.entry(third)
        assert len({first.id, second, third}) == 3


async def test_deferred_records_keep_their_order_and_are_written_at_the_end(path: Path) -> None:
    failures: list[BaseException] = []

    def later(number: int, state: State, event: Event) -> None:
        journal.record_later(number, state, event, Facts(), failures.append)

    async with Journal(path, SERVICE) as journal:
        a = (await journal.plan_one(b"a", REQUEST, None)).id
        b = (await journal.plan_one(b"b", REQUEST, None)).id
        later(a, State.PLANNED, Event.SUBMIT)
        await journal.record(a, State.SUBMITTING, Event.ACCEPT, Facts(task_id=1))
        later(a, State.SUBMITTED, Event.FINISH)
        later(b, State.PLANNED, Event.REFUSE)
    assert await asyncio.to_thread(states_in, path) == {a: State.FINISHED, b: State.FAILED}
    assert failures == []


async def test_a_deferred_record_that_is_refused_is_reported(path: Path) -> None:
    failures: list[BaseException] = []
    async with Journal(path, SERVICE) as journal:
        (number,) = await journal.plan([(b"a", REQUEST)], None)
        journal.record_later(number, State.SUBMITTED, Event.FINISH, Facts(), failures.append)
        await journal.record(number, State.PLANNED, Event.SUBMIT)
    assert [type(error) for error in failures] == [RefusedStepError]


@pytest.mark.parametrize("step", ["require_sound", "close"])
async def test_a_journal_is_free_when_a_cancellation_during_a_step_has_ended(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    began, may_continue = threading.Event(), threading.Event()
    original = getattr(JournalStore, step)

    def slow(store: JournalStore) -> None:
        began.set()
        may_continue.wait(30)
        original(store)

    async def use() -> None:
        async with Journal(path, SERVICE):
            pass

    with monkeypatch.context() as patch:
        patch.setattr(JournalStore, step, slow)
        using = asyncio.create_task(use())
        await asyncio.to_thread(began.wait, 30)
        for _ in range(2):
            using.cancel()
            await asyncio.sleep(0.01)
        may_continue.set()
        with pytest.raises(asyncio.CancelledError):
            await using
    await use()


async def test_a_journal_that_is_not_open_is_an_error_at_once(path: Path) -> None:
    journal = Journal(path, SERVICE)

    async def require_closed() -> None:
        for call in (
            journal.plan([(b"b", REQUEST)], None),
            journal.plan_one(b"b", REQUEST, None),
            journal.summary(),
            journal.annotate(1, Facts(error="late")),
            anext(journal.unsaved()),
        ):
            with pytest.raises(JournalError, match="is not open"):
                await call
        with pytest.raises(JournalError, match="is not open"):
            await journal.record(1, State.PLANNED, Event.SUBMIT)
        with pytest.raises(JournalError, match="is not open"):
            journal.record_later(1, State.PLANNED, Event.SUBMIT, Facts(), print)

    await require_closed()
    async with journal:
        await journal.plan([(b"a", REQUEST)], None)
    await require_closed()
    await journal.__aexit__(None, None, None)
    assert await asyncio.to_thread(photo_count, path) == 1


async def test_a_journal_can_be_opened_again_once_it_is_closed(path: Path) -> None:
    journal = Journal(path, SERVICE)
    async with journal:
        await journal.plan([(b"a", REQUEST)], None)
        with pytest.raises(JournalInUseError, match=r"uses this journal already; .* `aclose\(\)`"):
            await journal.__aenter__()
        await journal.plan([(b"b", REQUEST)], None)
    async with journal:
        assert (await journal.summary()).photos == 2
        await journal.plan([(b"a", REQUEST), (b"c", REQUEST)], None)
    assert await asyncio.to_thread(photo_count, path) == 3
