"""Nothing is sent unless the client is open, not closing, and on the loop that opened it."""

import asyncio
import logging
import os

import aiohttp
import pytest
from aiohttp import web

from photoanimer_async import AmbiguousSubmitError, PhotoAnimerError

from ..support.batches import outcomes_of, urls
from ..support.stub_service import StubService, quick_client

PHOTO = "http://127.0.0.1:9/a.jpg"


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


async def test_a_call_that_begins_while_the_client_closes_sends_nothing(stub: StubService) -> None:
    submitted, answer = asyncio.Event(), asyncio.Event()

    async def hold(request: web.Request) -> web.StreamResponse:
        submitted.set()
        await answer.wait()
        return stub._accept(request)

    stub.submit_script = [hold]
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
