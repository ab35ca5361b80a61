"""A batch that was stopped, killed or left without money, and goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from photoanimer_async import (
    AmbiguousSubmitError,
    AnimationRequest,
    AuthenticationError,
    BudgetExceededError,
    Evidence,
    InsufficientCreditsError,
    InvalidPhotoError,
    InvalidRequestError,
    JournalError,
    JournalInUseError,
    LocalImageHost,
    NotSubmittedError,
    Outcome,
    PhotoAnimerClient,
    State,
    TaskFailedError,
)
from photoanimer_async.jobs.journal import Entry, Summary, read_journal
from photoanimer_async.jobs.journal.journal_store import JournalStore

from ..support.pictures import png
from ..support.stub_service import Reply, StubService, envelope, quick_client, serving, task

VIDEO = b"\0\0\0\x18ftypmp42" + bytes(5000)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "batch.db"


@pytest.fixture
async def results(stub: StubService) -> AsyncIterator[StubService]:
    """The stub, with results that can be downloaded."""
    async with serving(lambda _: web.Response(body=VIDEO, content_type="video/mp4")) as origin:

        def finished(request: web.Request) -> web.Response:
            number = request.query["taskId"]
            return envelope(task(int(number), resultUrl=f"{origin}/{number}.mp4"))

        stub.finished = finished
        yield stub


def urls(count: int) -> list[str]:
    return [f"http://127.0.0.1:9/{i}.jpg" for i in range(count)]


async def drop(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def run(client: PhotoAnimerClient, photos: Any, **options: Any) -> list[Outcome]:
    return [outcome async for outcome in client.animate_many(photos, **options)]


async def read(journal: Path) -> tuple[Summary, list[Entry]]:
    def entries() -> tuple[Summary, list[Entry]]:
        with read_journal(journal) as store:
            return store.summary(), list(store.entries([*State]))

    return await asyncio.to_thread(entries)


async def test_what_is_saved_is_not_done_again_and_its_outcome_tells_where(
    client: PhotoAnimerClient, results: StubService, journal: Path, tmp_path: Path
) -> None:
    first = await run(client, urls(5), save_to=tmp_path / "out", journal=journal)
    requests = len(results.requests)
    again = await run(client, urls(5), save_to=tmp_path / "out", journal=journal)
    assert len(results.requests) == requests
    paths = {o.photo: o.unwrap().path for o in first}
    assert {o.photo: o.unwrap().path for o in again} == paths
    assert {o.photo: o.task_id for o in again} == {o.photo: o.task_id for o in first}
    assert len(set(paths.values())) == 5
    summary, _ = await read(journal)
    assert (summary.counts, summary.spent) == ({State.SAVED: 5}, 5 * 7.13)


async def test_a_whole_list_is_planned_before_its_first_submit(
    client: PhotoAnimerClient, results: StubService, journal: Path, tmp_path: Path
) -> None:
    outcomes = client.animate_many(urls(40), save_to=tmp_path / "out", journal=journal, in_flight=2)
    async for outcome in outcomes:
        assert outcome.ok
        break
    await outcomes.aclose()
    summary, _ = await read(journal)
    assert summary.photos == 40
    assert summary.counts[State.PLANNED] >= 30
    resumed = [outcome async for outcome in client.resume(journal)]
    assert all(outcome.ok for outcome in resumed)
    assert len(results.submits) == 40
    assert len(list((tmp_path / "out").iterdir())) == 40
    assert (await read(journal))[0].counts == {State.SAVED: 40}


async def test_submits_under_way_get_their_answers_when_a_batch_is_left(
    stub: StubService, journal: Path
) -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        arrived.set()
        await go_on.wait()
        return envelope(77)

    stub.submit_script = [slow]
    async with quick_client(stub.base_url, concurrency=1) as client:
        consumer = asyncio.create_task(run(client, urls(20), journal=journal))
        await arrived.wait()
        consumer.cancel()
        await asyncio.sleep(0.01)
        assert not consumer.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await consumer
    assert len(stub.submits) == 1
    summary, entries = await read(journal)
    assert summary.counts == {State.SUBMITTED: 1, State.PLANNED: 19}
    assert entries[0].task_id == 77


async def test_a_second_cancellation_leaves_at_once_and_what_was_sent_is_ambiguous(
    stub: StubService, journal: Path
) -> None:
    arrived = asyncio.Event()

    async def never(_: web.Request) -> web.Response:
        arrived.set()
        await asyncio.sleep(3600)
        return web.Response()

    stub.submit_script = [never]
    async with quick_client(stub.base_url, concurrency=1) as client:
        consumer = asyncio.create_task(run(client, urls(3), journal=journal))
        await arrived.wait()
        for _ in range(2):
            consumer.cancel()
            await asyncio.sleep(0.01)
        with pytest.raises(asyncio.CancelledError):
            await consumer
        outcomes = await run(client, urls(3), journal=journal)
    by_photo = {outcome.photo: outcome for outcome in outcomes}
    lost = by_photo[urls(1)[0]].error
    assert isinstance(lost, AmbiguousSubmitError)
    assert lost.image_url == urls(1)[0]
    assert sum(outcome.ok for outcome in outcomes) == 2
    assert len(stub.submits) == 3


async def test_submitted_photos_are_waited_for_and_not_submitted_again(
    results: StubService, journal: Path, tmp_path: Path
) -> None:
    results.submit_script = [lambda _: envelope(1)]
    results.poll_script["1"] = [lambda _: envelope(task(1, 0))] * 10_000
    async with quick_client(results.base_url) as client:
        [outcome] = await run(
            client, urls(1), journal=journal, save_to=tmp_path / "out", timeout=0.02
        )
        assert outcome.task_id == 1
        del results.poll_script["1"]
        [outcome] = [outcome async for outcome in client.resume(journal)]
    assert outcome.unwrap().path == tmp_path / "out/0.mp4"
    assert len(results.submits) == 1


async def test_a_finished_result_is_downloaded_again_and_the_killed_run_s_rest_removed(
    client: PhotoAnimerClient, results: StubService, journal: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (original,) = await run(client, urls(1), journal=journal, save_to=out)

    def back_to_finished() -> None:
        store = JournalStore(journal)
        store._connection.execute("UPDATE photos SET state = 'finished', path = NULL")
        store.close()

    # Killed in the middle of the download.
    await asyncio.to_thread(back_to_finished)
    (out / "0.mp4").rename(out / "0.mp4.part")
    (again,) = [outcome async for outcome in client.resume(journal)]
    assert again.unwrap().path == out / "0.mp4"
    assert {path.name for path in out.iterdir()} == {"0.mp4"}
    # Killed after the file had its name, and before that was written down.
    await asyncio.to_thread(back_to_finished)
    (again,) = [outcome async for outcome in client.resume(journal)]
    assert again.unwrap().path == out / "0.mp4"
    assert {path.name for path in out.iterdir()} == {"0.mp4"}
    # Somebody else's file of that name is left alone.
    await asyncio.to_thread(back_to_finished)
    (out / "0.mp4").write_bytes(b"another video")
    (again,) = [outcome async for outcome in client.resume(journal)]
    assert again.unwrap().path == out / "0-2.mp4"
    assert (out / "0.mp4").read_bytes() == b"another video"
    assert again.task_id == original.task_id
    assert len(results.submits) == 1


async def test_what_failed_is_paid_again_only_if_asked_for(
    client: PhotoAnimerClient, stub: StubService, journal: Path
) -> None:
    stub.submit_script = [lambda _: envelope(1), lambda _: envelope(code=9010, msg="Rejected")]
    stub.poll_script["1"] = [lambda _: envelope(task(1, 2, failReason="no face"))]
    await run(client, urls(2), journal=journal, in_flight=1)
    failed, refused = await run(client, urls(2), journal=journal, in_flight=1)
    assert isinstance(failed.error, TaskFailedError)
    assert "no face" in str(failed.error)
    assert "Rejected" in str(refused.error)
    assert len(stub.submits) == 2
    outcomes = await run(client, urls(2), journal=journal, retry_failed=True)
    assert all(outcome.ok for outcome in outcomes)
    assert len(stub.submits) == 4
    assert (await read(journal))[0].spent == 3 * 7.13


async def test_an_ambiguous_photo_is_submitted_again_only_within_a_stated_cost(
    client: PhotoAnimerClient, stub: StubService, journal: Path
) -> None:
    stub.submit_script = [drop, drop]
    lost = await run(client, urls(2), journal=journal)
    assert all(isinstance(outcome.error, AmbiguousSubmitError) for outcome in lost)
    assert (await read(journal))[0].at_risk == 2 * 7.13
    listed = [outcome async for outcome in client.resume(journal)]
    assert all(isinstance(outcome.error, AmbiguousSubmitError) for outcome in listed)
    assert len(stub.submits) == 2
    within = [o async for o in client.resume(journal, resubmit_ambiguous=10, in_flight=1)]
    assert [outcome.ok for outcome in within] == [True, False]
    assert isinstance(within[1].error, AmbiguousSubmitError)
    assert len(stub.submits) == 3


async def test_a_photo_that_was_provably_accepted_is_not_submitted_again(
    stub: StubService, journal: Path
) -> None:
    async with serving(lambda _: web.Response()), LocalImageHost() as host:

        async def fetch_and_drop(request: web.Request) -> web.Response:
            url = request.query["imageUrl"]
            host._publications[url.rpartition("/")[2]].fetches += 1
            return await drop(request)

        stub.submit_script = [fetch_and_drop]
        async with quick_client(stub.base_url, host=host) as client:
            [outcome] = await run(client, [png(64, 64)], journal=journal)
            assert isinstance(outcome.error, AmbiguousSubmitError)
            assert outcome.error.evidence is Evidence.FETCHED
            [again] = await run(client, [png(64, 64)], journal=journal, resubmit_ambiguous=1000)
            assert isinstance(again.error, AmbiguousSubmitError)
            assert again.error.evidence is Evidence.FETCHED
    assert len(stub.submits) == 1


async def test_a_submit_that_waits_to_be_repeated_is_planned_not_in_doubt(
    stub: StubService, journal: Path
) -> None:
    refused = asyncio.Event()

    def busy(_: web.Request) -> web.Response:
        refused.set()
        return envelope(code=429, status=429, Retry_After="30")

    stub.submit_script = [busy]
    async with quick_client(stub.base_url) as client:
        consumer = asyncio.create_task(run(client, urls(1), journal=journal))
        await refused.wait()
        while not (await read(journal))[1][0].error:
            await asyncio.sleep(0.001)
        consumer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consumer
        assert (await read(journal))[0].counts == {State.PLANNED: 1}
        [outcome] = await run(client, urls(1), journal=journal)
    assert outcome.ok


async def test_content_can_be_resumed_with_the_same_batch_but_not_from_the_journal_alone(
    client: PhotoAnimerClient, stub: StubService, journal: Path
) -> None:
    photos = [png(64, 64), png(65, 64)]
    stub.submit_script = [lambda _: envelope(code=4001)]
    with pytest.raises(InsufficientCreditsError):
        await run(client, photos, journal=journal, in_flight=1)
    outcomes = [outcome async for outcome in client.resume(journal)]
    assert all(isinstance(outcome.error, InvalidPhotoError) for outcome in outcomes)
    assert "run the same batch again" in str(outcomes[0].error)


async def test_the_same_photo_twice_is_two_tasks_or_one(
    client: PhotoAnimerClient, stub: StubService, tmp_path: Path
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(png(64, 64) if name != "c.png" else png(65, 64))
    photos = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    assert len(await run(client, [*photos, tmp_path / "no.png"])) == 4
    assert len(stub.submits) == 3
    stub.requests.clear()
    outcomes = await run(client, [*photos, tmp_path / "no.png"], deduplicate=True)
    assert len(stub.submits) == 2
    by_photo = {outcome.photo: outcome for outcome in outcomes}
    assert by_photo[photos[0]].task_id == by_photo[photos[1]].task_id
    assert by_photo[photos[0]].task_id != by_photo[photos[2]].task_id
    assert isinstance(by_photo[tmp_path / "no.png"].error, InvalidPhotoError)


async def test_one_task_for_equal_photos_also_after_a_restart(
    client: PhotoAnimerClient, stub: StubService, journal: Path
) -> None:
    photos = [png(64, 64)] * 5
    for _ in range(2):
        outcomes = await run(client, photos, journal=journal, deduplicate=True)
        assert len(outcomes) == 5
        assert all(outcome.ok for outcome in outcomes)
    assert len(stub.submits) == 1


async def test_a_photo_that_vanishes_after_planning_fails_without_being_paid(
    client: PhotoAnimerClient, stub: StubService, journal: Path, tmp_path: Path
) -> None:
    photos = [tmp_path / "a.png", tmp_path / "b.png"]
    for number, photo in enumerate(photos):
        photo.write_bytes(png(64 + number, 64))

    async def accept_and_remove(_: web.Request) -> web.Response:
        await asyncio.to_thread(photos[1].unlink)
        return envelope(1)

    stub.submit_script = [accept_and_remove]
    first, second = await run(client, photos, journal=journal, in_flight=1)
    assert first.ok
    assert isinstance(second.error, InvalidPhotoError)
    assert "no such file" in str(second.error)
    assert (await read(journal))[0].counts == {State.FINISHED: 1, State.FAILED: 1}


async def test_a_journal_is_one_batch_s_at_a_time(
    client: PhotoAnimerClient, stub: StubService, journal: Path
) -> None:
    first = client.animate_many(urls(3), journal=journal, in_flight=1)
    await anext(first)
    with pytest.raises(JournalInUseError):
        await run(client, urls(3), journal=journal)
    await first.aclose()
    assert len(await run(client, urls(3), journal=journal)) == 3


async def test_a_journal_that_can_not_be_written_stops_submits(
    client: PhotoAnimerClient, stub: StubService, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise JournalError("no space is left on the disk")

    monkeypatch.setattr(JournalStore, "record_all", refuse)
    with pytest.raises(JournalError, match="no space"):
        await run(client, (url for url in urls(1000)), journal=journal, in_flight=2)
    assert stub.submits == []


# --- money ---


async def test_no_credits_stop_submits_but_not_polls_and_a_top_up_goes_on(
    stub: StubService, journal: Path
) -> None:
    submitted = asyncio.Event()

    def accept(_: web.Request) -> web.Response:
        submitted.set()
        return envelope(1)

    async def refuse(_: web.Request) -> web.Response:
        await submitted.wait()
        return envelope(code=4001, msg="Insufficient credits")

    stub.submit_script = [accept, refuse]
    stub.poll_script["1"] = [lambda _: envelope(task(1, 0))] * 20
    outcomes: list[Outcome] = []
    pulled = 0

    def photos() -> Any:
        nonlocal pulled
        for url in urls(1000):
            pulled += 1
            yield url

    async with quick_client(stub.base_url, concurrency=2) as client:
        with pytest.raises(InsufficientCreditsError):
            async for outcome in client.animate_many(photos(), journal=journal, in_flight=4):
                outcomes.append(outcome)  # noqa: PERF401 - what came before the error counts
        assert [outcome.task_id for outcome in outcomes if outcome.ok] == [1]
        assert len(stub.submits) <= 4
        assert pulled < 20
        stub.submit_script = []
        assert all(outcome.ok for outcome in await run(client, urls(30), journal=journal))
    counts = [submit.query["imageUrl"] for submit in stub.submits]
    assert counts.count(urls(1)[0]) == 1


async def test_a_refused_key_leaves_photos_planned(
    client: PhotoAnimerClient, stub: StubService, journal: Path
) -> None:
    stub.submit_script = [lambda _: envelope(code=4003)]
    with pytest.raises(AuthenticationError):
        await run(client, urls(20), journal=journal, in_flight=1)
    assert len(stub.submits) == 1
    outcomes = await run(client, urls(20), journal=journal)
    assert all(outcome.ok for outcome in outcomes)


async def test_a_limit_stops_before_it_is_passed_with_submits_under_way_counted(
    client: PhotoAnimerClient, stub: StubService
) -> None:
    outcomes: list[Outcome] = []
    with pytest.raises(BudgetExceededError) as caught:
        async for outcome in client.animate_many(urls(100), template=2, max_seconds=2.13 * 10):
            outcomes.append(outcome)  # noqa: PERF401 - what came before the error counts
    assert len(stub.submits) == 10
    assert sum(outcome.ok for outcome in outcomes) == 10
    assert (round(caught.value.used, 6), caught.value.cost) == (21.3, 2.13)


async def test_a_limit_counts_what_earlier_runs_of_the_journal_have_spent(
    client: PhotoAnimerClient, stub: StubService, journal: Path
) -> None:
    stub.submit_script = [drop]
    await run(client, urls(2), journal=journal, in_flight=1)
    with pytest.raises(BudgetExceededError):
        await run(client, urls(5), journal=journal, max_seconds=3 * 7.13)
    assert len(stub.submits) == 3


async def test_what_is_refused_gives_its_reservation_back(
    client: PhotoAnimerClient, stub: StubService
) -> None:
    stub.submit_script = [lambda _: envelope(code=9010), lambda _: envelope(code=429, status=429)]
    outcomes = await run(client, urls(2), max_seconds=7.13, in_flight=1)
    assert [outcome.ok for outcome in outcomes] == [False, True]


@pytest.mark.parametrize("option", ["max_seconds", "resubmit_ambiguous"])
async def test_a_limit_below_nothing_is_told_at_once(
    client: PhotoAnimerClient, option: str
) -> None:
    options: dict[str, Any] = {option: -1.0}
    with pytest.raises(InvalidRequestError, match="limit"):
        client.animate_many([], **options)


async def test_with_a_limit_a_sound_must_say_how_long_it_is(
    client: PhotoAnimerClient, stub: StubService
) -> None:
    [outcome] = await run(
        client, urls(1), template=0, voice_url="http://v.example/a.mp3", max_seconds=100
    )
    assert "voice_seconds" in str(outcome.error)
    assert stub.submits == []


@asynccontextmanager
async def unhurried(stub: StubService, replies: list[Reply]) -> AsyncIterator[PhotoAnimerClient]:
    stub.submit_script = replies
    async with quick_client(stub.base_url) as client:
        yield client


async def test_a_batch_that_is_left_tells_so_to_those_that_were_not_submitted(
    stub: StubService,
) -> None:
    async with unhurried(stub, [lambda _: envelope(code=4001)] * 3) as client:
        outcomes = []
        with pytest.raises(InsufficientCreditsError):
            async for outcome in client.animate_many([AnimationRequest(u) for u in urls(3)]):
                outcomes.append(outcome)  # noqa: PERF401 - what came before the error counts
    assert len(outcomes) == 3
    kinds = {type(outcome.error) for outcome in outcomes}
    assert kinds <= {InsufficientCreditsError, NotSubmittedError}
