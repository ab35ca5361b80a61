"""A job's deadline ends the wait for its turn, and never a submit; its journal is needed."""

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web
from attrs import evolve

from photoanimer_async import (
    AmbiguousSubmitError,
    AnimationRequest,
    JournalError,
    NotSentError,
    PhotoAnimerClient,
    PhotoAnimerError,
    RateLimitedError,
    State,
    WaitTimeoutError,
)
from photoanimer_async.api import transport
from photoanimer_async.jobs.job import Job, JobContext
from photoanimer_async.jobs.journal import Journal
from photoanimer_async.jobs.journal.entries import Record
from photoanimer_async.jobs.journal.journal_store import JournalStore
from photoanimer_async.jobs.lifecycle import Event

from ..support.batches import PHOTO, NeverAnswers, outcomes_of, read_all, urls
from ..support.clock import Clock
from ..support.stub_service import StubService, drop_connection, envelope, quick_client, task


def busy_for_an_hour(_: web.Request) -> web.Response:
    return envelope(code=429, status=429, Retry_After="3600")


async def test_the_timeout_holds_under_a_long_retry_after(
    client: PhotoAnimerClient, stub: StubService
) -> None:
    stub.submit_script = [busy_for_an_hour] * 10
    with pytest.raises(RateLimitedError) as caught:
        await client.animate(PHOTO, timeout=0.2)
    assert caught.value.retry_after == 3600
    # The next one does not even try: all submits pause.
    with pytest.raises(NotSentError, match=r"no turn within 0\.2 s"):
        await client.animate(PHOTO, timeout=0.2)
    outcomes = await outcomes_of(client, urls(3), timeout=0.2)
    assert all(isinstance(outcome.error, NotSentError) for outcome in outcomes)
    assert len(stub.submits) == 1


async def test_the_timeout_holds_for_polls_under_a_long_retry_after(
    client: PhotoAnimerClient, stub: StubService, clock: Clock
) -> None:
    stub.poll_script[str(stub.next_id + 1)] = [busy_for_an_hour] * 10
    animating = asyncio.create_task(client.animate(PHOTO, timeout=10))
    while not client._scheduler._errors:
        await asyncio.sleep(0.001)
    clock.move_forward(20)
    with pytest.raises(WaitTimeoutError, match="could not be polled") as caught:
        await animating
    assert isinstance(caught.value.__cause__, RateLimitedError)
    assert caught.value.task_id == stub.next_id


async def test_a_submit_on_its_way_is_answered_after_the_deadline(
    client: PhotoAnimerClient, stub: StubService, clock: Clock
) -> None:
    def slowly(_: web.Request) -> web.Response:
        clock.move_forward(20)
        return envelope(stub.next_id)

    stub.submit_script = [slowly]
    stub.poll_script[str(stub.next_id)] = [lambda _: envelope(task(stub.next_id, 0))] * 1000
    with pytest.raises(WaitTimeoutError) as caught:
        await client.animate(PHOTO, timeout=10)
    assert caught.value.task_id == stub.next_id
    assert stub.next_id in client.pending


async def test_a_lost_answer_after_the_deadline_is_ambiguous(
    client: PhotoAnimerClient, stub: StubService, clock: Clock
) -> None:
    async def drop_late(request: web.Request) -> web.Response:
        clock.move_forward(20)
        return await drop_connection(request)

    stub.submit_script = [drop_late]
    with pytest.raises(AmbiguousSubmitError):
        await client.animate(PHOTO, timeout=10)


async def test_a_submit_refused_after_the_deadline_is_not_repeated(
    client: PhotoAnimerClient, stub: StubService, clock: Clock
) -> None:
    def busy_late(_: web.Request) -> web.Response:
        clock.move_forward(20)
        return envelope(code=503, status=503)

    stub.submit_script = [busy_late]
    with pytest.raises(PhotoAnimerError, match="503"):
        await client.animate(PHOTO, timeout=10)
    assert len(stub.submits) == 1


async def test_what_waits_for_a_connection_when_a_batch_is_left_was_not_sent(
    stub: StubService, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("photoanimer_async.jobs.batch.ANSWER_SECONDS", 0.01)

    stub.submit_script = [NeverAnswers()]
    connector = aiohttp.TCPConnector(limit=1)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        quick_client(stub.base_url, session=session) as client,
    ):
        batch = asyncio.create_task(outcomes_of(client, urls(3), journal=journal))
        while not stub.submits:
            await asyncio.sleep(0.001)
        batch.cancel()
        await asyncio.gather(batch, return_exceptions=True)
    assert len(stub.submits) == 1
    assert (await read_all(journal))[0].counts == {State.AMBIGUOUS: 1, State.PLANNED: 2}


@pytest.mark.parametrize(("damage", "closes"), [(None, False), ("DROP TABLE photos", True)])
async def test_only_a_journal_that_cannot_be_written_closes_the_gate(
    tmp_path: Path, damage: str | None, *, closes: bool
) -> None:
    path = tmp_path / "batch.db"
    async with Journal(path, "http://127.0.0.1:9/api/v1") as journal:
        entry = await journal.plan_one(b"digest", AnimationRequest(PHOTO), None)
        await journal.entry(entry.id)  # now it is on disk
        if damage is not None:
            with closing(sqlite3.connect(path)) as connection:
                connection.execute(damage)
        # The journal holds another state, so the step is refused.
        submitted = evolve(entry, state=State.SUBMITTED)
        job = Job(0, entry.request, JobContext(journal=journal), submitted)
        job.record_later(Event.FINISH)
        with suppress(JournalError):
            await journal.entry(entry.id)  # behind the step
    assert job.context.gate.closed.is_set() == closes


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_a_photo_whose_intent_is_being_written_when_it_is_cancelled_stays_planned(
    stub: StubService, journal: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    begun, may_end, record_all = asyncio.Event(), threading.Event(), JournalStore.record_all
    loop = asyncio.get_running_loop()

    def slow(store: JournalStore, records: Sequence[Record]) -> None:
        if any(record.event is Event.SUBMIT for record in records):
            loop.call_soon_threadsafe(begun.set)
            may_end.wait(60)
        record_all(store, records)

    monkeypatch.setattr(JournalStore, "record_all", slow)
    async with quick_client(stub.base_url) as client:
        batch = asyncio.create_task(outcomes_of(client, urls(3), journal=journal))
        await begun.wait()
        for _ in range(times):
            batch.cancel()
            for _ in range(20):
                await asyncio.sleep(0)
        may_end.set()
        await asyncio.wait([batch])
    counts = (await read_all(journal))[0].counts
    assert counts.get(State.PLANNED, 0) == 3 - len(stub.submits)
    assert State.AMBIGUOUS not in counts
    assert times == 1 or stub.submits == []
    async with quick_client(stub.base_url) as client:
        outcomes = await outcomes_of(client, urls(3), journal=journal)
    assert all(outcome.ok for outcome in outcomes)
    assert len(stub.submits) == 3


async def test_a_photo_that_is_cancelled_before_its_request_has_begun_was_not_sent(
    stub: StubService, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def wait(_: float) -> None:
        begun.set()
        await asyncio.sleep(3600)

    slow = SimpleNamespace(**{**vars(asyncio), "sleep": wait})
    monkeypatch.setattr(transport, "asyncio", slow)
    async with quick_client(stub.base_url) as client:
        batch = asyncio.create_task(outcomes_of(client, urls(3), journal=journal))
        await begun.wait()
        for _ in range(2):
            batch.cancel()
            await asyncio.sleep(0)
        await asyncio.wait([batch])
    assert (await read_all(journal))[0].counts == {State.PLANNED: 3}
    assert stub.submits == []
