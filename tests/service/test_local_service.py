"""The service on a socket: start, address, log of bad requests, and stop."""

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from photoanimer_async import FixedInterval, PhotoAnimerClient, TaskInfo, TaskStatus
from photoanimer_async.service import LocalService, ServiceSettings, serve

from .conftest import KEY, InstantRenderer, PhotoHost, Running, Start, running, until


class TestOnEnd:
    async def test_a_client_in_the_same_program_need_not_wait_for_its_next_poll(
        self, tmp_path: Path, host: PhotoHost
    ) -> None:
        reported: list[int] = []

        def on_end(task_id: int) -> None:
            reported.append(task_id)
            client.notify(task_id)

        gate = asyncio.Event()
        renderer = InstantRenderer(gate=gate)
        settings = ServiceSettings(data_dir=tmp_path, port=0)
        async with (
            LocalService(settings, renderer=renderer, on_end=on_end) as service,
            PhotoAnimerClient(KEY, base_url=service.base_url, poll=FixedInterval(3600.0)) as client,
        ):
            task_id = await client.submit(host.url("photo.png"))
            waiting = asyncio.create_task(client.wait(task_id))
            await until(lambda: renderer.jobs)
            assert reported == []
            gate.set()
            info = await waiting
        assert info.status is TaskStatus.FINISHED
        assert reported == [task_id]

    async def test_one_that_raises_stops_no_task(
        self, tmp_path: Path, host: PhotoHost, caplog: pytest.LogCaptureFixture
    ) -> None:
        signed = "http://127.0.0.1:9/a.png?sig=s3cret"

        def on_end(_: int) -> None:
            raise ZeroDivisionError(signed)

        settings = ServiceSettings(data_dir=tmp_path, port=0, workers=1)
        async with (
            LocalService(settings, renderer=InstantRenderer(), on_end=on_end) as service,
            PhotoAnimerClient(KEY, base_url=service.base_url) as client,
        ):
            tasks = [await client.submit(host.url("photo.png")) for _ in range(3)]
            infos = await client.wait_all(tasks)
        assert all(isinstance(infos[task], TaskInfo) for task in tasks)
        assert caplog.text.count("event=on_end_failed") == 3
        assert "ZeroDivisionError" in caplog.text
        assert "s3cret" not in caplog.text


class TestDrain:
    async def test_running_renders_finish_and_waiting_ones_run_after_the_next_start(
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

    async def test_an_open_submit_is_answered(self, tmp_path: Path, host: PhotoHost) -> None:
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

    async def test_draining_ends_after_drain_seconds(self, tmp_path: Path, host: PhotoHost) -> None:
        settings = ServiceSettings(data_dir=tmp_path, port=0, drain_seconds=0.05)
        stuck = InstantRenderer(gate=asyncio.Event())
        async with asyncio.timeout(20):
            async with running(settings, stuck) as service:
                await service.submit(host.url("photo.png"))
                await until(lambda: stuck.jobs)

    async def test_a_body_that_never_arrives_is_not_waited_for(self, tmp_path: Path) -> None:
        settings = ServiceSettings(data_dir=tmp_path, port=0, drain_seconds=60)
        async with AsyncExitStack() as stack:
            service = await stack.enter_async_context(running(settings, InstantRenderer()))
            host, port = service.service.base_url.split("/")[2].split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999\r\n\r\n")
            assert b" 405 " in await reader.readline()
            async with asyncio.timeout(8):  # aiohttp itself would wait for 10 seconds
                await stack.aclose()
        writer.close()
        await writer.wait_closed()


async def test_a_port_in_use_is_an_error_and_frees_the_folder(
    settings: ServiceSettings, start: Start, tmp_path: Path
) -> None:
    other = await start()
    port = int(other.service.base_url.split(":")[2].split("/")[0])
    taken = ServiceSettings(data_dir=tmp_path / "third", port=port)
    with pytest.raises(OSError, match="address already in use"):
        await LocalService(taken, renderer=InstantRenderer()).__aenter__()
    # The data folder is free again.
    async with running(ServiceSettings(data_dir=tmp_path / "third", port=0), InstantRenderer()):
        pass


@pytest.mark.parametrize("end", [None, signal.SIGTERM, signal.SIGHUP])
async def test_serve_runs_until_it_is_cancelled_or_terminated(
    settings: ServiceSettings, end: signal.Signals | None
) -> None:
    started: asyncio.Future[LocalService] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve(settings, renderer=InstantRenderer(), on_start=started.set_result)
    )
    async with (
        aiohttp.ClientSession(headers={"APIKEY": "any"}) as session,
        session.get(f"{(await started).base_url}/mySubscription") as answer,
    ):
        assert (await answer.json())["code"] == 0

    if end is None:
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
    else:
        signal.raise_signal(end)
        signal.raise_signal(end)  # a closed terminal sends several
        await serving
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize(("host", "shown"), [("::1", "[::1]"), ("127.0.0.2", "127.0.0.2")])
async def test_the_base_url_has_the_host(tmp_path: Path, host: str, shown: str) -> None:
    settings = ServiceSettings(data_dir=tmp_path, host=host, port=0)
    async with running(settings, InstantRenderer()) as service:
        assert service.service.base_url.startswith(f"http://{shown}:")
        assert (await service.call("mySubscription"))["code"] == 0


async def test_the_base_url_of_all_addresses_is_loopback(tmp_path: Path) -> None:
    settings = ServiceSettings(data_dir=tmp_path, host="0.0.0.0", port=0, keys={KEY})
    async with running(settings, InstantRenderer()) as service:
        assert service.service.base_url.startswith("http://127.0.0.1:")
        assert (await service.call("mySubscription"))["code"] == 0


async def test_a_malformed_request_is_logged_without_its_url(
    service: Running, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = service.service.base_url.split("/")[2].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /api/v1/faceDriven/submitTaskByUrl?imageUrl=my photo?sig=s3cret HTTP/1.1")
    writer.write(b"\r\n\r\n")
    assert (await reader.readline()).endswith(b"400 Bad Request\r\n")
    writer.close()
    await writer.wait_closed()

    assert "event=bad_request kind=BadStatusLine" in caplog.text
    assert "s3cret" not in caplog.text
