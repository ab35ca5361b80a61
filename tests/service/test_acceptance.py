"""Submits: the queue limit, fair shares, the balance, and the id of the new task."""

import asyncio
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from photoanimer_async.service import AccountBook, ServiceSettings
from photoanimer_async.service.storing.task_store import Inputs, TaskStore
from photoanimer_async.service.tasks import Task

from ..support.pictures import CASES
from ..support.served_process import served
from .conftest import (
    KEY,
    Customer,
    Envelope,
    InstantRenderer,
    PhotoHost,
    Running,
    Start,
    added,
    png,
    running,
    until,
)


async def submit_status(service: Running, image_url: str) -> tuple[int, int, str | None]:
    """HTTP status, code and Retry-After of a submit."""
    async with service.session.get(
        f"{service.service.base_url}/faceDriven/submitTaskByUrl",
        params={"imageUrl": image_url, "templateId": "1"},
    ) as answer:
        return answer.status, (await answer.json())["code"], answer.headers.get("Retry-After")


class TestQueue:
    async def test_a_submit_beyond_the_limit_gets_429_with_retry_after(
        self, start: Start, host: PhotoHost, renderer: InstantRenderer
    ) -> None:
        service = await start(queue_limit=3, workers=1)
        renderer.gate = asyncio.Event()
        ids = [await service.submit(host.url("photo.png")) for _ in range(3)]
        fetched = len(host.requests)

        status, code, retry_after = await submit_status(service, host.url("photo.png"))

        assert (status, code) == (429, 42901)
        assert retry_after is not None
        assert int(retry_after) >= 1
        assert len(host.requests) == fetched
        renderer.gate.set()
        for task_id in ids:
            await service.end_of(task_id)
        assert await service.submit(host.url("photo.png"))

    async def test_open_submits_count_and_failed_ones_do_not(
        self, start: Start, host: PhotoHost, renderer: InstantRenderer
    ) -> None:
        service = await start(queue_limit=2)
        renderer.gate = asyncio.Event()
        for _ in range(5):
            code, _ = await service.refusal(imageUrl=host.url("nothing.png"), templateId="1")
            assert code == 40011
        answers = await asyncio.gather(
            *(submit_status(service, host.url("photo.png")) for _ in range(6))
        )
        assert sorted(code for _, code, _ in answers) == [0, 0, 42901, 42901, 42901, 42901]

    async def test_unfinished_tasks_count_after_a_restart(
        self, tmp_path: Path, host: PhotoHost
    ) -> None:
        settings = ServiceSettings(data_dir=tmp_path, port=0, queue_limit=1, drain_seconds=0)
        stuck = InstantRenderer(gate=asyncio.Event())
        async with running(settings, stuck) as service:
            await service.submit(host.url("photo.png"))
        async with running(settings, stuck) as service:
            assert (await submit_status(service, host.url("photo.png")))[1] == 42901


async def test_a_jpeg_of_very_many_scans_is_refused_before_it_is_charged(
    start: Start, host: PhotoHost, renderer: InstantRenderer
) -> None:
    service = await start()
    photo = (CASES / "as-mpo.jpg").read_bytes()
    for content in (photo, photo.replace(b"\xff\xc2", b"\xff\xca", 1)):
        code, text = await service.refusal(imageUrl=host.url("p.jpg", content), templateId="1")
        assert code == 7002
        assert "scans, which no camera writes" in text
    assert renderer.jobs == []


async def test_a_task_that_costs_more_than_the_balance_is_refused(
    start: Start, host: PhotoHost
) -> None:
    service = await start(video_balance=3.0)
    code, text = await service.refusal(imageUrl=host.url("photo.png"), templateId="1")
    assert code == 4001
    assert text == ("Insufficient credits: templateId 1 costs 7.13 video seconds, the balance is 3")
    assert await service.submit(host.url("photo.png"), template=2)


async def test_a_task_id_in_use_is_not_used_again(
    start: Start, host: PhotoHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter([471367831765061, 471367831765061, 471367831765062])
    monkeypatch.setattr("photoanimer_async.service.acceptance.new_task_ids", lambda: drawn)
    service = await start()
    ids = [await service.submit(host.url("photo.png")) for _ in range(2)]
    assert ids == [471367831765061, 471367831765062]


class TestFairShares:
    """One account floods; another must not feel it."""

    async def test_dripping_photos_of_one_account_do_not_delay_another(
        self, start: Start, host: PhotoHost, book: AccountBook
    ) -> None:
        flooding, calm = await customers(book, start, fetches=4)
        host.answers["drip.png"] = drip
        flood = [asyncio.create_task(flooding.submit(host.url("drip.png"))) for _ in range(20)]
        await until(lambda: len(host.requests) == 3)

        for _ in range(3):
            assert (await calm.submit(host.url("photo.png")))["code"] == 0
        assert not any(task.done() for task in flood)
        assert len(host.requests) == 3 + 3
        await cancelled(flood)

    async def test_while_several_accounts_submit_few_submits_of_each_are_worked_on(
        self,
        start: Start,
        host: PhotoHost,
        book: AccountBook,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("photoanimer_async.service.fair_shares._LONGEST_TURN", 3600.0)
        flooding, calm = await customers(book, start)
        gate = asyncio.Event()

        async def slow(request: web.Request) -> web.Response:
            await gate.wait()
            return web.Response(body=host.files["photo.png"])

        host.answers["slow.png"] = slow
        assert (await calm.submit(host.url("photo.png")))["code"] == 0
        flood = [asyncio.create_task(flooding.submit(host.url("slow.png"))) for _ in range(9)]
        await until(lambda: len(host.requests) == 3)
        assert (await calm.submit(host.url("photo.png")))["code"] == 0
        assert len(host.requests) == 4
        gate.set()
        assert [(await task)["code"] for task in flood] == [0] * 9

    async def test_a_request_that_is_abandoned_stops_its_fetch(
        self, start: Start, host: PhotoHost, book: AccountBook
    ) -> None:
        flooding, _ = await customers(book, start, fetches=4)
        dripping: list[web.Request] = []

        async def answer(request: web.Request) -> web.StreamResponse:
            dripping.append(request)
            try:
                return await drip(request)
            finally:
                dripping.remove(request)

        host.answers["drip.png"] = answer
        flood = [asyncio.create_task(flooding.submit(host.url("drip.png"))) for _ in range(6)]
        await until(lambda: len(dripping) == 3)
        await cancelled(flood)  # which closes their connections

        await until(lambda: not dripping)
        assert len(host.requests) <= 6
        assert (await flooding.submit(host.url("photo.png")))["code"] == 0
        assert await flooding.balance() == 1000 - 7.13

    async def test_a_task_that_is_being_stored_is_stored_whatever_its_sender_does(
        self,
        start: Start,
        host: PhotoHost,
        book: AccountBook,
        renderer: InstantRenderer,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        customer, _ = await customers(book, start)
        storing, gate = threading.Event(), threading.Event()
        add = TaskStore._add

        def slow_add(*args: Any) -> None:
            storing.set()
            gate.wait(300)
            add(*args)

        monkeypatch.setattr(TaskStore, "_add", slow_add)
        submit = asyncio.create_task(customer.submit(host.url("photo.png")))
        await until(storing.is_set)
        await cancelled([submit])
        gate.set()

        await until(lambda: renderer.jobs)
        await customer.end_of(renderer.jobs[0].task_id)
        assert await customer.balance() == 1000 - 7.13

    async def test_tasks_of_one_account_leave_places_for_another(
        self, start: Start, host: PhotoHost, book: AccountBook, renderer: InstantRenderer
    ) -> None:
        renderer.gate = asyncio.Event()
        flooding, calm = await customers(book, start, queue_limit=8, workers=1)
        codes = [(await flooding.submit(host.url("photo.png")))["code"] for _ in range(8)]
        assert codes == [0] * 6 + [42901] * 2
        assert [(await calm.submit(host.url("photo.png")))["code"] for _ in range(3)] == [
            0,
            0,
            42901,
        ]

    async def test_a_newcomers_first_task_is_rendered_next(
        self, start: Start, host: PhotoHost, book: AccountBook, renderer: InstantRenderer
    ) -> None:
        renderer.gate = asyncio.Event()
        flooding, calm = await customers(book, start, workers=2)
        for _ in range(20):
            await flooding.submit(host.url("photo.png"))
        await until(lambda: len(renderer.jobs) == 2)
        first = (await calm.submit(host.url("photo.png")))["data"]
        renderer.gate.set()
        await calm.end_of(first)
        # Both workers become free at once, and begin the next two in any order.
        assert first in [job.task_id for job in renderer.jobs[:4]]

    async def test_weights_of_the_settings_count(
        self, start: Start, host: PhotoHost, book: AccountBook, renderer: InstantRenderer
    ) -> None:
        renderer.gate = asyncio.Event()
        heavy, light = await customers(
            book, start, queue_limit=16, workers=1, weights={"flooding": 3}
        )
        assert [(await heavy.submit(host.url("photo.png")))["code"] for _ in range(15)] == (
            [0] * 14 + [42901]
        )
        assert [(await light.submit(host.url("photo.png")))["code"] for _ in range(3)] == (
            [0, 0, 42901]
        )


async def customers(book: AccountBook, start: Start, **settings: object) -> list[Customer]:
    """Two accounts of a service, `flooding` and `calm`."""
    keys = [await added(book, name, seconds=1000) for name in ("flooding", "calm")]
    service = await start(**settings)
    return [Customer(service, key) for key in keys]


async def drip(request: web.Request) -> web.StreamResponse:
    """Send a byte of a photo now and then, and never all of it."""
    response = web.StreamResponse()
    response.content_length = 1_000_000
    await response.prepare(request)
    while True:
        await response.write(b"\x89")
        await asyncio.sleep(0.05)


async def cancelled(tasks: list[asyncio.Task[Envelope]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


class TestMemory:
    """What a service holds for others: many large photos, whose voices arrive slowly."""

    @pytest.mark.slow
    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what a process holds")
    async def test_many_large_files_in_hand_take_little_memory(
        self, tmp_path: Path, host: PhotoHost
    ) -> None:
        count = 40
        waiting: list[web.Request] = []
        gate = asyncio.Event()

        async def slow(request: web.Request) -> web.Response:
            waiting.append(request)
            await gate.wait()
            return web.Response(body=bytes(14_000_000))

        host.answers["voice.mp3"] = slow
        host.files["large.png"] = png() + bytes(14_500_000)
        query = {"imageUrl": host.url("large.png"), "voiceUrl": host.url("voice.mp3")}
        async with (
            served(tmp_path / "data", "--workers", "1") as service,
            aiohttp.ClientSession(headers={"APIKEY": KEY}) as session,
        ):

            async def submit() -> int:
                url = f"{service.base_url}/faceDriven/submitTaskByUrl"
                async with session.get(url, params={**query, "templateId": "0"}) as answer:
                    code: int = (await answer.json())["code"]
                    return code

            submits = asyncio.gather(*(submit() for _ in range(count)))
            await until(lambda: len(waiting) == 32)
            gate.set()
            assert await submits == [0] * count
            assert await service.peak_memory() < 400 * 2**20

    async def test_submits_are_refused_while_storing_falls_behind(
        self, start: Start, host: PhotoHost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("photoanimer_async.service.acceptance._MOST_HELD", 2)
        service = await start()
        gate = asyncio.Event()
        add = TaskStore.add

        async def slow_add(self: TaskStore, task: Task, read: Callable[[], Inputs]) -> None:
            await gate.wait()
            await add(self, task, read)

        with monkeypatch.context() as slow:
            slow.setattr(TaskStore, "add", slow_add)
            held = [asyncio.create_task(service.submit(host.url("photo.png"))) for _ in range(2)]
            await until(lambda: len(host.requests) == 2)
            url = f"{service.service.base_url}/faceDriven/submitTaskByUrl"
            query = {"imageUrl": host.url("photo.png"), "templateId": "1"}
            async with service.session.get(url, params=query) as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
                assert (await answer.json())["code"] == 42901
            gate.set()
            for task_id in await asyncio.gather(*held):
                await service.end_of(task_id)
        await service.end_of(await service.submit(host.url("photo.png")))
