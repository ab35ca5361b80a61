"""Default settings where the service allows few requests a second."""

import asyncio

import pytest
from aiohttp import web
from attrs import define, field

from photoanimer_async import PhotoAnimerClient, TaskId
from photoanimer_async.api import rate_limits

from ..support.batches import PHOTO, urls
from ..support.stub_service import API, KEY, Reply, StubService, envelope, serving


@define
class FewRequests:
    """Refuses what comes sooner than a gap after the last request that it accepted."""

    service: StubService
    gap: float
    refusal: Reply
    refused: int = 0
    accepted: int = 0
    next: float = 0.0
    ids: list[TaskId] = field(factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        now = asyncio.get_running_loop().time()
        if now < self.next:
            self.refused += 1
            reply = self.refusal(request)
            return reply if isinstance(reply, web.StreamResponse) else await reply
        self.next = now + self.gap
        self.accepted += 1
        return await self.service.answer(request)


REFUSALS: list[Reply] = [
    lambda _: envelope(code=429, status=429, Retry_After="1"),
    lambda _: web.Response(status=429, text="<html>slow down"),
    lambda _: envelope(code=1234, msg="Too many requests, 1 QPS"),
]


@pytest.mark.slow
@pytest.mark.parametrize("refusal", REFUSALS, ids=["retry-after", "html", "text"])
async def test_a_batch_ends_all_right(refusal: Reply, monkeypatch: pytest.MonkeyPatch) -> None:
    # A twentieth of the time that it would take at one request a second.
    monkeypatch.setattr(rate_limits, "_START_RATE", 20.0)
    stub = StubService()
    few = FewRequests(stub, 0.05, refusal)
    async with (
        serving(few.answer) as origin,
        PhotoAnimerClient(KEY, base_url=origin + API) as client,
    ):
        batch = [outcome async for outcome in client.animate_many(urls(60))]
    assert [outcome.error for outcome in batch if not outcome.ok] == []
    assert len(stub.submits) == 60
    # Nearly all refusals are those of the first burst, before the rate was known.
    assert few.refused <= 64 + 64 + few.accepted / 4


@pytest.mark.slow
async def test_a_single_call_does_not_wait_behind_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "_START_RATE", 5.0)
    stub = StubService()
    few = FewRequests(stub, 0.2, REFUSALS[1])
    stub.balance = lambda _: envelope({"videoBalance": 1})
    async with (
        serving(few.answer) as origin,
        PhotoAnimerClient(KEY, base_url=origin + API) as client,
        asyncio.TaskGroup() as group,
    ):
        batch = client.animate_many(urls(200))
        running = group.create_task(anext(batch))
        while len(stub.submits) < 5:
            await asyncio.sleep(0.01)
        await client.get_balance()
        await client.submit(PHOTO)
        assert len(stub.submits) < 30
        await running
        await batch.aclose()
