"""Rendering on a Dask worker, which runs in this process."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from distributed import LocalCluster

from photoanimer_async.service import RenderFailedError, SetupError
from photoanimer_async.service.rendering.dask_renderer import DaskRenderer
from photoanimer_async.service.rendering.dask_worker import check_worker

from ...support.dask_processes import NO_DASHBOARD
from .conftest import render_job


@pytest.fixture
async def address(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        processes=False,
        protocol="tcp://",
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": NO_DASHBOARD},
        local_directory=str(tmp_path_factory.mktemp("dask")),
        asynchronous=True,
    ) as cluster:
        yield cluster.scheduler_address


async def test_jobs_at_the_same_time_share_worker_processes(address: str, tmp_path: Path) -> None:
    voice = tmp_path / "voice"
    voice.write_bytes(b"hum")
    jobs = [
        render_job(tmp_path, gif=tmp_path / f"{number}.gif", voice=voice) for number in range(4)
    ]
    async with DaskRenderer(address, animate="renderers:copy") as renderer:
        await asyncio.gather(*map(renderer.render, jobs))
    assert {job.mp4.read_bytes() for job in jobs} == {b"1:photo:hum"}


async def test_results_through_a_shared_folder(address: str, tmp_path: Path) -> None:
    (shared := tmp_path / "shared").mkdir()
    job = render_job(tmp_path)
    async with DaskRenderer(address, animate="renderers:copy", shared=shared) as renderer:
        await renderer.render(job)
    assert job.mp4.read_bytes() == b"1:photo:silent"
    assert list(shared.iterdir()) == []


@pytest.mark.slow
async def test_errors_are_in_the_reply(address: str, tmp_path: Path) -> None:
    async with DaskRenderer(address, animate="renderers:raise_engine_error") as renderer:
        with pytest.raises(RenderFailedError, match="reason 0"):
            await renderer.render(render_job(tmp_path, template=0))
    async with DaskRenderer(address, animate="renderers:raise_other_error") as renderer:
        with pytest.raises(RuntimeError, match=r"(?s)on tcp://127.*ZeroDivisionError"):
            await renderer.render(render_job(tmp_path))


async def test_a_worker_that_cannot_render_is_named(address: str, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"worker tcp://127.*no engine 'live' is installed"):
        await DaskRenderer(address, options={"engine": "live"}).__aenter__()
    assert await check_worker(None, tmp_path) is None
    missing = tmp_path / "nowhere"
    assert str(await check_worker(None, missing)) == (
        f"{missing}, the shared folder for results, is not a folder that it can write to"
    )
