"""The connection to a Dask scheduler, also when the scheduler or its workers are killed."""

import asyncio
import itertools
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from distributed.versions import get_package_info

from photoanimer_async.service import SetupError
from photoanimer_async.service.http.health import Health, health_of
from photoanimer_async.service.rendering import dask_client
from photoanimer_async.service.rendering.dask_client import retry_delays, version_differences
from photoanimer_async.service.rendering.dask_renderer import DaskRenderer

from ...support.dask_processes import DaskProcesses
from ...support.ports import free_port
from ..conftest import Running, Start, until
from .conftest import render_job


async def test_an_unreachable_scheduler(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_client, "_CONNECT_SECONDS", 0.1)
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(SetupError, match=f"no Dask scheduler .* reached at {address}: "):
        await start(None, dask=address)


async def test_tls_without_certificates() -> None:
    with pytest.raises(SetupError, match=r"reached at tls://127\.0\.0\.1:8786: .*TLS"):
        await DaskRenderer("tls://127.0.0.1:8786").__aenter__()


def test_version_differences() -> None:
    here = {"packages": get_package_info(["dask", "distributed", "photoanimer-async"])}
    other = {"packages": here["packages"] | {"python": "3.9.1.final.0", "dask": "2020.1"}}
    bare = {"packages": here["packages"] | {"photoanimer-async": None}}
    found = {"client": here, "scheduler": other, "workers": {"one": here, "two": bare}}
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert version_differences(found) == [
        f"the scheduler has Python 3.9, here it is {python}",
        f"the scheduler has dask 2020.1, here it is {version('dask')}",
        "the worker two has no photoanimer-async",
    ]


def test_retry_delays_grow_to_a_limit() -> None:
    delays = list(itertools.islice(retry_delays(), 20))
    assert 0.1 < delays[0] < 0.3
    assert all(7 < delay <= 15 for delay in delays[10:])


@pytest.mark.slow
class TestReconnection:
    """A service without tasks, so that nothing but its health check needs the cluster."""

    async def becomes(self, health: Health, service: Running) -> None:
        while (await health_of(service.service.app)).health is not health:
            await asyncio.sleep(0.05)

    async def test_without_workers_the_service_is_not_healthy(
        self, cluster: DaskProcesses, start: Start
    ) -> None:
        async with DaskRenderer(cluster.address) as renderer:
            service = await start(renderer)
            await self.becomes(Health.OK, service)
            cluster.kill_workers()
            await self.becomes(Health.NO_WORKERS, service)
            await cluster.start()
            await self.becomes(Health.OK, service)

    async def test_the_health_check_reconnects_to_a_restarted_scheduler(
        self,
        cluster: DaskProcesses,
        start: Start,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async with DaskRenderer(cluster.address) as renderer:
            service = await start(renderer)
            await self.becomes(Health.OK, service)
            with monkeypatch.context() as impatient:
                impatient.setattr(dask_client, "_CONNECT_SECONDS", 0.1)
                cluster.kill_scheduler()
                await self.becomes(Health.NO_WORKERS, service)
                await until(lambda: "event=no_cluster" in caplog.text)
            await cluster.start()
            await self.becomes(Health.OK, service)

    async def test_reconnecting_ends_with_the_context(
        self, cluster: DaskProcesses, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with DaskRenderer(cluster.address) as renderer:
            cluster.kill_scheduler()
            while await renderer.is_ready():
                await asyncio.sleep(0.005)
            await until(lambda: "event=connecting" in caplog.text)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def test_a_render_can_be_cancelled_while_there_is_no_scheduler(
        self,
        cluster: DaskProcesses,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async with DaskRenderer(cluster.address, animate="renderers:hang") as renderer:
            monkeypatch.setattr(dask_client, "_CONNECT_SECONDS", 0.1)
            rendering = asyncio.create_task(renderer.render(render_job(tmp_path)))
            await asyncio.sleep(0)
            cluster.kill_scheduler()
            await until(lambda: "event=no_cluster" in caplog.text)
            rendering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await rendering
