"""Every error of a call on a task names the task, in its attribute and in its text."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from photoanimer_async import (
    AuthenticationError,
    InvalidRequestError,
    JournalError,
    NotSentError,
    PhotoAnimerClient,
    PhotoAnimerError,
    PollScheduler,
    ProgressEvent,
    TaskInfo,
    TaskStatus,
    WaitTimeoutError,
)
from photoanimer_async.api.task_errors import with_task
from photoanimer_async.jobs.journal.journal_store import JournalStore

from ..support.batches import NeverAnswers, outcomes_of, urls
from ..support.stub_service import (
    QUICK_POLL,
    Reply,
    StubService,
    drop_connection,
    envelope,
    quick_client,
    task,
)

TASK = 5
"""A short id: it must not be taken for a part of another number in the text."""

Call = Callable[[PhotoAnimerClient, Path], Awaitable[object]]

CALLS: dict[str, Call] = {
    "get_task_info": lambda client, _: client.get_task_info(TASK),
    "wait": lambda client, _: client.wait(TASK),
    "attach": lambda client, _: client.attach(TASK),
    "attach by text": lambda client, _: client.attach(str(TASK)),
    "attach and save": lambda client, out: client.attach(TASK, save_to=out),
}
FAILURES: dict[str, Reply] = {
    "refused": lambda _: envelope(code=4005, msg="no such task"),
    "key": lambda _: web.Response(status=401),
    "unavailable": lambda _: envelope(code=5005, status=503),
    "no envelope": lambda _: web.Response(text="<html>502</html>", status=502),
    "another task": lambda _: envelope(task(55)),
    "lost": drop_connection,
}


async def require_named(call: Awaitable[object], task_id: int = TASK) -> PhotoAnimerError:
    with pytest.raises(PhotoAnimerError) as caught:
        await call
    assert str(caught.value.task_id) == str(task_id)
    assert f"task {task_id} " in f"{caught.value} "
    return caught.value


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_a_failed_poll(
    client: PhotoAnimerClient, stub: StubService, tmp_path: Path, call: Call, failure: Reply
) -> None:
    stub.finished = failure
    await require_named(call(client, tmp_path / "out"))


async def test_an_answer_that_does_not_come(stub: StubService) -> None:
    stub.finished = NeverAnswers()
    async with quick_client(stub.base_url, timeout=0.01) as client:
        await require_named(client.get_task_info(TASK))


async def test_a_service_that_cannot_be_reached() -> None:
    async with quick_client("http://127.0.0.1:9/api/v1") as client:
        error = await require_named(client.get_task_info(TASK))
    assert isinstance(error, NotSentError)
    assert error.__cause__ is not None


async def test_a_client_that_is_being_closed(stub: StubService, tmp_path: Path) -> None:
    hold = NeverAnswers()
    stub.submit_script = [hold]
    info = TaskInfo(TASK, TaskStatus.FINISHED, result_url="http://127.0.0.1:9/5.mp4")
    client = quick_client(stub.base_url)
    await client.__aenter__()
    submitting = asyncio.create_task(client.submit(urls(1)[0]))
    await hold.arrived.wait()
    closing = asyncio.create_task(client.__aexit__(None, None, None))
    await asyncio.sleep(0)
    calls = [call(client, tmp_path) for call in CALLS.values()]
    for call in (*calls, client.download(info, tmp_path / "5.mp4")):
        assert "being closed" in str(await require_named(call))
    closing.cancel()
    await asyncio.wait([closing, submitting])
    assert isinstance(submitting.exception(), PhotoAnimerError)


async def test_a_target_that_is_not_allowed(client: PhotoAnimerClient, tmp_path: Path) -> None:
    await require_named(client.attach(TASK, save_to=tmp_path / "5.gif"))
    await require_named(client.attach(TASK, "avi"))
    info = TaskInfo(TASK, TaskStatus.FINISHED, result_url="http://127.0.0.1:9/5.mp4")
    await require_named(client.download(info, tmp_path / "no" / "folder" / "5.mp4"))
    await require_named(client.download(info, tmp_path / "5.mp4", output_format="avi"))


async def test_many_tasks_each_have_an_error_of_their_own(stub: StubService) -> None:
    shared = NotSentError("the limiter is down")
    shared.is_permanent = True

    class Limiter:
        async def acquire(self) -> None:
            raise shared

    async with quick_client(stub.base_url, poll_rate=Limiter()) as client:
        ended = await client.wait_all([5, 6, 7])
    assert [error.task_id for error in ended.values() if isinstance(error, PhotoAnimerError)] == [
        *(5, 6, 7)
    ]


async def test_a_scheduler_that_is_used_alone() -> None:
    shared = AuthenticationError(operation="getTaskInfo", code=1, message="", http_status=200)

    async def refuse(_: object) -> TaskInfo:
        raise shared

    async with PollScheduler(refuse, policy=QUICK_POLL) as scheduler:
        for task_id in (5, 6):
            await require_named(scheduler.wait(task_id), task_id)


async def test_records_that_fail_together_do_not_share_an_error(
    stub: StubService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_all = JournalStore.record_all

    def no_space(store: JournalStore, records: list[object]) -> None:
        if any(getattr(record, "event", None) == "accept" for record in records):
            raise JournalError("no space is left")
        record_all(store, records)  # type: ignore[arg-type] # the real ones

    monkeypatch.setattr(JournalStore, "record_all", no_space)
    outcomes = []
    async with quick_client(stub.base_url) as client:
        with pytest.raises(JournalError) as caught:
            async for outcome in client.animate_many(urls(20), journal=tmp_path / "batch.db"):
                outcomes.append(outcome)  # noqa: PERF401 - kept when the error comes
    assert caught.value.task_id is None
    assert len(stub.submits) > 1
    for outcome in outcomes:
        assert outcome.error is not None
        assert outcome.error.task_id == outcome.task_id
        assert (outcome.task_id is None) == ("has been paid for" not in str(outcome.error))


async def test_a_failed_task_that_is_paid_for_again_is_not_named_by_the_next_error(
    stub: StubService, tmp_path: Path
) -> None:
    journal = tmp_path / "batch.db"
    stub.finished = lambda request: envelope(task(request.query["taskId"], 2))
    async with quick_client(stub.base_url) as client:
        await outcomes_of(client, urls(1), journal=journal)
        stub.submit_script = [drop_connection]
        [outcome] = await outcomes_of(client, urls(1), journal=journal, retry_failed=True)
    assert outcome.error is not None
    assert outcome.error.task_id is outcome.task_id is None
    assert "paid for" not in str(outcome.error)


async def test_what_cannot_begin_again_names_the_task_of_the_journal(
    stub: StubService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise InvalidRequestError("the extra is not installed")

    journal, seen = tmp_path / "batch.db", list[ProgressEvent]()
    stub.finished = lambda _: web.Response(status=502)
    async with quick_client(stub.base_url) as client:
        [first] = await outcomes_of(client, urls(1), journal=journal, save_to=tmp_path)
        monkeypatch.setattr("photoanimer_async.jobs.batch_runner.result_store", refuse)
        [outcome] = [o async for o in client.resume(journal, on_progress=seen.append)]
    assert isinstance(outcome.error, InvalidRequestError)
    assert outcome.error.task_id == outcome.task_id == first.task_id == seen[-1].task_id
    assert f"task {first.task_id} " in str(outcome.error)


def test_an_error_of_another_task_is_copied_with_its_cause() -> None:
    error = WaitTimeoutError(5, 3.0, NotSentError("no connection"))
    assert with_task(error, 5) is error
    assert with_task(error, "5") is error
    other = with_task(error, 6)
    assert (error.task_id, other.task_id, other.__cause__) == (5, 6, error.__cause__)
    assert with_task(error, None).task_id is None
