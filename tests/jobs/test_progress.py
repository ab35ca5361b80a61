"""What the progress hook is called with."""

import pytest

from photoanimer_async import (
    NotSentError,
    PhotoAnimerClient,
    ProgressEvent,
    State,
    WaitTimeoutError,
)

from ..support.batches import urls
from ..support.stub_service import StubService, envelope, quick_client, task


async def test_each_state_is_reported_in_order(
    client: PhotoAnimerClient, stub: StubService
) -> None:
    events: list[ProgressEvent] = []
    stub.submit_script = [lambda _: envelope(1), lambda _: envelope(code=9010)]
    async for _ in client.animate_many(urls(2), in_flight=1, on_progress=events.append):
        pass
    first = [(event.state, event.task_id) for event in events if event.index == 0]
    assert first == [
        (State.PLANNED, None),
        (State.SUBMITTING, None),
        (State.SUBMITTED, 1),
        (State.FINISHED, 1),
    ]
    *_, last = events
    assert (last.state, last.task_id) == (State.FAILED, None)
    assert last.error is not None


async def test_a_refused_submit_is_reported_as_planned_again(
    client: PhotoAnimerClient, stub: StubService
) -> None:
    events: list[ProgressEvent] = []
    stub.submit_script = [lambda _: envelope(code=503, status=503)]
    async for _ in client.animate_many(urls(1), on_progress=events.append):
        pass
    attempts = [State.PLANNED, State.SUBMITTING] * 2
    assert [event.state for event in events] == [*attempts, State.SUBMITTED, State.FINISHED]


async def test_an_exception_of_the_hook_costs_no_result(
    client: PhotoAnimerClient, caplog: pytest.LogCaptureFixture
) -> None:
    def faulty(event: ProgressEvent) -> None:
        raise ZeroDivisionError(event.index)

    assert [o.ok async for o in client.animate_many(urls(2), on_progress=faulty)] == [True, True]
    assert "ZeroDivisionError" in caplog.text


async def test_a_hook_that_is_a_coroutine_function_is_named_as_the_mistake(
    client: PhotoAnimerClient, caplog: pytest.LogCaptureFixture
) -> None:
    async def hook(_: ProgressEvent) -> None:
        """Never awaited."""

    await client.animate(urls(1)[0], on_progress=hook)  # type: ignore[arg-type] # the mistake
    assert "the progress hook is a coroutine function, which is never awaited" in caplog.text


async def test_states_after_errors_that_leave_the_job_open(stub: StubService) -> None:
    events: list[ProgressEvent] = []
    stub.submit_script = [lambda _: envelope(1)]
    stub.poll_script["1"] = [lambda _: envelope(task(1, 0))] * 10_000
    async with quick_client(stub.base_url) as client:
        async for outcome in client.animate_many(urls(1), timeout=0.02, on_progress=events.append):
            assert isinstance(outcome.error, WaitTimeoutError)
            assert outcome.task_id == 1
    assert [event.state for event in events][-1] is State.SUBMITTED
    async with quick_client("http://127.0.0.1:1/api/v1") as client:
        async for outcome in client.animate_many(urls(1), on_progress=events.append):
            assert isinstance(outcome.error, NotSentError)
    assert [event.state for event in events][-1] is State.PLANNED
