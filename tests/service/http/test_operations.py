"""What those who run the service see of it: metrics and health."""

import asyncio
import socket
import sqlite3
import sys
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from photoanimer_async.service import (
    LocalService,
    RenderFailedError,
    ServiceSettings,
    SetupError,
)
from photoanimer_async.service.app_keys import QUEUE
from photoanimer_async.service.error_codes import NO_FACE
from photoanimer_async.service.http.health import Health, health_of
from photoanimer_async.service.rendering.process_renderer import ProcessRenderer

from ...support.stub_service import serving
from ..conftest import KEY, InstantRenderer, PhotoHost, Running, Start, until

Metrics = dict[tuple[str, str], float]


async def metrics(service: Running) -> Metrics:
    """The values, by name and by labels as `name=value` with spaces between."""
    async with service.session.get(f"{service.service.operations_url}/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        text = await answer.text()
    return {
        (
            sample.name,
            " ".join(f"{name}={value}" for name, value in sorted(sample.labels.items())),
        ): (sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def health(service: Running) -> tuple[int, str]:
    async with service.session.get(f"{service.service.operations_url}/healthz") as answer:
        status: str = (await answer.json())["status"]
        return answer.status, status


@pytest.fixture
async def measured(start: Start) -> Running:
    return await start(metrics_address="0", workers=1)


class TestMetrics:
    async def test_tasks_by_what_became_of_them(
        self, measured: Running, host: PhotoHost, renderer: InstantRenderer
    ) -> None:
        for _ in range(2):
            await measured.end_of(await measured.submit(host.url("photo.png"), 3))
        renderer.error = RenderFailedError(NO_FACE, "no face")
        await measured.end_of(await measured.submit(host.url("photo.png"), 3))
        found = await metrics(measured)
        assert found["photoanimer_renders_total", "outcome=finished"] == 2
        assert found["photoanimer_renders_total", "outcome=NO_FACE"] == 1
        assert found["photoanimer_render_seconds_count", "template=3"] == 2
        assert found["photoanimer_fetches_total", "outcome=fetched"] == 3

    async def test_a_fault_of_the_renderer(
        self,
        measured: Running,
        host: PhotoHost,
        renderer: InstantRenderer,
        logged_errors: list[object],
    ) -> None:
        renderer.error = ZeroDivisionError()
        await measured.end_of(await measured.submit(host.url("photo.png")))
        logged_errors.clear()
        found = await metrics(measured)
        assert found["photoanimer_renders_total", "outcome=RENDERING_FAILED"] == 1

    async def test_how_long_the_queue_is(
        self, measured: Running, host: PhotoHost, renderer: InstantRenderer
    ) -> None:
        renderer.gate = asyncio.Event()
        tasks = [await measured.submit(host.url("photo.png")) for _ in range(3)]
        await until(lambda: renderer.jobs)
        found = await metrics(measured)
        assert found["photoanimer_tasks_open", ""] == 3
        assert found["photoanimer_tasks_waiting", ""] == 2
        renderer.gate.set()
        for task in tasks:
            await measured.end_of(task)
        assert (await metrics(measured))["photoanimer_tasks_waiting", ""] == 0

    async def test_fetches_by_outcome(self, start: Start, host: PhotoHost) -> None:
        service = await start(metrics_address="0", image_bytes=100)
        for url in ("ftp://example.com/", host.url("none.png"), host.url("big", bytes(200))):
            await service.refusal(imageUrl=url, templateId="1")
        found = await metrics(service)
        for outcome in ("not_allowed", "failed", "too_large"):
            assert found["photoanimer_fetches_total", f"outcome={outcome}"] == 1

    async def test_requests_by_route_status_and_code_and_no_word_of_whose(
        self, measured: Running, host: PhotoHost
    ) -> None:
        info = await measured.end_of(await measured.submit(host.url("photo.png", None)))
        async with measured.session.get(info["resultUrl"]) as answer:
            assert answer.status == 200
        await measured.refusal("faceDriven/getTaskInfo", taskId="123456789012345")
        async with measured.session.get(f"{measured.service.base_url}/s3cret") as answer:
            assert answer.status == 404
        found = await metrics(measured)
        name, prefix = "photoanimer_http_requests_total", "/api/v1/faceDriven"
        assert found[name, f"code= route={prefix}/submitTaskByUrl status=200"] == 1
        assert found[name, f"code=TASK_UNKNOWN route={prefix}/getTaskInfo status=200"] == 1
        assert found[name, "code= route=/results/{name} status=200"] == 1
        assert found[name, "code=NO_SUCH_PATH route=none status=404"] == 1
        assert found["photoanimer_http_request_seconds_count", "route=/results/{name}"] == 1
        shown = repr(found)
        secrets = ("s3cret", KEY, str(info["taskId"]), info["resultUrl"].rpartition("/")[2])
        assert not [secret for secret in secrets if secret in shown]

    async def test_notifications(self, start: Start, host: PhotoHost) -> None:
        statuses = [503, 204]

        async def take(request: web.Request) -> web.Response:
            return web.Response(status=statuses.pop(0) if statuses else 503)

        async with serving(take) as origin:
            service = await start(
                metrics_address="0", notify_url=f"{origin}/hook", notify_schedule=(0.01, 0.01, 3600)
            )
            await service.end_of(await service.submit(host.url("photo.png")))
            await until(lambda: not statuses)
            await service.end_of(await service.submit(host.url("photo.png")))
            name = "photoanimer_notification_attempts_total"
            async with asyncio.timeout(30):
                while (found := await metrics(service)).get((name, "outcome=postponed"), 0) < 4:
                    await asyncio.sleep(0.01)
        assert found[name, "outcome=delivered"] == 1
        assert found["photoanimer_notifications_pending", ""] == 1

    async def test_each_service_counts_for_itself(
        self, start: Start, host: PhotoHost, tmp_path: Path
    ) -> None:
        one = await start(metrics_address="0", data_dir=tmp_path / "1")
        other = await start(metrics_address="0", data_dir=tmp_path / "2")
        await one.end_of(await one.submit(host.url("photo.png")))
        assert ("photoanimer_renders_total", "outcome=finished") in await metrics(one)
        assert ("photoanimer_renders_total", "outcome=finished") not in await metrics(other)

    async def test_they_are_not_among_the_interfaces(self, measured: Running) -> None:
        interfaces = measured.service.base_url.removesuffix("/api/v1")
        assert measured.service.operations_url != interfaces
        async with measured.session.get(f"{interfaces}/metrics") as answer:
            assert answer.status == 404

    async def test_by_default_there_are_none(self, service: Running) -> None:
        assert service.service.operations_url is None


class TestAddress:
    @pytest.mark.parametrize(
        ("given", "address"),
        [
            ("9464", ("127.0.0.1", 9464)),
            ("0.0.0.0:9464", ("0.0.0.0", 9464)),
            ("[::1]:9464", ("::1", 9464)),
            (None, None),
        ],
    )
    def test_is_a_port_or_host_and_port(
        self, given: str | None, address: tuple[str, int] | None
    ) -> None:
        assert ServiceSettings(data_dir="d", metrics_address=given).metrics_address == address

    @pytest.mark.parametrize("given", ["", "localhost", "h:x", "h:70000", "u@h:1", "h:1/metrics"])
    def test_what_is_none_is_told(self, given: str) -> None:
        with pytest.raises(ValueError, match="it has to be a port or HOST:PORT"):
            ServiceSettings(data_dir="d", metrics_address=given)

    async def test_one_that_is_taken_is_told_and_nothing_is_left_running(
        self, tmp_path: Path
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            settings = ServiceSettings(data_dir=tmp_path, port=0, metrics_address=str(port))
            with pytest.raises(SetupError, match=f"metrics cannot be served .* port {port}"):
                await LocalService(settings, renderer=InstantRenderer()).__aenter__()
        again = ServiceSettings(data_dir=tmp_path, port=0)
        async with LocalService(again, renderer=InstantRenderer()):
            pass

    def test_without_prometheus_client_it_says_what_to_install(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "prometheus_client", None)
        monkeypatch.delitem(sys.modules, "photoanimer_async.service.http.metrics", raising=False)
        LocalService(ServiceSettings(data_dir=tmp_path))
        with pytest.raises(SetupError, match=r"pip install 'photoanimer-async\[local\]'"):
            LocalService(ServiceSettings(data_dir=tmp_path, metrics_address="0"))


class TestHealth:
    async def test_a_service_that_is_well_says_so_to_everybody(self, measured: Running) -> None:
        assert await health(measured) == (200, "ok")
        interfaces = measured.service.base_url.removesuffix("/api/v1")
        async with aiohttp.request("GET", f"{interfaces}/healthz") as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "ok"})

    async def test_one_that_drains_says_so_until_it_has_stopped(
        self, tmp_path: Path, host: PhotoHost
    ) -> None:
        stuck = InstantRenderer(gate=asyncio.Event())
        settings = ServiceSettings(
            data_dir=tmp_path, port=0, metrics_address="0", workers=1, drain_seconds=30
        )
        async with aiohttp.ClientSession(headers={"APIKEY": KEY}) as session:
            local = await LocalService(settings, renderer=stuck).__aenter__()
            service = Running(local, settings, session)
            for _ in range(2):
                await service.submit(host.url("photo.png"))
            await until(lambda: stuck.jobs)
            address = local.operations_url
            stopping = asyncio.create_task(local.__aexit__(None, None, None))
            await until(lambda: local.app[QUEUE].is_draining)
            assert await health(service) == (503, "draining")
            found = await metrics(service)
            assert found["photoanimer_tasks_waiting", ""] == 0
            assert stuck.gate is not None
            stuck.gate.set()
            await stopping
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(f"{address}/healthz")

    async def test_a_database_that_takes_no_change(
        self, measured: Running, monkeypatch: pytest.MonkeyPatch, logged_errors: list[object]
    ) -> None:
        async def full(self: object, change: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        with monkeypatch.context() as broken:
            broken.setattr("photoanimer_async.service.storing.database.Database.write", full)
            assert await health(measured) == (503, "no database")
        logged_errors.clear()
        assert await health(measured) == (200, "ok")

    async def test_workers_that_can_not_be_started(
        self, start: Start, monkeypatch: pytest.MonkeyPatch, logged_errors: list[object]
    ) -> None:
        async with ProcessRenderer(1, animate="renderers:copy") as renderer:
            service = await start(renderer=renderer, metrics_address="0")
            with monkeypatch.context() as broken:
                broken.setattr("sys.executable", "/nowhere/python")
                assert await health(service) == (503, "no workers")
            logged_errors.clear()
            assert await health(service) == (200, "ok")
            assert await health_of(service.service.app) is Health.OK
