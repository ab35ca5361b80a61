"""A notification gives a photo back the task whose id its submit was never told."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from photoanimer_async import (
    AmbiguousSubmitError,
    NotificationReceiver,
    Outcome,
    PhotoAnimerClient,
    State,
)
from photoanimer_async.jobs.journal import read_journal

from ..support.stub_service import StubService, envelope, quick_client, task
from .test_parse import notification

PHOTOS = [f"http://127.0.0.1:9/{number}.jpg" for number in range(3)]
LOST = 471367831765062
"""The task of the first submit, which is accepted and then not answered."""


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "batch.db"


def lose(stub: StubService, count: int) -> None:
    """The first submits are accepted, and the connection is lost."""

    def accept_and_hang_up(request: web.Request) -> web.StreamResponse:
        stub.next_id += 1
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    stub.submit_script = [accept_and_hang_up] * count


def client_of(stub: StubService, receiver: NotificationReceiver) -> PhotoAnimerClient:
    return quick_client(stub.base_url, receiver=receiver, concurrency=1)


async def batch(
    stub: StubService, journal: Path, *notified: object, exclusive: bool = True
) -> list[Outcome]:
    """A batch during which these tasks are notified."""
    receiver = NotificationReceiver(exclusive=exclusive)
    async with client_of(stub, receiver) as client:
        outcomes = []
        async for outcome in client.animate_many(PHOTOS, journal=journal):
            outcomes.append(outcome)
            for task_id in notified:
                receiver.take(notification(task_id))
            while receiver._queued:
                await asyncio.sleep(0)
    return sorted(outcomes, key=lambda outcome: outcome.index)


async def states(journal: Path) -> list[State]:
    def read() -> list[State]:
        with read_journal(journal) as store:
            return [entry.state for entry in store.entries([*State])]

    return await asyncio.to_thread(read)


async def test_the_one_task_and_the_one_photo_left_over_belong_together(
    stub: StubService, journal: Path
) -> None:
    lose(stub, 1)
    outcomes = await batch(stub, journal, LOST, LOST + 1, LOST + 2)
    assert isinstance(outcomes[0].error, AmbiguousSubmitError)
    assert await states(journal) == [State.SUBMITTED, State.FINISHED, State.FINISHED]
    async with quick_client(stub.base_url) as client:
        resumed = {o.photo: o async for o in client.resume(journal)}
    assert resumed[PHOTOS[0]].unwrap().task_id == LOST
    assert len(stub.submits) == 3


async def test_only_where_the_user_vouches_for_it(stub: StubService, journal: Path) -> None:
    lose(stub, 1)
    await batch(stub, journal, LOST, exclusive=False)
    assert (await states(journal))[0] is State.AMBIGUOUS


@pytest.mark.parametrize("info", [task(LOST, 0), task(LOST, 2), None])
async def test_the_service_must_say_that_the_task_has_finished(
    stub: StubService, journal: Path, info: object
) -> None:
    lose(stub, 1)
    answer = envelope(info) if info else envelope(code=40004, msg="no task")
    stub.poll_script[str(LOST)] = [lambda _: answer]
    await batch(stub, journal, LOST)
    assert (await states(journal))[0] is State.AMBIGUOUS


async def test_two_tasks_left_over_prove_nothing(stub: StubService, journal: Path) -> None:
    lose(stub, 1)
    await batch(stub, journal, LOST, 7)
    assert (await states(journal))[0] is State.AMBIGUOUS


async def test_two_photos_left_over_prove_nothing(stub: StubService, journal: Path) -> None:
    lose(stub, 2)
    await batch(stub, journal, LOST)
    assert (await states(journal))[:2] == [State.AMBIGUOUS, State.AMBIGUOUS]


async def test_a_task_of_another_photo_of_the_journal_is_none_that_is_left_over(
    stub: StubService, journal: Path
) -> None:
    await batch(stub, journal)
    lose(stub, 1)
    receiver = NotificationReceiver(exclusive=True)
    async with client_of(stub, receiver) as client:
        receiver.take(notification(str(LOST)))
        photos = ["http://127.0.0.1:9/new.jpg"]
        [outcome] = [o async for o in client.animate_many(photos, journal=journal)]
    assert isinstance(outcome.error, AmbiguousSubmitError)
    assert (await states(journal))[-1] is State.AMBIGUOUS


async def test_a_flood_of_unknown_tasks_is_bounded(stub: StubService, journal: Path) -> None:
    lose(stub, 1)
    await batch(stub, journal, LOST, *range(500))
    polls = [request.query["taskId"] for request in stub.polls]
    assert len(polls) <= 2 + 10
    assert (await states(journal))[0] is State.AMBIGUOUS


async def test_where_nothing_is_ambiguous_nobody_is_asked(stub: StubService, journal: Path) -> None:
    await batch(stub, journal, 7)
    assert "7" not in [request.query["taskId"] for request in stub.polls]
