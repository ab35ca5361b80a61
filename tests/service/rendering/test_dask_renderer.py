"""Rendering on a Dask cluster: a scheduler and two workers, each a process of its own."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from photoanimer_async.engine.samples import ASTRONAUT
from photoanimer_async.service import (
    AccountBook,
    Charging,
    Kind,
    RenderFailedError,
    ServiceSettings,
    SetupError,
)
from photoanimer_async.service.rendering.dask_renderer import (
    ByteBudget,
    DaskRenderer,
    _remove_leftovers,
)
from photoanimer_async.service.rendering.dask_worker import ClusterJob, Reply

from ...support.dask_processes import DaskProcesses
from ..conftest import PhotoHost, Start, png, running, until
from .conftest import render_job, unfinished_files

MIB = 1024 * 1024
SECONDS = 2.13  # of template 2


async def test_a_missing_shared_folder(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="the shared folder for results: No such file"):
        await DaskRenderer("tcp://no:1", shared=tmp_path / "nowhere").__aenter__()


def test_old_results_are_removed_from_the_shared_folder(tmp_path: Path) -> None:
    old, recent, other = f"{'A' * 32}.mp4", f"{'B' * 32}.mp4", "holiday.mp4"
    for name in (old, recent, other):
        (tmp_path / name).touch()
    for name in (old, other):
        os.utime(tmp_path / name, (0, 0))
    _remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {recent, other}


class CountedBudget(ByteBudget):
    """Counts who has asked: they stand in line in this order."""

    asked = 0

    @asynccontextmanager
    async def taken(self, size: int) -> AsyncIterator[None]:
        self.asked += 1
        async with super().taken(size):
            yield


async def test_photos_at_the_cluster_are_bounded_by_their_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renderer = DaskRenderer("tcp://no:1", shared=tmp_path)
    budget = CountedBudget(10_000)
    monkeypatch.setattr(renderer, "_in_transit", budget)
    at_cluster: list[int] = []
    gate = asyncio.Semaphore(0)

    async def run(_: str, __: object, load: Callable[[], ClusterJob]) -> Reply:
        size = len((await asyncio.to_thread(load)).photo)
        at_cluster.append(size)
        try:
            await gate.acquire()
        finally:
            at_cluster.remove(size)
        return {"code": 0, "files": {"a.mp4": b""}}

    monkeypatch.setattr(renderer._client, "run", run)
    monkeypatch.setattr(renderer, "_save_results", lambda *_: None)
    renders: list[asyncio.Task[float | None]] = []
    for size in (4000, 4000, 4000, 20_000, 1000):
        folder = tmp_path / str(len(renders))
        folder.mkdir()
        job = render_job(folder, photo=bytes(size))
        renders.append(asyncio.create_task(renderer.render(job)))
        await until(
            lambda: (
                budget.asked == len(renders)
                and (budget._line.locked() or len(at_cluster) == len(renders))
            )
        )
    assert at_cluster == [4000, 4000]
    gate.release()
    await until(lambda: at_cluster == [4000, 4000] and renders[0].done())
    renders[1].cancel()
    renders[2].cancel()
    await until(lambda: at_cluster == [20_000])  # the one that is as large as all
    gate.release()
    await until(lambda: at_cluster == [1000])
    gate.release()
    await asyncio.wait(renders)
    assert budget._free == 10_000


async def test_dask_is_not_installed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "photoanimer_async.service.rendering.dask_renderer")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SetupError, match=r"needs distributed, .*photoanimer-async\[dask"):
        await start(None, dask="tcp://127.0.0.1:8786")


def test_settings(tmp_path: Path) -> None:
    assert ServiceSettings(data_dir=tmp_path, dask="tcp://scheduler:8786").workers == 128
    with pytest.raises(ValueError, match="dask is 'scheduler'; it must be a scheduler's addr"):
        ServiceSettings(data_dir=tmp_path, dask="scheduler")
    with pytest.raises(ValueError, match="dask_shared goes with dask"):
        ServiceSettings(data_dir=tmp_path, dask_shared=tmp_path)


@pytest.mark.slow
class TestRender:
    async def test_all_files_are_transferred(self, cluster: DaskProcesses, tmp_path: Path) -> None:
        (tmp_path / "voice").write_bytes(b"hum")
        gif = tmp_path / f"{'A' * 32}.gif"
        job = render_job(
            tmp_path, photo=bytes(15 * MIB), template=0, voice=tmp_path / "voice", gif=gif
        )
        async with DaskRenderer(cluster.address, animate="renderers:copy") as renderer:
            await renderer.render(job)
        assert await asyncio.to_thread(job.mp4.read_bytes) == b"0:%s:hum" % bytes(15 * MIB)
        assert gif.read_bytes() == b"gif"
        assert unfinished_files(tmp_path) == []

    async def test_the_engine_and_a_shared_folder(
        self, cluster: DaskProcesses, start: Start, host: PhotoHost, tmp_path: Path
    ) -> None:
        shared = tmp_path / "shared"
        shared.mkdir()
        service = await start(
            None, dask=cluster.address, dask_shared=shared, longest_side=256, gif_longest_side=64
        )
        photo = host.url("astronaut.jpg", ASTRONAUT.read_bytes())
        info = await service.end_of(await service.submit(photo, 2, outputFormat="gif"))
        for link, first_bytes in (("resultUrl", b"\0\0\0"), ("gifUrl", b"GIF89a")):
            async with service.session.get(info[link]) as answer:
                assert (await answer.read()).startswith(first_bytes)
        assert list(shared.iterdir()) == []

    async def test_errors_of_the_engine_have_codes(
        self, cluster: DaskProcesses, tmp_path: Path
    ) -> None:
        async with DaskRenderer(
            cluster.address, animate="renderers:raise_engine_error"
        ) as renderer:
            for template, code in enumerate((7001, 7002, 40023, 50001)):
                with pytest.raises(RenderFailedError, match=f"reason {template}") as failure:
                    await renderer.render(render_job(tmp_path, template=template))
                assert failure.value.code.number == code

    @pytest.mark.parametrize(
        ("animate", "seconds", "reason"),
        [("hang", 0.5, "took longer than"), ("crash", 300.0, "crashed on this photo 2 times")],
    )
    async def test_a_photo_that_hangs_or_crashes_does_not_end_the_dask_worker(
        self, cluster: DaskProcesses, tmp_path: Path, animate: str, seconds: float, reason: str
    ) -> None:
        async with DaskRenderer(
            cluster.address, animate=f"renderers:{animate}", render_seconds=seconds
        ) as renderer:
            with pytest.raises(RenderFailedError, match=reason):
                await renderer.render(render_job(tmp_path, photo=b"2"))
        assert [worker.poll() for worker in cluster.workers.values()] == [None, None]

    async def test_a_photo_that_kills_dask_workers_fails(
        self, cluster: DaskProcesses, tmp_path: Path
    ) -> None:
        async with DaskRenderer(cluster.address, animate="renderers:kill_parent") as renderer:
            with pytest.raises(RenderFailedError, match="2 workers of the cluster died") as failure:
                await renderer.render(render_job(tmp_path))
        assert failure.value.code.number == 50001


@pytest.mark.slow
class TestBatch:
    """12 tasks of one account, charged when they finish; the last 6 wait for a gate."""

    @pytest.fixture
    def gate(self, tmp_path: Path) -> Path:
        return tmp_path / "gate"

    @asynccontextmanager
    async def batch(
        self, cluster: DaskProcesses, gate: Path, host: PhotoHost
    ) -> AsyncIterator[None]:
        """Run the block when all tasks are accepted; then check that each finished once."""
        settings = ServiceSettings(
            data_dir=gate.with_name("data"), port=0, workers=4, charging=Charging.ON_SUCCESS
        )
        book = AccountBook(settings.data_dir)
        key = await asyncio.to_thread(lambda: book.add("anna", seconds=1000))
        photos = [png() + b"%d%s" % (number, b"wait" * (number >= 6)) for number in range(12)]
        async with (
            DaskRenderer(
                cluster.address, animate="renderers:copy_after_gate", options={"gate": str(gate)}
            ) as renderer,
            running(settings, renderer) as service,
        ):
            service.session.headers["APIKEY"] = key
            ids: list[int] = []
            for number, photo in enumerate(photos):
                if number == 6:
                    # Otherwise a task that waits could take the worker of one that does not.
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

    async def test_a_killed_scheduler_that_is_restarted(
        self, cluster: DaskProcesses, gate: Path, host: PhotoHost
    ) -> None:
        async with self.batch(cluster, gate, host):
            cluster.kill_scheduler()
            await cluster.start()
            await asyncio.to_thread(gate.touch)

    async def test_a_killed_worker(
        self, cluster: DaskProcesses, gate: Path, host: PhotoHost
    ) -> None:
        async with self.batch(cluster, gate, host):
            cluster.kill_worker()
            await asyncio.to_thread(gate.touch)
