"""Rendering on a real Dask cluster of this machine: a scheduler and two workers."""

import asyncio
import itertools
import os
import socket
import subprocess
import sys
import sysconfig
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from distributed import LocalCluster
from distributed.core import rpc
from distributed.versions import get_package_info

from photoanimer_async.engine.samples import ASTRONAUT
from photoanimer_async.service import (
    AccountBook,
    Charging,
    Kind,
    RenderFailedError,
    RenderJob,
    ServiceSettings,
    SetupError,
)
from photoanimer_async.service.http.health import Health, health_of
from photoanimer_async.service.rendering import dask_client
from photoanimer_async.service.rendering.dask_client import retry_delays, version_differences
from photoanimer_async.service.rendering.dask_renderer import DaskRenderer
from photoanimer_async.service.rendering.dask_worker import check_worker

from ..conftest import PhotoHost, Running, Start, png, running, until

DASK = str(Path(sysconfig.get_path("scripts"), "dask"))
DOUBLES = Path(__file__).parents[1] / "doubles"
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(DOUBLES), *filter(None, [os.environ.get("PYTHONPATH")])]),
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
}
# Dask serves HTTP without its dashboard too, and a scheduler by default at one port of all runs.
HTTP = "127.0.0.1:0"
SECONDS = 2.13  # of template 2


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port that nothing listens on, and that the system gives to nobody else.

    A process that sets SO_REUSEADDR, as Dask's do, can listen on it.
    """
    with socket.socket() as reservation:
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.bind(("127.0.0.1", 0))
        port: int = reservation.getsockname()[1]
        yield port


@define
class Cluster:
    """A scheduler and two workers, started by Dask's own commands."""

    folder: Path
    port: int
    scheduler: subprocess.Popen[bytes] | None = None
    workers: dict[str, subprocess.Popen[bytes]] = field(factory=dict)
    _names: Iterator[str] = field(factory=lambda: map("worker-{}".format, itertools.count()))

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    async def complete(self) -> None:
        """Start what has died, and wait until two workers are registered at this scheduler."""
        while True:
            self._start_missing()
            if await self._registered() == set(self.workers):
                return
            await asyncio.sleep(0.05)

    def kill_scheduler(self) -> None:
        assert self.scheduler is not None
        self.scheduler.kill()
        self.scheduler.wait()

    def kill_worker(self) -> None:
        _, worker = self.workers.popitem()
        worker.kill()
        worker.wait()

    def stop(self) -> None:
        while self.workers:
            self.kill_worker()
        if self.scheduler is not None:
            self.kill_scheduler()

    def _start_missing(self) -> None:
        if self.scheduler is None or self.scheduler.poll() is not None:
            # Workers of the previous scheduler still run for a moment after its death.
            while self.workers:
                self.kill_worker()
            self.scheduler = self._start(
                "scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-show"
            )
        for name in [name for name, worker in self.workers.items() if worker.poll() is not None]:
            del self.workers[name]
        while len(self.workers) < 2:
            name = next(self._names)
            self.workers[name] = self._start(
                "worker", self.address, "--name", name, "--nthreads", "1", "--no-nanny"
            )

    async def _registered(self) -> set[str]:
        """The names of the workers that the scheduler lists; empty while it does not answer."""
        try:
            async with rpc(self.address, timeout=5) as scheduler:
                identity = await scheduler.identity()
        except OSError:
            return set()
        return {worker["id"] for worker in identity["workers"].values()}

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{arguments[0]}.log").open("a") as log:
            return subprocess.Popen(
                [DASK, *arguments, "--no-dashboard", "--dashboard-address", HTTP],
                cwd=self.folder,
                env={**ENVIRONMENT, "DASK_TEMPORARY_DIRECTORY": str(self.folder)},
                stdout=log,
                stderr=log,
            )


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with reserved_port() as port:
        cluster = Cluster(tmp_path_factory.mktemp("dask"), port)
        try:
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture
async def cluster(processes: Cluster) -> Cluster:
    await processes.complete()
    return processes


def job(folder: Path, photo: bytes = b"photo", template: int = 1, **more: Any) -> RenderJob:
    (folder / "photo").write_bytes(photo)
    number = int.from_bytes(os.urandom(6), "big")
    return RenderJob(
        **{
            "task_id": number,
            "template": template,
            "photo": folder / "photo",
            "mp4": folder / f"{number:032}.mp4",
            **more,
        }
    )


class TestSetup:
    @pytest.fixture(autouse=True)
    def no_patience(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dask_client, "_CONNECT_SECONDS", 1.0)

    async def test_a_scheduler_that_is_not_there(self, start: Start) -> None:
        with reserved_port() as port:
            address = f"tcp://127.0.0.1:{port}"
            with pytest.raises(SetupError, match=f"no Dask scheduler .* reached at {address}: "):
                await start(None, dask=address)

    async def test_tls_that_is_not_set_up(self) -> None:
        with pytest.raises(SetupError, match=r"reached at tls://127\.0\.0\.1:8786: .*TLS"):
            await DaskRenderer("tls://127.0.0.1:8786").__aenter__()

    async def test_a_shared_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(SetupError, match="the shared folder for results: No such file"):
            await DaskRenderer("tcp://no:1", shared=tmp_path / "nowhere").__aenter__()

    def test_versions_that_differ(self) -> None:
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

    def test_pauses_grow_to_a_limit(self) -> None:
        first = list(itertools.islice(retry_delays(), 20))
        assert 0.1 < first[0] < 0.3
        assert all(7 < pause <= 15 for pause in first[10:])

    async def test_dask_that_is_not_installed(
        self, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(sys.modules, "photoanimer_async.service.rendering.dask_renderer")
        monkeypatch.setitem(sys.modules, "distributed", None)
        with pytest.raises(SetupError, match=r"needs distributed, .*photoanimer-async\[dask"):
            await start(None, dask="tcp://127.0.0.1:8786")

    def test_settings(self, tmp_path: Path) -> None:
        assert ServiceSettings(data_dir=tmp_path, dask="tcp://scheduler:8786").workers == 128
        with pytest.raises(ValueError, match="dask is 'scheduler'; it must be a scheduler's addr"):
            ServiceSettings(data_dir=tmp_path, dask="scheduler")
        with pytest.raises(ValueError, match="dask_shared goes with dask"):
            ServiceSettings(data_dir=tmp_path, dask_shared=tmp_path)


class TestWorker:
    """What a Dask worker does, with one in this process."""

    @pytest.fixture
    async def address(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
    ) -> AsyncIterator[str]:
        monkeypatch.setenv("PYTHONPATH", str(DOUBLES), prepend=os.pathsep)
        async with LocalCluster(
            n_workers=1,
            threads_per_worker=2,
            processes=False,
            protocol="tcp://",
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": HTTP},
            local_directory=str(tmp_path_factory.mktemp("dask")),
            asynchronous=True,
        ) as cluster:
            yield cluster.scheduler_address

    async def test_two_at_a_time_share_its_processes(self, address: str, tmp_path: Path) -> None:
        jobs = [
            job(tmp_path, gif=tmp_path / f"{number}.gif", voice=tmp_path / "photo")
            for number in range(4)
        ]
        async with DaskRenderer(address, animate="renderers:copy") as renderer:
            await asyncio.gather(*map(renderer.render, jobs))
        assert {each.mp4.read_bytes() for each in jobs} == {b"1:photo:photo"}

    async def test_results_are_left_in_the_shared_folder_until_they_are_fetched(
        self, address: str, tmp_path: Path
    ) -> None:
        (shared := tmp_path / "shared").mkdir()
        abandoned, recent, foreign = (
            shared / f"{'A' * 32}.mp4",
            shared / f"{'B' * 32}.mp4",
            shared / "holiday.mp4",
        )
        for path in (abandoned, recent, foreign):
            path.touch()
        for path in (abandoned, foreign):
            os.utime(path, (0, 0))
        one = job(tmp_path)
        async with DaskRenderer(address, animate="renderers:copy", shared=shared) as renderer:
            await renderer.render(one)
        assert one.mp4.read_bytes() == b"1:photo:silent"
        assert set(shared.iterdir()) == {recent, foreign}

    async def test_errors_are_codes_and_faults_are_told(self, address: str, tmp_path: Path) -> None:
        async with DaskRenderer(address, animate="renderers:refuse") as renderer:
            with pytest.raises(RenderFailedError, match="reason 0"):
                await renderer.render(job(tmp_path, template=0))
        async with DaskRenderer(address, animate="renderers:fault") as renderer:
            with pytest.raises(RuntimeError, match="ZeroDivisionError"):
                await renderer.render(job(tmp_path))

    async def test_says_what_it_lacks(self, address: str, tmp_path: Path) -> None:
        with pytest.raises(SetupError, match=r"worker tcp://127.*no engine 'live' is installed"):
            await DaskRenderer(address, options={"engine": "live"}).__aenter__()
        assert await check_worker(None, tmp_path) is None
        nowhere = await check_worker(None, tmp_path / "nowhere")
        assert "nowhere, the shared folder for results, is not a folder that it can write" in str(
            nowhere
        )


class TestRender:
    async def test_everything_goes_there_and_comes_back(
        self, cluster: Cluster, tmp_path: Path
    ) -> None:
        (tmp_path / "voice").write_bytes(b"hum")
        voiced = job(
            tmp_path, template=0, voice=tmp_path / "voice", gif=tmp_path / f"{'A' * 32}.gif"
        )
        async with DaskRenderer(cluster.address, animate="renderers:copy") as renderer:
            await renderer.render(voiced)
        assert voiced.mp4.read_bytes() == b"0:photo:hum"
        assert voiced.gif is not None
        assert voiced.gif.read_bytes() == b"gif"
        assert await asyncio.to_thread(lambda: list(tmp_path.glob(".*"))) == []

    async def test_a_large_photo(self, cluster: Cluster, tmp_path: Path) -> None:
        large = job(tmp_path, photo=bytes(15 * 1024 * 1024))
        async with DaskRenderer(cluster.address, animate="renderers:copy") as renderer:
            await renderer.render(large)
        assert large.mp4.stat().st_size > 15 * 1024 * 1024

    async def test_a_real_video_by_a_shared_folder(
        self, cluster: Cluster, start: Start, host: PhotoHost, tmp_path: Path
    ) -> None:
        shared = tmp_path / "shared"
        shared.mkdir()
        service = await start(
            None, dask=cluster.address, dask_shared=shared, longest_side=256, gif_longest_side=64
        )
        photo = host.url("astronaut.jpg", ASTRONAUT.read_bytes())
        info = await service.end_of(await service.submit(photo, 2, outputFormat="gif"))
        for link, start_of_file in (("resultUrl", b"\0\0\0"), ("gifUrl", b"GIF89a")):
            async with service.session.get(info[link]) as answer:
                assert (await answer.read()).startswith(start_of_file)
        assert list(shared.iterdir()) == []

    async def test_the_engines_errors_are_codes(self, cluster: Cluster, tmp_path: Path) -> None:
        async with DaskRenderer(cluster.address, animate="renderers:refuse") as renderer:
            for template, code in enumerate((7001, 7002, 40023, 50001)):
                with pytest.raises(RenderFailedError, match=f"reason {template}") as failure:
                    await renderer.render(job(tmp_path, template=template))
                assert failure.value.code.number == code

    async def test_a_fault_says_where(self, cluster: Cluster, tmp_path: Path) -> None:
        async with DaskRenderer(cluster.address, animate="renderers:fault") as renderer:
            with pytest.raises(RuntimeError, match=r"(?s)on tcp://127.*ZeroDivisionError"):
                await renderer.render(job(tmp_path))

    @pytest.mark.parametrize(
        ("animate", "seconds", "reason"),
        [("hang", 0.5, "took longer than"), ("crash", 30.0, "crashed on this photo 2 times")],
    )
    async def test_what_hangs_or_crashes_costs_no_dask_worker(
        self, cluster: Cluster, tmp_path: Path, animate: str, seconds: float, reason: str
    ) -> None:
        async with DaskRenderer(
            cluster.address, animate=f"renderers:{animate}", render_seconds=seconds
        ) as renderer:
            with pytest.raises(RenderFailedError, match=reason):
                await renderer.render(job(tmp_path, photo=b"2"))
        assert [worker.poll() for worker in cluster.workers.values()] == [None, None]


class TestBatch:
    """40 tasks of one account, charged when they finish; the last 20 can be held up."""

    @pytest.fixture
    def gate(self, tmp_path: Path) -> Path:
        return tmp_path / "gate"

    @asynccontextmanager
    async def batch(self, cluster: Cluster, gate: Path, host: PhotoHost) -> AsyncIterator[None]:
        """All tasks are accepted; they have all finished once when the block is left."""
        settings = ServiceSettings(
            data_dir=gate.with_name("data"), port=0, workers=16, charging=Charging.ON_SUCCESS
        )
        book = AccountBook(settings.data_dir)
        key = await asyncio.to_thread(lambda: book.add("anna", seconds=1000))
        photos = [png() + b"%d%s" % (number, b"wait" * (number >= 20)) for number in range(40)]
        async with (
            DaskRenderer(
                cluster.address, animate="renderers:queue_up", options={"gate": str(gate)}
            ) as renderer,
            running(settings, renderer) as service,
        ):
            service.session.headers["APIKEY"] = key
            ids: list[int] = []
            for number, photo in enumerate(photos):
                if number == 20:
                    # Else one that is held up could be at work before one of these.
                    for task_id in ids:
                        await service.end_of(task_id)
                ids.append(await service.submit(host.url(f"{number}.png", photo), template=2))
            yield
            for photo, task_id in zip(photos, ids, strict=True):
                info = await service.end_of(task_id)
                assert info["status"] == 1, info
                async with service.session.get(info["resultUrl"]) as answer:
                    assert await answer.read() == b"2:%s:silent" % photo
        entries = await asyncio.to_thread(book.entries, "anna")
        charges = [entry for entry in entries if entry.kind is Kind.CHARGE]
        assert sorted(str(entry.task_id) for entry in charges) == sorted(map(str, ids))
        assert {entry.seconds for entry in charges} == {-SECONDS}

    async def test_a_scheduler_that_is_killed_and_comes_back(
        self, cluster: Cluster, gate: Path, host: PhotoHost
    ) -> None:
        async with self.batch(cluster, gate, host):
            cluster.kill_scheduler()
            await cluster.complete()
            await asyncio.to_thread(gate.touch)

    async def test_a_worker_that_is_killed(
        self, cluster: Cluster, gate: Path, host: PhotoHost
    ) -> None:
        async with self.batch(cluster, gate, host):
            cluster.kill_worker()
            await asyncio.to_thread(gate.touch)


class TestHealth:
    """Of a service that has nothing to do, so that nobody needs the cluster."""

    async def becomes(self, health: Health, service: Running) -> None:
        async with asyncio.timeout(200):
            while await health_of(service.service.app) is not health:
                await asyncio.sleep(0.05)

    async def test_needs_a_worker(self, cluster: Cluster, start: Start) -> None:
        async with DaskRenderer(cluster.address) as renderer:
            service = await start(renderer)
            await self.becomes(Health.OK, service)
            while cluster.workers:
                cluster.kill_worker()
            await self.becomes(Health.NO_WORKERS, service)
            await cluster.complete()
            await self.becomes(Health.OK, service)

    async def test_needs_a_scheduler_and_finds_it_again(
        self,
        cluster: Cluster,
        start: Start,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async with DaskRenderer(cluster.address) as renderer:
            service = await start(renderer)
            await self.becomes(Health.OK, service)
            monkeypatch.setattr(dask_client, "_CONNECT_SECONDS", 0.1)
            cluster.kill_scheduler()
            await self.becomes(Health.NO_WORKERS, service)
            await until(lambda: "event=no_cluster" in caplog.text)
            await cluster.complete()
            await self.becomes(Health.OK, service)

    async def test_a_search_for_a_scheduler_ends_with_the_service(
        self, cluster: Cluster, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with asyncio.timeout(200), DaskRenderer(cluster.address) as renderer:
            cluster.kill_scheduler()
            while await renderer.is_ready():
                await asyncio.sleep(0.005)
            await until(lambda: "event=connecting" in caplog.text)
        assert asyncio.all_tasks() == {asyncio.current_task()}


class TestDeaths:
    async def test_a_photo_that_costs_dask_workers_is_given_up(
        self, cluster: Cluster, tmp_path: Path
    ) -> None:
        async with DaskRenderer(cluster.address, animate="renderers:kill_starter") as renderer:
            with pytest.raises(RenderFailedError, match="2 workers of the cluster died") as failure:
                await renderer.render(job(tmp_path))
        assert failure.value.code.number == 50001

    async def test_it_can_be_cancelled_while_there_is_no_scheduler(
        self,
        cluster: Cluster,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async with DaskRenderer(cluster.address, animate="renderers:hang") as renderer:
            monkeypatch.setattr(dask_client, "_CONNECT_SECONDS", 0.1)
            rendering = asyncio.create_task(renderer.render(job(tmp_path)))
            await asyncio.sleep(0)
            cluster.kill_scheduler()
            await until(lambda: "event=no_cluster" in caplog.text)
            rendering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await rendering
