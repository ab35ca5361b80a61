"""When a photo may be submitted once more."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from photoanimer_async import (
    AmbiguousSubmitError,
    Evidence,
    LocalImageHost,
    PhotoAnimerClient,
    State,
    TaskFailedError,
)

from ..support.batches import drop, outcomes_of, read_all, urls
from ..support.pictures import png
from ..support.stub_service import StubService, envelope, quick_client, serving, task


async def test_failed_photos_are_paid_for_again_only_with_retry_failed(
    client: PhotoAnimerClient, stub: StubService, journal: Path
) -> None:
    stub.submit_script = [lambda _: envelope(1), lambda _: envelope(code=9010, msg="Rejected")]
    stub.poll_script["1"] = [lambda _: envelope(task(1, 2, failReason="no face"))]
    await outcomes_of(client, urls(2), journal=journal, in_flight=1)
    failed, refused = await outcomes_of(client, urls(2), journal=journal, in_flight=1)
    assert isinstance(failed.error, TaskFailedError)
    assert "no face" in str(failed.error)
    assert "Rejected" in str(refused.error)
    assert len(stub.submits) == 2
    outcomes = await outcomes_of(client, urls(2), journal=journal, retry_failed=True)
    assert all(outcome.ok for outcome in outcomes)
    assert len(stub.submits) == 4
    assert (await read_all(journal))[0].spent == 3 * 7.13


async def test_ambiguous_photos_are_submitted_again_only_within_resubmit_ambiguous(
    client: PhotoAnimerClient, stub: StubService, journal: Path
) -> None:
    stub.submit_script = [drop, drop]
    lost = await outcomes_of(client, urls(2), journal=journal)
    assert all(isinstance(outcome.error, AmbiguousSubmitError) for outcome in lost)
    assert (await read_all(journal))[0].at_risk == 2 * 7.13
    listed = [outcome async for outcome in client.resume(journal)]
    assert all(isinstance(outcome.error, AmbiguousSubmitError) for outcome in listed)
    assert len(stub.submits) == 2
    within = [o async for o in client.resume(journal, resubmit_ambiguous=10, in_flight=1)]
    assert [outcome.ok for outcome in within] == [True, False]
    assert isinstance(within[1].error, AmbiguousSubmitError)
    assert len(stub.submits) == 3


async def test_a_refused_submit_gives_back_what_resubmit_ambiguous_allows(
    client: PhotoAnimerClient, stub: StubService, journal: Path
) -> None:
    stub.submit_script = [drop] * 4
    await outcomes_of(client, urls(4), journal=journal)
    stub.submit_script = [lambda _: envelope(code=9010), lambda _: envelope(code=9010)]
    again = [o async for o in client.resume(journal, resubmit_ambiguous=7.13)]
    assert sum(outcome.ok for outcome in again) == 1
    assert sum(isinstance(o.error, AmbiguousSubmitError) for o in again) == 1
    assert len(stub.submits) == 4 + 3


async def test_an_ambiguous_photo_with_a_voice_of_unknown_length_stays_ambiguous(
    client: PhotoAnimerClient, stub: StubService, journal: Path
) -> None:
    stub.submit_script = [drop]
    for _ in range(2):
        [outcome] = await outcomes_of(
            client, urls(1), template=0, voice_url="http://v.example/a.mp3", journal=journal
        )
        assert isinstance(outcome.error, AmbiguousSubmitError)
    assert len(stub.submits) == 1


async def test_an_ambiguous_photo_that_was_fetched_is_never_submitted_again(
    stub: StubService, journal: Path
) -> None:
    async with serving(lambda _: web.Response()), LocalImageHost() as host:

        async def fetch_and_drop(request: web.Request) -> web.Response:
            url = request.query["imageUrl"]
            host._publications[url.rpartition("/")[2]].fetches += 1
            return await drop(request)

        stub.submit_script = [fetch_and_drop]
        async with quick_client(stub.base_url, host=host) as client:
            [outcome] = await outcomes_of(client, [png(64, 64)], journal=journal)
            assert isinstance(outcome.error, AmbiguousSubmitError)
            assert outcome.error.evidence is Evidence.FETCHED
            [again] = await outcomes_of(
                client, [png(64, 64)], journal=journal, resubmit_ambiguous=1000
            )
            assert isinstance(again.error, AmbiguousSubmitError)
            assert again.error.evidence is Evidence.FETCHED
    assert len(stub.submits) == 1


async def test_a_submit_waiting_for_its_retry_is_planned_in_the_journal(
    stub: StubService, journal: Path
) -> None:
    refused = asyncio.Event()

    def busy(_: web.Request) -> web.Response:
        refused.set()
        return envelope(code=429, status=429, Retry_After="30")

    stub.submit_script = [busy]
    async with quick_client(stub.base_url) as client:
        consumer = asyncio.create_task(outcomes_of(client, urls(1), journal=journal))
        await refused.wait()
        while not (await read_all(journal))[1][0].error:
            await asyncio.sleep(0.001)
        consumer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consumer
        assert (await read_all(journal))[0].counts == {State.PLANNED: 1}
    async with quick_client(stub.base_url) as client:  # the first one still pauses
        [outcome] = await outcomes_of(client, urls(1), journal=journal)
    assert outcome.ok
