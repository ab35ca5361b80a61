"""Batches with a journal that were stopped, killed or left without money, and continue."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from photoanimer_async import (
    AmbiguousSubmitError,
    AnimationOptions,
    AnimationRequest,
    AuthenticationError,
    BudgetExceededError,
    DownloadError,
    InsufficientCreditsError,
    InvalidPhotoError,
    InvalidRequestError,
    JournalError,
    JournalInUseError,
    NotSubmittedError,
    Outcome,
    PhotoAnimerClient,
    PhotoAnimerError,
    State,
)
from photoanimer_async.jobs.journal.journal_store import JournalStore

from ..support.batches import VIDEO, NeverAnswers, outcomes_of, read_all, urls
from ..support.pictures import png
from ..support.stub_service import Reply, StubService, drop_connection, envelope, quick_client, task


async def test_saved_photos_are_skipped_and_their_outcome_has_the_path(
    client: PhotoAnimerClient, results: StubService, journal: Path, tmp_path: Path
) -> None:
    first = await outcomes_of(client, urls(5), save_to=tmp_path / "out", journal=journal)
    requests = len(results.requests)
    again = await outcomes_of(client, urls(5), save_to=tmp_path / "out", journal=journal)
    assert len(results.requests) == requests
    paths = {o.photo: o.unwrap().path for o in first}
    assert {o.photo: o.unwrap().path for o in again} == paths
    assert {o.photo: o.task_id for o in again} == {o.photo: o.task_id for o in first}
    assert len(set(paths.values())) == 5
    summary, _ = await read_all(journal)
    assert (summary.counts, summary.spent) == ({State.SAVED: 5}, 5 * 7.13)


@pytest.mark.parametrize("lost", ["deleted", "moved", "emptied"])
async def test_a_result_that_is_no_longer_there_is_downloaded_again(
    client: PhotoAnimerClient, results: StubService, journal: Path, tmp_path: Path, lost: str
) -> None:
    out = tmp_path / "out"

    def lose(name: str) -> None:
        match lost:
            case "deleted":
                (out / name).unlink()
            case "moved":
                (out / name).rename(tmp_path / name)
            case _:
                (out / name).write_bytes(b"")

    await outcomes_of(client, urls(5), save_to=out, journal=journal)
    await asyncio.to_thread(lose, "2.mp4")
    again = await outcomes_of(client, urls(5), save_to=out, journal=journal)
    assert all(outcome.unwrap().path for outcome in again)
    assert len(results.polls) == 6
    await asyncio.to_thread(lose, "3.mp4")
    [resumed] = [outcome async for outcome in client.resume(journal)]
    assert resumed.unwrap().path is not None
    assert len(results.submits) == 5
    for outcome in [*again, resumed]:
        path = outcome.unwrap().path
        assert path is not None
        if outcome is resumed or not path.name.startswith("3"):
            assert await asyncio.to_thread(path.read_bytes) == VIDEO
    assert [outcome async for outcome in client.resume(journal)] == []
    summary, _ = await read_all(journal)
    assert (summary.counts, summary.spent) == ({State.SAVED: 5}, 5 * 7.13)


async def test_a_result_that_is_gone_with_its_link_is_reported(
    client: PhotoAnimerClient, results: StubService, journal: Path, tmp_path: Path
) -> None:
    [first] = await outcomes_of(client, urls(1), save_to=tmp_path / "out", journal=journal)
    await asyncio.to_thread((tmp_path / "out" / "0.mp4").unlink)
    results.finished = lambda _: envelope(code=404, msg="no such task")
    for _ in range(2):
        [outcome] = await outcomes_of(client, urls(1), save_to=tmp_path / "out", journal=journal)
        assert isinstance(outcome.error, DownloadError)
        assert "0.mp4: was saved by an earlier run, but is no longer there" in str(outcome.error)
        assert "no such task" in str(outcome.error)
        assert str(first.task_id) in str(outcome.error)
        assert outcome.error.task_id == first.task_id
    assert len(results.submits) == 1


async def test_open_submits_get_their_answers_when_the_batch_is_closed(
    stub: StubService, journal: Path
) -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        arrived.set()
        await go_on.wait()
        return envelope(77)

    stub.submit_script = [slow]
    async with quick_client(stub.base_url, concurrency=1) as client:
        consumer = asyncio.create_task(outcomes_of(client, urls(20), journal=journal))
        await arrived.wait()
        consumer.cancel()
        await asyncio.sleep(0.01)
        assert not consumer.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await consumer
    assert len(stub.submits) == 1
    summary, entries = await read_all(journal)
    assert summary.counts == {State.SUBMITTED: 1, State.PLANNED: 19}
    assert entries[0].task_id == 77


async def test_a_second_cancellation_makes_open_submits_ambiguous(
    stub: StubService, journal: Path
) -> None:
    never = NeverAnswers()
    stub.submit_script = [never]
    async with quick_client(stub.base_url, concurrency=1) as client:
        consumer = asyncio.create_task(outcomes_of(client, urls(3), journal=journal))
        await never.arrived.wait()
        for _ in range(2):
            consumer.cancel()
            await asyncio.sleep(0.01)
        with pytest.raises(asyncio.CancelledError):
            await consumer
        outcomes = await outcomes_of(client, urls(3), journal=journal)
    by_photo = {outcome.photo: outcome for outcome in outcomes}
    lost = by_photo[urls(1)[0]].error
    assert isinstance(lost, AmbiguousSubmitError)
    assert lost.image_url == urls(1)[0]
    assert sum(outcome.ok for outcome in outcomes) == 2
    assert len(stub.submits) == 3


async def test_closing_a_client_ends_all_its_batches_also_if_it_is_cancelled(
    stub: StubService,
) -> None:
    never = NeverAnswers()
    client = quick_client(stub.base_url)
    await client.__aenter__()
    batches = [client.animate_many(urls(2)) for _ in range(2)]
    for batch in batches:
        never.arrived.clear()
        stub.submit_script = [lambda _: envelope(77), never]
        await anext(batch)
        await never.arrived.wait()
    closing = asyncio.create_task(client.__aexit__(None, None, None))
    await asyncio.sleep(0.01)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "photoanimer batch"]
    for batch in batches:
        with pytest.raises(PhotoAnimerError, match="stopped before its end"):
            [_ async for _ in batch]


async def test_submitted_photos_are_not_submitted_again(
    results: StubService, journal: Path, tmp_path: Path
) -> None:
    results.submit_script = [lambda _: envelope(1)]
    results.poll_script["1"] = [lambda _: envelope(task(1, 0))] * 10_000
    async with quick_client(results.base_url) as client:
        [outcome] = await outcomes_of(
            client, urls(1), journal=journal, save_to=tmp_path / "out", timeout=0.02
        )
        assert outcome.task_id == 1
        del results.poll_script["1"]
        [outcome] = [outcome async for outcome in client.resume(journal)]
    assert outcome.unwrap().path == tmp_path / "out/0.mp4"
    assert len(results.submits) == 1


async def test_an_interrupted_download_is_repeated_and_its_part_file_deleted(
    client: PhotoAnimerClient, results: StubService, journal: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (original,) = await outcomes_of(client, urls(1), journal=journal, save_to=out)

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


async def test_content_is_resumed_by_the_same_batch_but_not_by_resume(
    client: PhotoAnimerClient, stub: StubService, journal: Path
) -> None:
    photos = [png(64, 64), png(65, 64)]
    stub.submit_script = [lambda _: envelope(code=4001)]
    with pytest.raises(InsufficientCreditsError):
        await outcomes_of(client, photos, journal=journal, in_flight=1)
    outcomes = [outcome async for outcome in client.resume(journal)]
    assert all(isinstance(outcome.error, InvalidPhotoError) for outcome in outcomes)
    assert "run the same batch again" in str(outcomes[0].error)


async def test_a_journal_serves_one_batch_at_a_time(
    client: PhotoAnimerClient, stub: StubService, journal: Path
) -> None:
    first = client.animate_many(urls(3), journal=journal, in_flight=1)
    await anext(first)
    with pytest.raises(JournalInUseError):
        await outcomes_of(client, urls(3), journal=journal)
    await first.aclose()
    assert len(await outcomes_of(client, urls(3), journal=journal)) == 3


async def test_a_journal_that_cannot_be_written_stops_submits(
    client: PhotoAnimerClient, stub: StubService, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise JournalError("no space is left on the disk")

    monkeypatch.setattr(JournalStore, "record_all", refuse)
    with pytest.raises(JournalError, match="no space"):
        await outcomes_of(client, (url for url in urls(1000)), journal=journal, in_flight=2)
    assert stub.submits == []


async def test_without_credits_submits_stop_polls_continue_and_a_rerun_finishes(
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
        assert all(outcome.ok for outcome in await outcomes_of(client, urls(30), journal=journal))
    counts = [submit.query["imageUrl"] for submit in stub.submits]
    assert counts.count(urls(1)[0]) == 1


async def test_a_refused_key_leaves_photos_planned(
    client: PhotoAnimerClient, stub: StubService, journal: Path
) -> None:
    stub.submit_script = [lambda _: envelope(code=4003)]
    with pytest.raises(AuthenticationError):
        await outcomes_of(client, urls(20), journal=journal, in_flight=1)
    assert len(stub.submits) == 1
    outcomes = await outcomes_of(client, urls(20), journal=journal)
    assert all(outcome.ok for outcome in outcomes)


async def test_max_seconds_counts_open_submits(
    client: PhotoAnimerClient, stub: StubService
) -> None:
    outcomes: list[Outcome] = []
    with pytest.raises(BudgetExceededError) as caught:
        async for outcome in client.animate_many(urls(100), template=2, max_seconds=2.13 * 10):
            outcomes.append(outcome)  # noqa: PERF401 - what came before the error counts
    assert len(stub.submits) == 10
    assert sum(outcome.ok for outcome in outcomes) == 10
    assert (round(caught.value.used, 6), caught.value.cost) == (21.3, 2.13)


async def test_photos_wait_for_what_refused_submits_give_back(
    stub: StubService, client: PhotoAnimerClient
) -> None:
    """Ten bad photos under way hold the whole budget; ten good ones are behind them."""
    all_there = asyncio.Event()

    async def refuse(_: web.Request) -> web.Response:
        if len(stub.submits) == 10:
            all_there.set()
        await all_there.wait()
        return envelope(code=40001, msg="no face")

    stub.submit_script = [refuse] * 10
    outcomes = await outcomes_of(client, urls(20), template=2, max_seconds=2.13 * 10)
    assert [outcome.ok for outcome in sorted(outcomes, key=lambda o: o.index)] == (
        [False] * 10 + [True] * 10
    )
    assert len(stub.submits) == 20


async def test_photos_with_a_reservation_are_sent_before_one_without_ends_the_batch(
    stub: StubService,
) -> None:
    photos = [AnimationRequest(url, AnimationOptions(template=2)) for url in urls(9)]
    photos.append(AnimationRequest("http://127.0.0.1:9/dear.jpg", AnimationOptions(template=1)))
    outcomes: list[Outcome] = []
    async with quick_client(stub.base_url, concurrency=1, submit_rate=200) as client:
        with pytest.raises(BudgetExceededError):
            async for outcome in client.animate_many(photos, max_seconds=2.13 * 10, in_flight=10):
                outcomes.append(outcome)  # noqa: PERF401 - kept when the batch raises
    assert sum(outcome.ok for outcome in outcomes) == 9
    assert len(stub.submits) == 9


async def test_max_seconds_counts_earlier_runs_of_the_journal(
    client: PhotoAnimerClient, stub: StubService, journal: Path
) -> None:
    stub.submit_script = [drop_connection]
    await outcomes_of(client, urls(2), journal=journal, in_flight=1)
    with pytest.raises(BudgetExceededError):
        await outcomes_of(client, urls(5), journal=journal, max_seconds=3 * 7.13)
    assert len(stub.submits) == 3


async def test_a_submit_whose_answer_is_lost_counts_as_spent(
    client: PhotoAnimerClient, stub: StubService
) -> None:
    stub.submit_script = [drop_connection]
    outcomes: list[Outcome] = []
    with pytest.raises(BudgetExceededError):
        async for outcome in client.animate_many(urls(2), max_seconds=7.13, in_flight=1):
            outcomes.append(outcome)  # noqa: PERF401 - kept when the batch raises
    assert isinstance(outcomes[0].error, AmbiguousSubmitError)
    assert not any(outcome.ok for outcome in outcomes)
    assert len(stub.submits) == 1


async def test_a_refused_submit_releases_its_reservation(
    client: PhotoAnimerClient, stub: StubService
) -> None:
    stub.submit_script = [lambda _: envelope(code=9010), lambda _: envelope(code=503, status=503)]
    outcomes = await outcomes_of(client, urls(2), max_seconds=7.13, in_flight=1)
    assert [outcome.ok for outcome in outcomes] == [False, True]


@pytest.mark.parametrize("option", ["max_seconds", "resubmit_ambiguous"])
async def test_a_negative_limit_raises_at_once(client: PhotoAnimerClient, option: str) -> None:
    options: dict[str, Any] = {option: -1.0}
    with pytest.raises(InvalidRequestError, match="limit"):
        client.animate_many([], **options)


async def test_max_seconds_needs_the_length_of_a_voice(
    client: PhotoAnimerClient, stub: StubService
) -> None:
    [outcome] = await outcomes_of(
        client, urls(1), template=0, voice_url="http://v.example/a.mp3", max_seconds=100
    )
    assert "voice_seconds" in str(outcome.error)
    assert stub.submits == []


@asynccontextmanager
async def slow_photos(stub: StubService, replies: list[Reply]) -> AsyncIterator[PhotoAnimerClient]:
    stub.submit_script = replies
    async with quick_client(stub.base_url) as client:
        yield client


async def test_photos_not_submitted_when_the_batch_is_closed_have_an_error(
    stub: StubService,
) -> None:
    async with slow_photos(stub, [lambda _: envelope(code=4001)] * 3) as client:
        outcomes = []
        with pytest.raises(InsufficientCreditsError):
            async for outcome in client.animate_many([AnimationRequest(u) for u in urls(3)]):
                outcomes.append(outcome)  # noqa: PERF401 - what came before the error counts
    assert len(outcomes) == 3
    kinds = {type(outcome.error) for outcome in outcomes}
    assert kinds <= {InsufficientCreditsError, NotSubmittedError}


async def test_no_text_of_the_service_stops_a_batch_or_its_journal(
    results: StubService, journal: Path, tmp_path: Path
) -> None:
    """Every tenth task fails with half a surrogate pair, every tenth submit is refused with one."""
    accept, finished = results._accept, results.finished
    assert finished is not None
    results.submit_script = [
        (lambda _: envelope(code=9010, msg="no \ud83d\x00\x1b[2J")) if number % 10 == 0 else accept
        for number in range(60)
    ]

    def ended(request: web.Request) -> web.StreamResponse:
        number = int(request.query["taskId"])
        if number % 10 == 0:
            return envelope(task(number, 2, failReason="no face \ud83d\x00\x1b[2J" + 9000 * "x"))
        response = finished(request)
        assert isinstance(response, web.StreamResponse)
        return response

    results.finished = ended
    for _ in range(2):
        async with quick_client(results.base_url) as client:
            outcomes = await outcomes_of(client, urls(60), save_to=tmp_path, journal=journal)
        assert len(results.submits) == 60
        assert len(outcomes) == 60
        assert all(str(outcome.error).isprintable() for outcome in outcomes)
        summary, entries = await read_all(journal)
        assert set(summary.counts) == {State.SAVED, State.FAILED}
        assert summary.counts[State.SAVED] == sum(outcome.ok for outcome in outcomes) >= 48
        assert all((entry.error or "").isprintable() for entry in entries)


async def test_photos_and_names_that_are_no_text_fail_alone(
    results: StubService, journal: Path, tmp_path: Path
) -> None:
    photos = [
        *urls(5),
        "http://127.0.0.1:9/\ud800.jpg",
        "\ud800.jpg",
        "a\0b.jpg",
        AnimationRequest("http://127.0.0.1:9/named.jpg", name="\ud800\x1b[2J" + 500 * "x"),
    ]
    async with quick_client(results.base_url) as client:
        outcomes = await outcomes_of(client, photos, save_to=tmp_path / "out", journal=journal)
    outcomes.sort(key=lambda outcome: outcome.index)
    assert [outcome.ok for outcome in outcomes] == [True] * 5 + [False] * 3 + [True]
    assert all(isinstance(outcome.error, InvalidPhotoError) for outcome in outcomes[5:8])
    assert len(results.submits) == 6
    assert (await read_all(journal))[0].counts == {State.SAVED: 6}
    path = outcomes[8].unwrap().path
    assert path is not None
    assert path.name.startswith("__[2Jxxx")


@pytest.mark.parametrize("folder", ["out\ud800", "out\0"])
async def test_a_folder_that_cannot_be_is_refused_before_anything_is_sent(
    client: PhotoAnimerClient, stub: StubService, folder: str
) -> None:
    with pytest.raises(InvalidRequestError, match="save_to"):
        client.animate_many(urls(1), save_to=folder)
    with pytest.raises(InvalidRequestError, match="save_to"):
        await client.animate(urls(1)[0], save_to=folder)
    assert stub.requests == []
