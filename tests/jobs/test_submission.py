"""When a photo may be submitted once more."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from photoanimer_async import (
    AmbiguousSubmitError,
    AnimationOptions,
    BudgetExceededError,
    DownloadError,
    Evidence,
    HostingError,
    InsufficientCreditsError,
    InvalidRequestError,
    LocalImageHost,
    MachineShortageError,
    NotSubmittedError,
    Outcome,
    Photo,
    PhotoAnimerClient,
    State,
    TaskFailedError,
)
from photoanimer_async.jobs.budget import Budget
from photoanimer_async.jobs.submission import reserve

from ..support.batches import outcomes_of, read_all, urls
from ..support.pictures import png
from ..support.small_disk import MIB, fill, small_disk
from ..support.stub_service import (
    StubService,
    drop_connection,
    envelope,
    quick_client,
    serving,
    task,
)


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
    stub.submit_script = [drop_connection, drop_connection]
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
    stub.submit_script = [drop_connection] * 4
    await outcomes_of(client, urls(4), journal=journal)
    stub.submit_script = [lambda _: envelope(code=9010), lambda _: envelope(code=9010)]
    again = [o async for o in client.resume(journal, resubmit_ambiguous=7.13)]
    assert sum(outcome.ok for outcome in again) == 1
    assert sum(isinstance(o.error, AmbiguousSubmitError) for o in again) == 1
    assert len(stub.submits) == 4 + 3


async def test_consent_to_pay_again_ends_with_its_run(
    client: PhotoAnimerClient, stub: StubService, journal: Path
) -> None:
    stub.submit_script = [drop_connection, lambda _: envelope(1)]
    stub.poll_script["1"] = [lambda _: envelope(task(1, 2, failReason="no face"))]
    await outcomes_of(client, urls(2), journal=journal, in_flight=1)
    _, before = await read_all(journal)
    # Not sent after all: the account is empty.
    stub.submit_script = [lambda _: envelope(code=4001, msg="empty")]
    consent: dict[str, Any] = {"retry_failed": True, "resubmit_ambiguous": 100}
    with pytest.raises(InsufficientCreditsError):
        await outcomes_of(client, urls(2), journal=journal, in_flight=1, **consent)
    stub.submit_script = [lambda _: envelope(code=4001, msg="empty")]
    with pytest.raises(InsufficientCreditsError):
        await outcomes_of(client, urls(2)[1:], journal=journal, **consent)
    assert not stub.submit_script
    _, after = await read_all(journal)
    assert after == before
    sent = len(stub.submits)
    ambiguous, failed = await outcomes_of(client, urls(2), journal=journal, in_flight=1)
    assert isinstance(ambiguous.error, AmbiguousSubmitError)
    assert isinstance(failed.error, TaskFailedError)
    assert len(stub.submits) == sent


async def test_consent_to_pay_again_holds_for_all_tries_of_its_run(
    client: PhotoAnimerClient, stub: StubService, journal: Path
) -> None:
    stub.submit_script = [drop_connection, lambda _: envelope(code=9010, msg="Rejected")]
    await outcomes_of(client, urls(2), journal=journal, in_flight=1)
    stub.submit_script = [lambda _: web.Response(status=429), lambda _: web.Response(status=429)]
    outcomes = await outcomes_of(
        client, urls(2), journal=journal, retry_failed=True, resubmit_ambiguous=100
    )
    assert [str(outcome.error) for outcome in outcomes] == ["None", "None"]
    summary, entries = await read_all(journal)
    assert [entry.state for entry in entries] == [State.FINISHED, State.FINISHED]
    assert (summary.spent, summary.at_risk) == (2 * 7.13, 7.13)


async def test_an_ambiguous_photo_with_a_voice_of_unknown_length_stays_ambiguous(
    client: PhotoAnimerClient, stub: StubService, journal: Path
) -> None:
    stub.submit_script = [drop_connection]
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
            return await drop_connection(request)

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


async def unfinished_batch(
    client: PhotoAnimerClient, photos: Any, **options: Any
) -> tuple[list[Outcome], MachineShortageError]:
    """Run a batch that a shortage stops; return its outcomes, and the error it ends with."""
    outcomes: list[Outcome] = []
    with pytest.raises(MachineShortageError) as caught:
        async for outcome in client.animate_many(photos, **options):
            outcomes.append(outcome)  # noqa: PERF401 - they are kept if it raises
    return outcomes, caught.value


async def test_a_full_disk_costs_no_photo_and_the_same_batch_finishes_later(
    client: PhotoAnimerClient, results: StubService, journal: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        filler = fill(disk, free=MIB // 2)
        outcomes, error = await unfinished_batch(
            client, urls(60), journal=journal, save_to=disk / "out"
        )
        assert "no space is left on the disk: free some disk space, then run" in str(error)
        assert results.submits == []
        for outcome in outcomes:
            assert isinstance(outcome.error, (MachineShortageError, NotSubmittedError))
        _, entries = await read_all(journal)
        assert [entry.state for entry in entries] == [State.PLANNED] * 60
        filler.unlink()
        again = await outcomes_of(client, urls(60), journal=journal, save_to=disk / "out")
        assert [outcome.ok for outcome in again] == [True] * 60
        assert len(results.submits) == 60


async def test_a_disk_that_fills_up_during_the_download_stops_the_batch(
    client: PhotoAnimerClient, results: StubService, journal: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        finished = results.finished
        assert finished is not None
        filler = disk / "filler"

        def fill_before_the_end(request: web.Request) -> web.StreamResponse:
            fill(disk, free=0)
            reply = finished(request)
            assert isinstance(reply, web.StreamResponse)
            return reply

        results.finished = fill_before_the_end
        outcomes, error = await unfinished_batch(
            client, urls(60), journal=journal, save_to=disk / "out", in_flight=1
        )
        assert "no space is left on the disk" in str(error)
        assert len(results.submits) == 1
        assert outcomes[0].error is not None
        assert outcomes[0].error.task_id == results.next_id
        results.finished = finished
        filler.unlink()
        again = await outcomes_of(client, urls(60), journal=journal, save_to=disk / "out")
        assert all(outcome.ok for outcome in again)
        assert len(results.submits) == 60


async def test_a_folder_that_cannot_be_written_to_costs_nothing(
    client: PhotoAnimerClient, results: StubService, tmp_path: Path
) -> None:
    (tmp_path / "out").touch()
    outcomes = await outcomes_of(client, urls(5), save_to=tmp_path / "out")
    assert all(isinstance(outcome.error, DownloadError) for outcome in outcomes)
    assert results.submits == []


@pytest.mark.parametrize("deduplicate", [False, True])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
async def test_a_photo_that_cannot_be_opened_for_a_shortage_stays_planned(
    client: PhotoAnimerClient,
    stub: StubService,
    photo: Path,
    journal: Path,
    *,
    number: int,
    deduplicate: bool,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", refuse_photos(number))
        _, error = await unfinished_batch(client, [photo], journal=journal, deduplicate=deduplicate)
        assert f"grandma.png: cannot be read: {os.strerror(number)}" in str(error)
        with pytest.raises(MachineShortageError):
            await client.animate(photo)
    assert stub.submits == []
    [outcome] = await outcomes_of(client, [photo], journal=journal)
    assert outcome.ok
    assert len(stub.submits) == 1


def refuse_photos(number: int) -> Callable[..., int]:
    """Return an `os.open` that fails for photos."""

    def opened(path: object, *args: int, **options: int) -> int:
        if str(path).endswith(".png"):
            raise OSError(number, os.strerror(number))
        return real_open(path, *args, **options)  # type: ignore[arg-type] # as it was called

    real_open = os.open
    return opened


async def test_an_image_host_without_open_files_stops_the_batch(stub: StubService) -> None:
    class Host:
        @asynccontextmanager
        async def publish(self, photo: Photo) -> AsyncIterator[str]:
            if photo:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            yield ""

    async with quick_client(stub.base_url, host=Host()) as client:
        _, error = await unfinished_batch(client, [png(64, 64)] * 9)
    assert "raise the limit of open files (ulimit -n)" in str(error)
    assert stub.submits == []


async def test_a_submit_is_not_sent_without_files_to_spare(
    stub: StubService, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with quick_client(stub.base_url) as client:
        with monkeypatch.context() as patch:
            patch.setattr(os, "pipe", too_many_open_files)
            _, error = await unfinished_batch(client, urls(9), journal=journal)
        assert "Too many open files: raise the limit of open files (ulimit -n)" in str(error)
        assert stub.submits == []
        assert all(o.ok for o in await outcomes_of(client, urls(9), journal=journal))
    assert len(stub.submits) == 9


def too_many_open_files() -> None:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


# --- reservations wait for one another, and are settled once ---


async def test_a_reservation_waits_for_those_that_may_be_released() -> None:
    budget = Budget(2 * 2.13)
    options = AnimationOptions(template=2)
    first, second = await reserve(budget, options), await reserve(budget, options)
    third = asyncio.create_task(reserve(budget, options))
    fourth = asyncio.create_task(reserve(budget, options))
    await asyncio.sleep(0)
    first.release()
    first.commit()  # too late: it counts once
    await third
    second.commit()
    assert not fourth.done()
    third.result().commit()
    with pytest.raises(BudgetExceededError):
        await fourth
    assert budget.spent == pytest.approx(4.26)
    assert budget.reserved == pytest.approx(0)


async def test_a_cancelled_wait_for_the_budget_reserves_nothing() -> None:
    budget = Budget(2.13)
    open_one = await reserve(budget, AnimationOptions(template=2))
    waiting = asyncio.create_task(reserve(budget, AnimationOptions(template=2)))
    await asyncio.sleep(0)
    waiting.cancel()
    open_one.release()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert budget.reserved == pytest.approx(0)


async def test_a_host_that_gives_no_url_is_not_reported_as_a_fault_of_the_photo(
    stub: StubService, journal: Path, photo: Path
) -> None:
    class Host:
        url: object = None

        @asynccontextmanager
        async def publish(self, _: Photo) -> AsyncIterator[Any]:
            yield self.url

    host = Host()
    async with quick_client(stub.base_url, host=host) as client:
        for host.url, kind in (None, HostingError), ("/grandma.png", InvalidRequestError):
            [outcome] = await outcomes_of(client, [photo], journal=journal)
            assert isinstance(outcome.error, kind)
            assert (await read_all(journal))[0].counts == {State.PLANNED: 1}
        host.url = "https://cdn.example/grandma.png"
        [outcome] = await outcomes_of(client, [photo], journal=journal)
        assert outcome.ok
    assert len(stub.submits) == 1
