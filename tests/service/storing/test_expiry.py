"""Expiry: when results and tasks are removed."""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable

import pytest

from photoanimer_async.service import RenderFailedError
from photoanimer_async.service.app_keys import DATABASE, FOLDER, STORE
from photoanimer_async.service.error_codes import NO_FACE
from photoanimer_async.service.storing.expiry import Expiry

from ..conftest import InstantRenderer, PhotoHost, Running, Start, png, until


def sweeper(service: Running) -> Callable[[float], Awaitable[None]]:
    """Removes what has expired at a given time."""
    app = service.service.app
    return Expiry(service.settings, app[DATABASE], app[STORE], app[FOLDER]).sweep


async def test_results_are_removed_before_their_tasks(
    start: Start, host: PhotoHost, renderer: InstantRenderer
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


async def test_photos_of_ended_tasks_leave_no_bytes_and_no_space_behind(
    start: Start, host: PhotoHost, renderer: InstantRenderer
) -> None:
    service = await start(keep_results_seconds=None, keep_tasks_seconds=None)
    renderer.gate = asyncio.Event()
    photo = png() + b"somebody's face" * 70_000
    ids = [await service.submit(host.url("large.png", photo)) for _ in range(10)]
    database = service.settings.data_dir / "tasks.db"
    log = database.with_name("tasks.db-wal")

    def kept() -> bool:
        return any(b"somebody's face" in path.read_bytes() for path in (database, log))

    assert await asyncio.to_thread(kept)
    renderer.gate.set()
    for task_id in ids:
        await service.end_of(task_id)
    await until(lambda: not list(database.with_name("inputs").iterdir()))
    await sweeper(service)(time.time())
    assert not await asyncio.to_thread(kept)
    assert database.stat().st_size < 5 * len(photo)


async def test_many_tasks_expire_at_once(start: Start, host: PhotoHost) -> None:
    service = await start(keep_results_seconds=100, keep_tasks_seconds=200)
    ids = [await service.submit(host.url("photo.png")) for _ in range(210)]
    for task_id in ids:
        await service.end_of(task_id)
    await sweeper(service)(time.time() + 210)
    assert list((service.settings.data_dir / "results").iterdir()) == []
    assert (await service.refusal("faceDriven/getTaskInfo", taskId=str(ids[0])))[0] == 40004


@pytest.mark.parametrize("error", [sqlite3.OperationalError("locked"), MemoryError()])
async def test_what_fails_once_does_not_end_the_sweeping(
    start: Start,
    host: PhotoHost,
    monkeypatch: pytest.MonkeyPatch,
    logged_errors: list[object],
    error: Exception,
) -> None:
    sweep, fails = Expiry.sweep, [error]

    async def failing(self: Expiry, now: float) -> None:
        if fails:
            raise fails.pop()
        await sweep(self, now)

    monkeypatch.setattr(Expiry, "sweep", failing)
    service = await start(keep_results_seconds=0.01, sweep_seconds=0.05)
    await service.end_of(await service.submit(host.url("photo.png")))
    results = service.settings.data_dir / "results"
    await until(lambda: not fails and not list(results.iterdir()))
    logged_errors.clear()


async def test_a_running_service_removes_what_has_expired(start: Start, host: PhotoHost) -> None:
    service = await start(keep_results_seconds=0.01, sweep_seconds=0.05)
    await service.end_of(await service.submit(host.url("photo.png")))
    results = service.settings.data_dir / "results"
    await until(lambda: not list(results.iterdir()))


async def test_without_limits_nothing_is_removed(start: Start, host: PhotoHost) -> None:
    service = await start(keep_results_seconds=None, keep_tasks_seconds=None)
    info = await service.end_of(await service.submit(host.url("photo.png")))
    await sweeper(service)(time.time() + 10**9)
    async with service.session.get(info["resultUrl"]) as answer:
        assert answer.status == 200
