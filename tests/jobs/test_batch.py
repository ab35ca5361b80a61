"""Many photos: pulled lazily, bounded in number, an outcome each."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from photoanimer_async import (
    AmbiguousSubmitError,
    AnimationOptions,
    AnimationRequest,
    InvalidPhotoError,
    InvalidRequestError,
    Outcome,
    Photo,
    PhotoAnimerClient,
    PhotoAnimerError,
    RefusedRequestError,
    TaskFailedError,
)

from ..support.batches import SlowCleanUpHost, urls
from ..support.pictures import png
from ..support.stub_service import StubService, drop_connection, envelope, quick_client, task


async def test_each_photo_has_one_outcome(client: PhotoAnimerClient, stub: StubService) -> None:
    outcomes = [outcome async for outcome in client.animate_many(urls(300), template=2)]
    assert sorted(outcome.index for outcome in outcomes) == list(range(300))
    assert all(outcome.ok for outcome in outcomes)
    assert {submit.query["imageUrl"] for submit in stub.submits} == set(urls(300))
    assert len({outcome.task_id for outcome in outcomes}) == 300
    by_index = {outcome.index: outcome for outcome in outcomes}
    assert by_index[7].photo == "http://127.0.0.1:9/7.jpg"
    assert by_index[7].unwrap().info.result_url is not None


async def test_no_photos_give_no_outcomes(client: PhotoAnimerClient) -> None:
    assert [outcome async for outcome in client.animate_many([])] == []


async def test_photos_may_come_from_an_async_iterable(client: PhotoAnimerClient) -> None:
    async def photos() -> AsyncIterator[str]:
        for url in urls(3):
            await asyncio.sleep(0)
            yield url

    assert len([o async for o in client.animate_many(photos())]) == 3


async def test_a_request_keeps_its_own_options(
    client: PhotoAnimerClient, stub: StubService
) -> None:
    requests = [
        AnimationRequest(url, AnimationOptions(template=template))
        for template, url in enumerate(urls(6))
    ]
    async for outcome in client.animate_many(requests):
        assert outcome.ok
    sent = {(s.query["imageUrl"], s.query["templateId"]) for s in stub.submits}
    assert sent == {(url, str(template)) for template, url in enumerate(urls(6))}


async def test_a_failed_photo_does_not_affect_the_others(
    client: PhotoAnimerClient, stub: StubService, tmp_path: Path
) -> None:
    stub.submit_script = [
        lambda _: envelope(1),
        drop_connection,
        lambda _: envelope(code=400),
        lambda _: envelope(4),
    ]
    stub.poll_script["1"] = [lambda _: envelope(task(1, 2))]
    photos: list[Photo] = [*urls(4), tmp_path / "missing.jpg"]
    outcomes: dict[int, Outcome] = {}
    async for outcome in client.animate_many(photos, in_flight=1):
        outcomes[outcome.index] = outcome
    kinds = [type(outcomes[i].error) for i in range(5)]
    assert kinds == [
        TaskFailedError,
        AmbiguousSubmitError,
        RefusedRequestError,
        type(None),
        InvalidPhotoError,
    ]
    assert outcomes[0].task_id == 1
    assert outcomes[3].ok
    ambiguous = outcomes[1].error
    assert isinstance(ambiguous, AmbiguousSubmitError)
    assert ambiguous.photo == photos[1]
    with pytest.raises(InvalidPhotoError, match=r"missing\.jpg"):
        outcomes[4].unwrap()
    assert len(stub.submits) == 4


async def test_a_photo_is_pulled_when_a_slot_is_free(client: PhotoAnimerClient) -> None:
    pulled = taken = most_held = 0

    def photos() -> Iterator[str]:
        nonlocal pulled, most_held
        for url in urls(100):
            pulled += 1
            most_held = max(most_held, pulled - taken)
            yield url

    async for _ in client.animate_many(photos(), in_flight=8):
        taken += 1
    assert (pulled, taken) == (100, 100)
    assert most_held <= 9


async def test_outcomes_not_taken_stop_the_pulling(client: PhotoAnimerClient) -> None:
    pulled = 0

    def endless() -> Iterator[str]:
        nonlocal pulled
        while True:
            pulled += 1
            yield "http://127.0.0.1:9/a.jpg"

    outcomes = client.animate_many(endless(), in_flight=5)
    await anext(outcomes)
    await asyncio.sleep(0.05)
    assert pulled <= 6
    await outcomes.aclose()


async def test_leaving_the_loop_cancels_jobs_in_flight(
    client: PhotoAnimerClient, stub: StubService
) -> None:
    closed = asyncio.Event()

    async def photos() -> AsyncIterator[str]:
        try:
            while True:
                yield "http://127.0.0.1:9/a.jpg"
                await asyncio.sleep(0)
        finally:
            closed.set()

    before = asyncio.all_tasks()
    outcomes = client.animate_many(photos(), in_flight=4)
    async for _ in outcomes:
        break
    await outcomes.aclose()
    await closed.wait()  # nobody holds the generator any more
    assert asyncio.all_tasks() <= before | {
        t for t in asyncio.all_tasks() if "photoanimer batch" not in t.get_name()
    }
    count = len(stub.submits)
    await asyncio.sleep(0.02)
    assert len(stub.submits) == count


def never_ends(request: web.Request) -> web.Response:
    return envelope(task(int(request.query["taskId"]), 0))


async def test_leaving_the_loop_withdraws_published_photos(stub: StubService) -> None:
    held: set[Photo] = set()

    class Host:
        @asynccontextmanager
        async def publish(self, photo: Photo) -> AsyncIterator[str]:
            held.add(photo)
            yield "https://cdn.example/a.bmp"
            held.discard(photo)

    stub.poll_script["471367831765062"] = [never_ends] * 100_000
    async with quick_client(stub.base_url, host=Host()) as client:
        photos = {png(64, 64), png(65, 64)}
        outcomes = client.animate_many(photos, in_flight=2)
        assert held == photos - {(await anext(outcomes)).photo}
        assert len(held) == 1
        await outcomes.aclose()
        assert held == set()


async def test_closing_the_client_closes_its_batches(stub: StubService) -> None:
    async with quick_client(stub.base_url) as client:
        outcomes = client.animate_many(
            ("http://127.0.0.1:9/a.jpg" for _ in range(1000)), in_flight=2
        )
        await anext(outcomes)
    with pytest.raises(PhotoAnimerError, match="stopped before its end"):
        async for _ in outcomes:
            pass


async def test_outer_cancellation_gets_through(
    client: PhotoAnimerClient, stub: StubService
) -> None:
    stub.poll_script = {}
    stub.submit_script = [lambda _: envelope(1)]
    stub.poll_script["1"] = [lambda _: envelope(task(1, 0))] * 10_000

    async def consume() -> None:
        async for _ in client.animate_many(urls(1)):
            pass

    consumer = asyncio.create_task(consume())
    while not stub.polls:
        await asyncio.sleep(0.001)
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer


async def test_jobs_end_before_a_batch_that_is_cancelled_again_and_again(
    stub: StubService,
) -> None:
    host = SlowCleanUpHost()

    async def consume(client: PhotoAnimerClient) -> None:
        async for _ in client.animate_many([png(64, 64)]):
            pass

    stub.poll_script[str(stub.next_id + 1)] = [lambda _: envelope(task("1", 0))] * 10_000
    async with quick_client(stub.base_url, host=host) as client:
        consumer = asyncio.create_task(consume(client))
        while not stub.polls:
            await asyncio.sleep(0.001)
        consumer.cancel()
        await host.is_cleaning_up.wait()
        for _ in range(3):
            consumer.cancel()
            await asyncio.sleep(0.01)
        was_abandoned = consumer.done()
        host.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await consumer
    assert not was_abandoned
    assert host.is_clean


async def test_outcomes_precede_the_error_of_the_iterable(client: PhotoAnimerClient) -> None:
    def photos() -> Iterator[str]:
        yield from urls(3)
        raise LookupError("the list ends here")

    outcomes = []
    with pytest.raises(LookupError, match="ends here"):
        async for outcome in client.animate_many(photos()):
            outcomes.append(outcome)  # noqa: PERF401 - what came before the error counts
    assert sorted(o.index for o in outcomes) == [0, 1, 2]


async def test_wrong_arguments_raise_before_the_first_outcome(client: PhotoAnimerClient) -> None:
    with pytest.raises(InvalidRequestError, match="template"):
        client.animate_many([], template=9)
    with pytest.raises(InvalidRequestError, match="in_flight"):
        client.animate_many([], in_flight=0)
