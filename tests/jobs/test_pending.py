"""Jobs that may have been paid for outlive their callers."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from photoanimer_async import (
    AmbiguousSubmitError,
    Animation,
    InvalidRequestError,
    PhotoAnimerClient,
    PhotoAnimerError,
    ProgressEvent,
    State,
    TooManyPendingError,
    WaitTimeoutError,
)

from ..support.batches import PHOTO, VIDEO, SlowCleanUpHost, outcomes_of, urls
from ..support.pictures import png
from ..support.stub_service import StubService, envelope, quick_client, serving, task

FIRST = 471367831765062


@pytest.fixture
async def slow(stub: StubService) -> AsyncIterator[asyncio.Event]:
    """Submits are answered, and tasks end, once this is set."""
    go_on = asyncio.Event()

    async def accept(request: web.Request) -> web.StreamResponse:
        await go_on.wait()
        return stub._accept(request)

    async with serving(lambda _: web.Response(body=VIDEO, content_type="video/mp4")) as origin:

        def info(request: web.Request) -> web.Response:
            number = int(request.query["taskId"])
            if not go_on.is_set():
                return envelope(task(number, 0))
            return envelope(task(number, resultUrl=f"{origin}/{number}.mp4"))

        stub.submit_script = [accept] * 10
        stub.finished = info
        yield go_on
        go_on.set()


async def cancelled(task: "asyncio.Task[object]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def until_submitted(stub: StubService, count: int = 1) -> None:
    while len(stub.submits) < count:
        await asyncio.sleep(0.001)


async def test_an_open_submit_is_answered_after_its_caller_was_cancelled(
    client: PhotoAnimerClient, stub: StubService, slow: asyncio.Event
) -> None:
    submitting = asyncio.create_task(client.submit(PHOTO))
    await until_submitted(stub)
    await cancelled(submitting)
    assert client.pending == {}
    slow.set()
    while not client.pending:
        await asyncio.sleep(0.001)
    assert {task_id: request.photo for task_id, request in client.pending.items()} == {FIRST: PHOTO}
    assert (await client.attach(FIRST)).info.ended
    assert len(stub.submits) == 1


async def test_a_job_runs_to_its_saved_result_without_its_caller(
    client: PhotoAnimerClient, stub: StubService, slow: asyncio.Event, tmp_path: Path
) -> None:
    events: list[ProgressEvent] = []
    animating = asyncio.create_task(
        client.animate(PHOTO, save_to=tmp_path, on_progress=events.append)
    )
    await until_submitted(stub)
    await cancelled(animating)
    slow.set()
    while not client.pending:
        await asyncio.sleep(0.001)
    [task_id] = client.pending
    animation = await client.attach(task_id)
    assert animation.path == tmp_path / "a.mp4"
    assert animation.path.read_bytes() == VIDEO
    assert client.pending == {}
    assert [(event.state, event.task_id) for event in events][-1] == (State.SAVED, FIRST)
    assert len(stub.submits) == 1


async def test_attach_returns_to_a_task_by_its_id(
    client: PhotoAnimerClient, stub: StubService, slow: asyncio.Event, tmp_path: Path
) -> None:
    slow.set()
    task_id = await client.submit(PHOTO)
    slow.clear()
    for wait in (client.wait(task_id), client.attach(task_id)):
        waiting = asyncio.create_task(wait)
        await asyncio.sleep(0.01)
        await cancelled(waiting)
    assert client.pending == {}
    with pytest.raises(WaitTimeoutError):
        await client.attach(task_id, timeout=0.01)
    slow.set()
    events: list[ProgressEvent] = []
    animation = await client.attach(task_id, save_to=tmp_path, on_progress=events.append)
    assert animation.path == tmp_path / f"{task_id}.mp4"
    assert [event.state for event in events] == [State.SUBMITTED, State.FINISHED, State.SAVED]
    assert len(stub.submits) == 1


async def test_attach_has_a_timeout_and_may_be_cancelled(
    client: PhotoAnimerClient, stub: StubService, slow: asyncio.Event, tmp_path: Path
) -> None:
    stub.submit_script = []
    animating = asyncio.create_task(client.animate(PHOTO))
    while not stub.polls:
        await asyncio.sleep(0.001)
    await cancelled(animating)
    with pytest.raises(WaitTimeoutError, match=str(FIRST)):
        await client.attach(FIRST, timeout=0.01)
    attaching = asyncio.create_task(client.attach(FIRST))
    await asyncio.sleep(0)
    await cancelled(attaching)
    assert list(client.pending) == [FIRST]
    slow.set()
    saved = await client.attach(str(FIRST), save_to=tmp_path)
    assert saved.path is not None
    assert isinstance(await client.attach(FIRST), Animation)


async def test_a_caller_cancelled_before_the_submit_pays_nothing(stub: StubService) -> None:
    async with quick_client(stub.base_url, submit_rate=0.001) as client:
        await client.submit(PHOTO)
        for work in (client.submit(PHOTO), client.animate(PHOTO)):
            waiting = asyncio.create_task(work)
            await asyncio.sleep(0.01)
            await cancelled(waiting)
        assert client.pending == {}
    assert len(stub.submits) == 1


async def test_an_answer_lost_after_the_caller_was_cancelled_is_logged(
    client: PhotoAnimerClient, stub: StubService, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = asyncio.Event()

    async def lose(request: web.Request) -> web.StreamResponse:
        await go_on.wait()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    stub.submit_script = [lose, lose]
    works = [asyncio.create_task(w) for w in (client.animate(PHOTO), client.submit(PHOTO))]
    await until_submitted(stub, 2)
    for work in works:
        await cancelled(work)
    go_on.set()
    while len(caplog.records) < 2:
        await asyncio.sleep(0.001)
    assert all("it is not known whether it was accepted" in r.getMessage() for r in caplog.records)
    assert client.pending == {}
    assert len(stub.submits) == 2


async def test_closing_waits_for_an_open_submit_and_logs_its_task(
    stub: StubService, slow: asyncio.Event, caplog: pytest.LogCaptureFixture
) -> None:
    stub.finished = lambda _: envelope(task(FIRST, 0))
    async with quick_client(stub.base_url) as client:
        animating = asyncio.create_task(client.animate(PHOTO))
        await until_submitted(stub)
        await cancelled(animating)
        asyncio.get_running_loop().call_later(0.02, slow.set)
    assert list(client.pending) == [FIRST]
    assert f"task {FIRST}" in caplog.text


async def test_closing_raises_in_waiting_callers(stub: StubService) -> None:
    stub.finished = lambda _: envelope(task(FIRST, 0))
    async with quick_client(stub.base_url) as client:
        animating = asyncio.create_task(client.animate(PHOTO))
        while not stub.polls:
            await asyncio.sleep(0.001)
    with pytest.raises(PhotoAnimerError, match=f"task {FIRST}"):
        await animating


async def test_closing_ends_all_jobs_however_often_it_is_cancelled(stub: StubService) -> None:
    host = SlowCleanUpHost()
    stub.poll_script[str(FIRST)] = [lambda _: envelope(task(FIRST, 0))] * 10_000
    client = quick_client(stub.base_url, host=host)
    await client.__aenter__()
    animating = asyncio.create_task(client.animate(png(64, 64)))
    await until_submitted(stub)
    closing = asyncio.create_task(client.__aexit__(None, None, None))
    await host.is_cleaning_up.wait()
    for _ in range(3):
        closing.cancel()
        await asyncio.sleep(0.01)
    was_abandoned = closing.done()
    host.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert not was_abandoned
    assert host.is_clean
    with pytest.raises(PhotoAnimerError) as caught:
        await animating
    assert caught.value.task_id == FIRST


async def test_closing_sends_no_further_submit(stub: StubService) -> None:
    async with quick_client(stub.base_url, submit_rate=0.001) as client:
        await client.submit(PHOTO)
        waiting = asyncio.create_task(client.submit(PHOTO))
        await asyncio.sleep(0.01)
    with pytest.raises(PhotoAnimerError, match="closed") as caught:
        await waiting
    assert not isinstance(caught.value, AmbiguousSubmitError)
    assert len(stub.submits) == 1


async def test_more_than_max_pending_calls_raise(stub: StubService, slow: asyncio.Event) -> None:
    async with quick_client(stub.base_url, max_pending=2) as client:
        works = [asyncio.create_task(w) for w in (client.animate(PHOTO), client.submit(PHOTO))]
        await until_submitted(stub, 2)
        for refused in (client.animate(PHOTO), client.submit(PHOTO)):
            with pytest.raises(TooManyPendingError, match="max_pending") as caught:
                await refused
            assert caught.value.limit == 2
        # One that its caller has left is still under way.
        await cancelled(works[0])
        with pytest.raises(TooManyPendingError):
            await client.submit(PHOTO)
        slow.set()
        await works[1]
        await client.submit(PHOTO)
    assert len(stub.submits) == 3
    with pytest.raises(InvalidRequestError, match="max_pending"):
        quick_client(stub.base_url, max_pending=0)


async def test_detached_jobs_are_kept_within_a_bound(
    client: PhotoAnimerClient, stub: StubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("photoanimer_async.jobs.unclaimed._KEPT", 2)
    gates = []
    for count in range(1, 4):
        go_on = asyncio.Event()
        gates.append(go_on)

        async def accept(request: web.Request, go_on: asyncio.Event = go_on) -> web.StreamResponse:
            await go_on.wait()
            return stub._accept(request)

        stub.submit_script = [accept]
        submitting = asyncio.create_task(client.submit(PHOTO))
        await until_submitted(stub, count)
        await cancelled(submitting)
        go_on.set()
        while len(client.pending) < min(count, 2):
            await asyncio.sleep(0.001)
    while FIRST + 2 not in client.pending:
        await asyncio.sleep(0.001)
    assert list(client.pending) == [FIRST + 1, FIRST + 2]


@pytest.mark.slow
async def test_five_hundred_callers_some_of_which_hang_up(stub: StubService) -> None:
    reported: list[object] = []
    returned: list[object] = []

    async def animate(request: web.Request) -> web.Response:
        animation = await client.animate(
            f"http://127.0.0.1:9/{request.query['n']}.jpg",
            on_progress=lambda event: reported.append(event.task_id),
        )
        returned.append(animation.task_id)
        return web.json_response({"task": animation.task_id, "video": animation.info.result_url})

    app = web.Application()
    app.router.add_get("/", animate)
    # Handlers of visitors who hang up are cancelled.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01, handler_cancellation=True)
    answers: list[str] = []

    async def visit(session: aiohttp.ClientSession, url: str, number: int) -> None:
        async with session.get(url, params={"n": number}) as response:
            assert response.status == 200
            answers.append((await response.json())["video"])

    async with quick_client(stub.base_url) as client:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            visits = [asyncio.create_task(visit(session, url, number)) for number in range(500)]
            await until_submitted(stub, 50)
            hung_up = visits[::10]
            for one in hung_up:
                one.cancel()
            await asyncio.wait(visits)
        while client._pending._running:
            await asyncio.sleep(0.001)
        attached = [(await client.attach(task_id)).task_id for task_id in client.pending]
        await runner.cleanup()
    stayed = [one for one in visits if not one.cancelled()]
    for one in stayed:
        one.result()
    assert len(stayed) >= 450
    assert len(set(answers)) == len(stayed)
    accepted = list(range(FIRST, stub.next_id + 1))
    assert sorted([*returned, *attached]) == accepted  # type: ignore[type-var] # numbers, here
    assert set(accepted) <= set(reported)
    photos = [request.query["imageUrl"] for request in stub.submits]
    assert len(photos) == len(set(photos))


# --- nothing is sent unless the client is open, not closing, and on the loop that opened it ---


async def test_without_async_with_nothing_is_sent(stub: StubService) -> None:
    async with aiohttp.ClientSession() as session:
        client = quick_client(stub.base_url, session=session)
        for call in (client.submit(PHOTO), client.animate(PHOTO), outcomes_of(client, [PHOTO])):
            with pytest.raises(RuntimeError, match="async with"):
                await call
    assert stub.requests == []


async def test_after_closing_nothing_is_sent(stub: StubService) -> None:
    async with quick_client(stub.base_url) as client:
        pass
    with pytest.raises(RuntimeError, match="async with"):
        await client.animate(PHOTO)
    assert stub.requests == []


def test_another_event_loop_is_refused_at_once() -> None:
    client = quick_client("http://127.0.0.1:9/api/v1")

    async def use() -> None:
        for call in (client.wait(1), client.submit(PHOTO), client.get_balance()):
            with pytest.raises(RuntimeError, match="another event loop"):
                await call

    first = asyncio.new_event_loop()
    try:
        first.run_until_complete(client.__aenter__())
        asyncio.run(use())
        first.run_until_complete(client.__aexit__(None, None, None))
    finally:
        first.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_a_forked_process_is_refused(stub: StubService) -> None:
    async with quick_client(stub.base_url) as client:
        child = os.fork()
        if not child:
            try:
                client._state.require_open()
            except RuntimeError as error:
                os._exit(0 if "another process" in str(error) else 2)
            os._exit(1)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert status == 0


def hold_submit(stub: StubService) -> tuple[asyncio.Event, asyncio.Event]:
    """Hold the answer to the next submit; return when it arrives, and what releases it."""
    arrived, answer = asyncio.Event(), asyncio.Event()

    async def hold(request: web.Request) -> web.StreamResponse:
        arrived.set()
        await answer.wait()
        return stub._accept(request)

    stub.submit_script = [hold]
    return arrived, answer


async def test_a_call_that_begins_while_the_client_closes_sends_nothing(stub: StubService) -> None:
    submitted, answer = hold_submit(stub)
    client = quick_client(stub.base_url)
    await client.__aenter__()
    submitting = asyncio.create_task(client.submit(PHOTO))
    await submitted.wait()
    closing = asyncio.create_task(client.__aexit__(None, None, None))
    await asyncio.sleep(0)
    for call in (client.submit(PHOTO), client.animate(PHOTO), outcomes_of(client, urls(3))):
        with pytest.raises(PhotoAnimerError, match="being closed"):
            await call
    answer.set()
    await closing
    assert await submitting
    assert len(stub.submits) == 1


async def test_a_submit_unanswered_when_the_client_closes_is_ambiguous(
    stub: StubService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("photoanimer_async.jobs.pending.ANSWER_SECONDS", 0.01)
    submitted, never = asyncio.Event(), asyncio.Event()

    async def hold(_: web.Request) -> web.StreamResponse:
        submitted.set()
        await never.wait()
        return web.Response()

    stub.submit_script = [hold, hold]
    with caplog.at_level(logging.WARNING):
        async with quick_client(stub.base_url) as client:
            calls = [
                asyncio.create_task(client.submit(PHOTO)),
                asyncio.create_task(client.animate("http://127.0.0.1:9/b.jpg")),
            ]
            while len(stub.submits) < 2:
                await asyncio.sleep(0.001)
    for call in calls:
        with pytest.raises(AmbiguousSubmitError, match="charged twice"):
            await call
    assert "http://127.0.0.1:9/b.jpg" in caplog.text
    never.set()


async def test_a_client_that_is_closed_twice_at_once_waits_for_an_open_submit(
    stub: StubService,
) -> None:
    arrived, answer = hold_submit(stub)
    client = quick_client(stub.base_url)
    await client.__aenter__()
    submitting = asyncio.create_task(client.submit(PHOTO))
    await arrived.wait()
    closing = [asyncio.create_task(client.__aexit__(None, None, None)) for _ in range(3)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert not any(each.done() for each in closing)
    answer.set()
    await asyncio.gather(*closing)
    assert await submitting == FIRST
