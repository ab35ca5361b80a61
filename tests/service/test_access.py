"""What the service bears, and for how long it keeps what it has made."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from photoanimer_async.service import RenderFailedError, ServiceSettings
from photoanimer_async.service.app_keys import FOLDER, STORE
from photoanimer_async.service.error_codes import NO_FACE
from photoanimer_async.service.storing.expiry import Expiry

from .conftest import InstantRenderer, PhotoHost, Running, Start, running, until


async def submit_status(service: Running, image_url: str) -> tuple[int, int, str | None]:
    """HTTP status, code and Retry-After of a submit."""
    async with service.session.get(
        f"{service.service.base_url}/faceDriven/submitTaskByUrl",
        params={"imageUrl": image_url, "templateId": "1"},
    ) as answer:
        return answer.status, (await answer.json())["code"], answer.headers.get("Retry-After")


def sweeper(service: Running) -> Callable[[float], Awaitable[None]]:
    """Removes what has expired at a time of the test's choice."""
    app = service.service.app
    return Expiry(service.settings, app[STORE], app[FOLDER]).sweep


class TestQueue:
    async def test_beyond_its_limit_a_submit_gets_a_429_that_says_when(
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

    async def test_submits_under_way_count_and_those_that_fail_give_their_place_back(
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

    async def test_tasks_of_an_earlier_start_count(self, tmp_path: Path, host: PhotoHost) -> None:
        settings = ServiceSettings(data_dir=tmp_path, port=0, queue_limit=1, drain_seconds=0)
        stuck = InstantRenderer(gate=asyncio.Event())
        async with running(settings, stuck) as service:
            await service.submit(host.url("photo.png"))
        async with running(settings, stuck) as service:
            assert (await submit_status(service, host.url("photo.png")))[1] == 42901


class TestDrain:
    async def test_what_is_under_way_ends_and_the_rest_is_done_after_the_next_start(
        self, tmp_path: Path, host: PhotoHost
    ) -> None:
        settings = ServiceSettings(data_dir=tmp_path, port=0, workers=1, drain_seconds=30)
        gate = asyncio.Event()
        slow = InstantRenderer(gate=gate)
        async with running(settings, slow) as service:
            ids = [await service.submit(host.url("photo.png")) for _ in range(3)]
            await until(lambda: slow.jobs)
            asyncio.get_running_loop().call_later(0.05, gate.set)
        assert [job.task_id for job in slow.jobs] == ids[:1]

        renderer = InstantRenderer()
        async with running(settings, renderer) as service:
            for task_id in ids:
                assert (await service.end_of(task_id))["status"] == 1
        assert [job.task_id for job in renderer.jobs] == ids[1:]

    async def test_a_submit_under_way_is_answered(self, tmp_path: Path, host: PhotoHost) -> None:
        settings = ServiceSettings(data_dir=tmp_path, port=0, drain_seconds=30)
        gate, asked = asyncio.Event(), asyncio.Event()

        async def slow(request: web.Request) -> web.StreamResponse:
            asked.set()
            await gate.wait()
            return web.Response(body=host.files["photo.png"])

        host.answers["slow.png"] = slow
        async with aiohttp.ClientSession(headers={"APIKEY": "any"}) as session:
            async with running(settings, InstantRenderer()) as service:
                client = Running(service.service, settings, session)
                submit = asyncio.create_task(client.submit(host.url("slow.png")))
                await asked.wait()
                asyncio.get_running_loop().call_later(0.05, gate.set)
            task_id = await submit
        async with running(settings, InstantRenderer()) as service:
            assert (await service.end_of(task_id))["status"] == 1

    async def test_it_is_bounded(self, tmp_path: Path, host: PhotoHost) -> None:
        settings = ServiceSettings(data_dir=tmp_path, port=0, drain_seconds=0.05)
        stuck = InstantRenderer(gate=asyncio.Event())
        async with asyncio.timeout(20):
            async with running(settings, stuck) as service:
                await service.submit(host.url("photo.png"))
                await until(lambda: stuck.jobs)


class TestExpiry:
    async def test_results_go_first_and_then_the_tasks(
        self, start: Start, host: PhotoHost, renderer: InstantRenderer
    ) -> None:
        service = await start(keep_results_seconds=100, keep_tasks_seconds=200)
        done = await service.submit(host.url("photo.png"), outputFormat="gif")
        info = await service.end_of(done)
        renderer.error = RenderFailedError(NO_FACE, "no face")
        failed = await service.submit(host.url("photo.png"))
        await service.end_of(failed)
        renderer.error, renderer.gate = None, asyncio.Event()
        pending = await service.submit(host.url("photo.png"))
        results = service.settings.data_dir / "results"
        sweep = sweeper(service)

        await sweep(time.time() + 90)
        assert len(list(results.iterdir())) == 2

        await sweep(time.time() + 110)
        assert list(results.iterdir()) == []
        async with service.session.get(info["resultUrl"]) as answer:
            assert answer.status == 404
        assert (await service.info(done))["status"] == 1
        assert (await service.info(failed))["status"] == 2

        await sweep(time.time() + 210)
        for task_id in (done, failed):
            code, _ = await service.refusal("faceDriven/getTaskInfo", taskId=str(task_id))
            assert code == 40004
        assert (await service.info(pending))["status"] == 0

    async def test_many_at_once(self, start: Start, host: PhotoHost) -> None:
        service = await start(keep_results_seconds=100, keep_tasks_seconds=200)
        ids = [await service.submit(host.url("photo.png")) for _ in range(210)]
        for task_id in ids:
            await service.end_of(task_id)
        await sweeper(service)(time.time() + 210)
        assert list((service.settings.data_dir / "results").iterdir()) == []
        assert (await service.refusal("faceDriven/getTaskInfo", taskId=str(ids[0])))[0] == 40004

    async def test_it_happens_by_itself(self, start: Start, host: PhotoHost) -> None:
        service = await start(keep_results_seconds=0.01, sweep_seconds=0.05)
        await service.end_of(await service.submit(host.url("photo.png")))
        results = service.settings.data_dir / "results"
        await until(lambda: not list(results.iterdir()))

    async def test_or_never(self, start: Start, host: PhotoHost) -> None:
        service = await start(keep_results_seconds=None, keep_tasks_seconds=None)
        info = await service.end_of(await service.submit(host.url("photo.png")))
        await sweeper(service)(time.time() + 10**9)
        async with service.session.get(info["resultUrl"]) as answer:
            assert answer.status == 200

    @pytest.mark.parametrize("results", [None, 300.0])
    def test_a_task_is_known_as_long_as_its_results(self, results: float | None) -> None:
        with pytest.raises(ValueError, match="keep_tasks_seconds is 200; it must not be less"):
            ServiceSettings(data_dir="d", keep_results_seconds=results, keep_tasks_seconds=200)
