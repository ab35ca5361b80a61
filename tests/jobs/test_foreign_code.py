"""Image hosts, hooks, limiters and iterables may raise anything: it fails their own photo."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

import aiohttp
import pytest
from aiohttp import web

from photoanimer_async import (
    AdaptivePolling,
    AmbiguousSubmitError,
    AuthenticationError,
    Evidence,
    Outcome,
    Photo,
    PhotoAnimerClient,
    PhotoAnimerError,
    ProgressEvent,
    State,
)
from photoanimer_async.photos import check
from photoanimer_async.photos.header import PictureHeader
from photoanimer_async.photos.rules import inspect_content

from ..support.batches import outcomes_of, urls
from ..support.pictures import png
from ..support.stub_service import StubService, drop_connection, quick_client


class PanicException(BaseException):
    """As libraries raise it that are written in Rust, such as obstore."""


ERRORS: list[Callable[[], BaseException]] = [
    lambda: ConnectionResetError("the upload broke off"),
    lambda: RuntimeError("a bug"),
    lambda: asyncio.CancelledError("a cancelled upload"),
    TimeoutError,
    lambda: PanicException("a bug in Rust"),
]


def photos(count: int) -> list[Photo]:
    return [png(64 + i, 64) for i in range(count)]


def failed(outcomes: list[Outcome]) -> list[int]:
    return sorted(outcome.index for outcome in outcomes if not outcome.ok)


@pytest.mark.parametrize("make_error", ERRORS)
async def test_a_host_that_raises_fails_its_photo(
    stub: StubService, make_error: Callable[[], BaseException]
) -> None:
    all_photos, error = photos(20), make_error()

    class Host:
        @asynccontextmanager
        async def publish(self, photo: Photo) -> AsyncIterator[str]:
            if photo == all_photos[3]:
                raise error
            yield "https://cdn.example/a.png"

    async with quick_client(stub.base_url, host=Host()) as client:
        outcomes = await outcomes_of(client, all_photos, in_flight=8)
        with pytest.raises(PhotoAnimerError) as caught:
            await client.animate(all_photos[3])
    assert len(outcomes) == 20
    assert failed(outcomes) == [3]
    assert caught.value.__cause__ is error
    assert len(stub.submits) == 19


@pytest.mark.parametrize("deduplicate", [False, True])
async def test_a_library_that_raises_while_a_photo_is_read_fails_its_photo(
    client: PhotoAnimerClient,
    stub: StubService,
    journal: Path,
    monkeypatch: pytest.MonkeyPatch,
    deduplicate: bool,
) -> None:
    all_photos, error = photos(20), PanicException("a bug")

    def inspect(file: BinaryIO, size: int) -> PictureHeader:
        if file.read() == all_photos[3]:
            raise error
        file.seek(0)
        return inspect_content(file, size)

    monkeypatch.setattr(check, "inspect_content", inspect)
    outcomes = await outcomes_of(client, all_photos, journal=journal, deduplicate=deduplicate)
    assert failed(outcomes) == [3]
    assert len(outcomes) == 20
    assert [o.error.__cause__ for o in outcomes if o.error is not None] == [error]
    assert len(stub.submits) == 19


@pytest.mark.parametrize("make_error", ERRORS)
async def test_a_host_whose_clean_up_raises_costs_no_result(
    stub: StubService, make_error: Callable[[], BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    class Host:
        @asynccontextmanager
        async def publish(self, photo: Photo) -> AsyncIterator[str]:
            yield "https://cdn.example/a.png"
            raise make_error()

    async with quick_client(stub.base_url, host=Host()) as client:
        outcomes = await outcomes_of(client, photos(20), in_flight=8)
        await client.animate(photos(1)[0])
    assert failed(outcomes) == []
    assert len(outcomes) == 20
    assert "failed to clean up" in caplog.text


@pytest.mark.parametrize("make_error", ERRORS)
async def test_a_host_that_cannot_count_fetches_hides_no_ambiguous_submit(
    stub: StubService, make_error: Callable[[], BaseException]
) -> None:
    class Host:
        @asynccontextmanager
        async def publish(self, photo: Photo) -> AsyncIterator[str]:
            yield "https://cdn.example/a.png"

        def fetches(self, url: str) -> int:
            raise make_error()

    stub.submit_script = [drop_connection] * 2
    async with quick_client(stub.base_url, host=Host()) as client:
        [outcome] = await outcomes_of(client, photos(1))
        with pytest.raises(AmbiguousSubmitError) as caught:
            await client.animate(photos(1)[0])
    assert isinstance(outcome.error, AmbiguousSubmitError)
    assert caught.value.evidence is outcome.error.evidence is Evidence.NONE
    assert len(stub.submits) == 2


class Limiter:
    """Raises in its fifth call."""

    def __init__(self, make_error: Callable[[], BaseException]) -> None:
        self.make_error = make_error
        self.calls = 0

    async def acquire(self) -> None:
        self.calls += 1
        if self.calls == 5:
            raise self.make_error()


@pytest.mark.parametrize("make_error", ERRORS)
async def test_a_rate_limiter_that_raises_once_fails_one_photo(
    stub: StubService, make_error: Callable[[], BaseException]
) -> None:
    async with quick_client(stub.base_url, submit_rate=Limiter(make_error)) as client:
        outcomes = await outcomes_of(client, urls(20), in_flight=8)
    assert len(outcomes) == 20
    assert len(failed(outcomes)) == 1
    assert len(stub.submits) == 19


@pytest.mark.parametrize("make_error", ERRORS)
async def test_a_poll_limiter_that_raises_once_fails_one_photo(
    stub: StubService, make_error: Callable[[], BaseException]
) -> None:
    async with quick_client(stub.base_url, poll_rate=Limiter(make_error)) as client:
        outcomes = await outcomes_of(client, urls(20), in_flight=8)
    [error] = [outcome.error for outcome in outcomes if outcome.error is not None]
    assert len(outcomes) == len(stub.submits) == 20
    assert f"task {error.task_id} " in str(error)


@pytest.mark.parametrize("make_error", ERRORS)
@pytest.mark.parametrize("method", ["delay", "chance", "task_added", "task_ended", "task_removed"])
async def test_a_poll_policy_that_raises_once_fails_one_photo_at_most(
    stub: StubService, make_error: Callable[[], BaseException], method: str
) -> None:
    raised: list[str] = []

    class Policy(AdaptivePolling):
        pass

    def fail_once(policy: Policy, *args: object) -> object:
        if not raised:
            raised.append(method)
            raise make_error()
        return getattr(AdaptivePolling, method)(policy, *args)

    setattr(Policy, method, fail_once)
    policy = Policy(shortest=0.001, longest=0.002)
    async with quick_client(stub.base_url, poll=policy, poll_rate=2000) as client:
        outcomes = await outcomes_of(client, urls(20), in_flight=20)
    assert len(outcomes) == len(stub.submits) == 20
    assert len(failed(outcomes)) <= 1


@pytest.mark.parametrize("make_error", ERRORS)
async def test_a_hook_that_raises_costs_no_result(
    stub: StubService, make_error: Callable[[], BaseException]
) -> None:
    def hook(event: ProgressEvent) -> None:
        raise make_error()

    async with quick_client(stub.base_url) as client:
        outcomes = await outcomes_of(client, urls(20), on_progress=hook)
    assert len(outcomes) == 20
    assert failed(outcomes) == []


@pytest.mark.parametrize("make_error", ERRORS)
async def test_a_session_that_raises_after_a_submit_leaves_it_ambiguous(
    stub: StubService, make_error: Callable[[], BaseException]
) -> None:
    async def on_answer(_: object, __: object, end: aiohttp.TraceRequestEndParams) -> None:
        if end.url.path.endswith("/submitTaskByUrl"):
            raise make_error()

    hooks = aiohttp.TraceConfig()
    hooks.on_request_end.append(on_answer)
    async with (
        aiohttp.ClientSession(trace_configs=[hooks]) as session,
        quick_client(stub.base_url, session=session) as client,
    ):
        outcomes = await outcomes_of(client, urls(3))
        with pytest.raises(AmbiguousSubmitError):
            await client.animate(urls(1)[0])
        with pytest.raises(AmbiguousSubmitError):
            await client.submit(urls(1)[0])
    assert [type(outcome.error) for outcome in outcomes] == [AmbiguousSubmitError] * 3
    assert len(stub.submits) == 5


@pytest.mark.parametrize("make_error", [asyncio.CancelledError, lambda: PanicException("a bug")])
async def test_an_iterable_that_raises_no_exception_ends_the_pulling_only(
    stub: StubService, make_error: Callable[[], BaseException]
) -> None:
    async def broken() -> AsyncIterator[Photo]:
        for url in urls(3):
            yield url
        raise make_error()

    outcomes = []
    async with quick_client(stub.base_url) as client:
        with pytest.raises(PhotoAnimerError, match="the iterable of photos raised"):
            async for outcome in client.animate_many(broken()):
                outcomes.append(outcome)  # noqa: PERF401 - kept when the error comes
    assert len(outcomes) == 3
    assert failed(outcomes) == []


async def test_a_path_that_is_none_fails_its_photo(
    client: PhotoAnimerClient, stub: StubService
) -> None:
    class BytesPath:
        def __fspath__(self) -> bytes:
            return b"grandma.png"

    outcomes = await outcomes_of(client, [BytesPath(), *urls(3)])
    assert failed(outcomes) == [0]
    assert len(stub.submits) == 3


@pytest.mark.parametrize("resumed", [False, True])
async def test_code_that_cancels_the_task_it_runs_in_fails_its_photo(
    stub: StubService, journal: Path, *, resumed: bool
) -> None:
    cancelled: list[int] = []

    def hook(event: ProgressEvent) -> None:
        task = asyncio.current_task()
        if event.state is State.SUBMITTED and not cancelled and task is not None:
            cancelled.append(event.index)
            task.cancel()
            task.cancel()

    async with quick_client(stub.base_url) as client:
        if resumed:
            stub.submit_script = [lambda _: web.Response(status=401)]
            with pytest.raises(AuthenticationError):
                await outcomes_of(client, urls(4), journal=journal, in_flight=1)
            batch = client.resume(journal, in_flight=1, on_progress=hook)
        else:
            batch = client.animate_many(urls(4), journal=journal, in_flight=1, on_progress=hook)
        outcomes = [outcome async for outcome in batch]
    assert failed(outcomes) == cancelled == [0]
    assert len(outcomes) == 4
    assert outcomes[0].error is not None
    assert f"task {outcomes[0].task_id} " in str(outcomes[0].error)
    assert len(stub.submits) == 4 + resumed
