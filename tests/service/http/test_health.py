"""/healthz: each state of the service."""

import asyncio
import sqlite3
from pathlib import Path

import aiohttp
import pytest

from photoanimer_async.service import (
    LocalService,
    ServiceSettings,
)
from photoanimer_async.service.app_keys import QUEUE
from photoanimer_async.service.http.health import Diagnosis, Health, health_of
from photoanimer_async.service.rendering.process_renderer import ProcessRenderer

from ..conftest import KEY, InstantRenderer, PhotoHost, Running, Start, until
from .conftest import health, metrics


class HangingRenderer(InstantRenderer):
    """A renderer that never says whether it is ready."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked = asyncio.Event()
        self.has_stopped = False

    async def is_ready(self) -> bool:
        self.is_asked.set()
        try:
            await asyncio.sleep(3600)
        finally:
            self.has_stopped = True
        return True


class TestHealth:
    async def test_a_working_service_is_ok_at_both_addresses(self, measured: Running) -> None:
        assert await health(measured) == (200, "ok")
        interfaces = measured.service.base_url.removesuffix("/api/v1")
        async with aiohttp.request("GET", f"{interfaces}/healthz") as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "ok"})

    async def test_a_stopping_service_is_draining_until_it_has_stopped(
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

    async def test_a_check_under_way_ends_before_the_service(
        self, tmp_path: Path, host: PhotoHost
    ) -> None:
        renderer = HangingRenderer()
        settings = ServiceSettings(
            data_dir=tmp_path, port=0, metrics_address="0", workers=1, drain_seconds=0
        )
        async with aiohttp.ClientSession() as session:
            local = await LocalService(settings, renderer=renderer).__aenter__()
            check = asyncio.create_task(health(Running(local, settings, session)))
            await renderer.is_asked.wait()
            await local.__aexit__(None, None, None)
            assert renderer.has_stopped
            assert await check == (503, "draining")

    async def test_a_database_that_cannot_be_written_to(
        self, measured: Running, monkeypatch: pytest.MonkeyPatch, logged_errors: list[object]
    ) -> None:
        async def full(self: object, change: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        with monkeypatch.context() as broken:
            broken.setattr("photoanimer_async.service.storing.database.Database.write", full)
            assert await health(measured) == (503, "no database")
        logged_errors.clear()
        assert await health(measured) == (200, "ok")

    async def test_workers_that_cannot_be_started(
        self, start: Start, monkeypatch: pytest.MonkeyPatch, logged_errors: list[object]
    ) -> None:
        async with ProcessRenderer(1, animate="renderers:copy") as renderer:
            service = await start(renderer=renderer, metrics_address="0")
            with monkeypatch.context() as broken:
                broken.setattr("sys.executable", "/nowhere/python")
                assert await health(service) == (503, "no workers")
            logged_errors.clear()
            assert await health(service) == (200, "ok")
            assert await health_of(service.service.app) == Diagnosis(Health.OK)
