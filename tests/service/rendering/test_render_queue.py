"""The render queue: how many renders at once, their files, and their errors."""

import asyncio
import errno
import sqlite3
import time
from pathlib import Path

import pytest

from photoanimer_async.service import RenderFailedError, RenderJob, ServiceSettings
from photoanimer_async.service import error_codes as codes
from photoanimer_async.service.storing.data_folder import DataFolder

from ...support.videos import gif
from ..conftest import InstantRenderer, PhotoHost, Running, Start, running, until


async def test_each_worker_renders_one_photo_at_a_time(
    start: Start, host: PhotoHost, renderer: InstantRenderer
) -> None:
    service = await start(workers=3)
    renderer.gate = asyncio.Event()

    ids = [await service.submit(host.url("photo.png")) for _ in range(5)]

    await until(lambda: len(renderer.jobs) == 3)
    assert {job.task_id for job in renderer.jobs} == set(ids[:3])
    renderer.gate.set()
    assert [(await service.end_of(task_id))["status"] for task_id in ids] == [1] * 5


async def test_the_renderer_gets_the_fetched_files(
    service: Running, host: PhotoHost, renderer: InstantRenderer
) -> None:
    renderer.gate = asyncio.Event()
    voice_url = host.url("voice.mp3", b"a sound")

    task_id = await service.submit(host.url("photo.png"), template=0, voiceUrl=voice_url)

    await until(lambda: renderer.jobs)
    [job] = renderer.jobs
    assert job.voice is not None
    assert job.template == 0
    assert job.photo.read_bytes() == host.files["photo.png"]
    assert job.voice.read_bytes() == b"a sound"
    renderer.gate.set()
    await service.end_of(task_id)


async def test_the_files_of_an_ended_task_are_removed(service: Running, host: PhotoHost) -> None:
    voice_url = host.url("voice.mp3", b"a sound")
    task_id = await service.submit(host.url("photo.png"), template=0, voiceUrl=voice_url)
    await service.end_of(task_id)

    inputs = service.settings.data_dir / "inputs"
    await until(lambda: not list(inputs.iterdir()))


async def test_files_that_cannot_be_removed_stop_no_render(
    start: Start, host: PhotoHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: DataFolder, task_id: int) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(DataFolder, "remove_inputs", fail)
    service = await start(workers=1)
    for _ in range(3):
        task_id = await service.submit(host.url("photo.png"))
        assert (await service.end_of(task_id))["status"] == 1


async def test_a_failed_render_ends_the_task_with_its_code_and_reason(
    service: Running, host: PhotoHost, renderer: InstantRenderer
) -> None:
    renderer.error = RenderFailedError(codes.NO_FACE, "no person's face was found")

    task_id = await service.submit(host.url("photo.png"), outputFormat="gif")

    assert await service.end_of(task_id) == {
        "taskId": task_id,
        "status": 2,
        "resultUrl": None,
        "gifUrl": None,
        "failCode": 7001,
        "failReason": "no person's face was found",
    }


async def test_an_error_of_the_renderer_fails_only_its_task(
    service: Running, host: PhotoHost, renderer: InstantRenderer, logged_errors: list[object]
) -> None:
    renderer.error = ZeroDivisionError("secret detail")
    info = await service.end_of(await service.submit(host.url("photo.png")))
    assert (info["status"], info["failCode"]) == (2, 50001)
    assert "secret detail" not in info["failReason"]
    assert len(logged_errors) == 1
    logged_errors.clear()

    renderer.error = None
    assert (await service.end_of(await service.submit(host.url("photo.png"))))["status"] == 1


async def test_the_end_of_a_task_is_stored_once_the_database_can(
    start: Start, host: PhotoHost, renderer: InstantRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("photoanimer_async.service.rendering.render_queue._FIRST_PAUSE", 0.01)
    service = await start(workers=1)
    attempts: list[object] = []

    async def full(self: object, task: object, voice_seconds: float | None) -> None:
        attempts.append(task)
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr("photoanimer_async.service.storing.task_store.TaskStore.finish", full)
        waiting = await service.submit(host.url("photo.png"))
        await until(lambda: len(attempts) > 2)
        assert (await service.info(waiting))["status"] == 0
    assert (await service.end_of(waiting))["status"] == 1
    assert len(renderer.jobs) == 1


async def test_a_task_is_put_back_behind_others_while_it_cannot_be_rendered(
    start: Start, host: PhotoHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("photoanimer_async.service.rendering.render_queue._FIRST_PAUSE", 0.01)

    class NoRoomForLargeVideos(InstantRenderer):
        async def render(self, job: RenderJob) -> None:
            await super().render(job)
            if job.template == 1 and len(self.jobs) < 5:
                raise OSError(errno.ENOSPC, "No space left on device")

    service = await start(renderer=NoRoomForLargeVideos(), workers=1)
    large, small = [await service.submit(host.url("photo.png"), number) for number in (1, 2)]
    assert (await service.end_of(small))["status"] == 1
    assert (await service.end_of(large))["status"] == 1


async def test_a_renderer_that_blocks_the_loop_is_detected(
    start: Start, host: PhotoHost, logged_errors: list[object]
) -> None:
    class Blocking(InstantRenderer):
        async def render(self, job: RenderJob) -> None:
            time.sleep(0)  # noqa: ASYNC251 - the mistake that the tests watch for

    service = await start(renderer=Blocking())
    assert (await service.end_of(await service.submit(host.url("photo.png"))))["status"] == 2
    assert "Blocking call to time.sleep" in str(logged_errors[0].exc_info)  # type: ignore[attr-defined]
    logged_errors.clear()


async def test_open_tasks_are_rendered_after_a_restart_in_their_order(
    tmp_path: Path, host: PhotoHost
) -> None:
    settings = ServiceSettings(data_dir=tmp_path / "data", port=0, workers=2, drain_seconds=0)
    stuck = InstantRenderer(gate=asyncio.Event())
    async with running(settings, stuck) as service:
        ids = [
            await service.submit(host.url("photo.png"), template, outputFormat="gif")
            for template in (3, 1, 4)
        ]
        await until(lambda: len(stuck.jobs) == 2)

    renderer = InstantRenderer()
    async with running(settings, renderer) as service:
        infos = [await service.end_of(task_id) for task_id in ids]
        assert [info["status"] for info in infos] == [1, 1, 1]
        async with service.session.get(infos[2]["gifUrl"]) as answer:
            assert await answer.read() == gif(b"gif of template 4")
    assert {job.task_id for job in renderer.jobs[:2]} == set(ids[:2])
    assert renderer.jobs[2].task_id == ids[2]
    # Interrupted jobs are repeated with the same files.
    assert all(job in renderer.jobs for job in stuck.jobs)


def cancelled(task_id: int) -> dict[str, object]:
    return {
        "taskId": task_id,
        "status": 2,
        "resultUrl": None,
        "failCode": codes.CANCELLED.number,
        "failReason": "the task was cancelled",
    }


async def test_a_waiting_task_that_is_cancelled_is_not_rendered_and_frees_its_place(
    start: Start, host: PhotoHost, renderer: InstantRenderer
) -> None:
    service = await start(workers=1, queue_limit=2)
    renderer.gate = asyncio.Event()
    rendered = await service.submit(host.url("photo.png"))
    await until(lambda: renderer.jobs)
    waiting = await service.submit(host.url("photo.png"))
    assert (await service.session.get(_submit_url(service, host))).status == 429

    assert await service.cancel(waiting) == cancelled(waiting)
    assert await service.cancel(waiting) == cancelled(waiting)

    last = await service.submit(host.url("photo.png"))
    assert (await service.session.get(_submit_url(service, host))).status == 429
    renderer.gate.set()
    assert [(await service.end_of(each))["status"] for each in (rendered, last)] == [1, 1]
    assert [job.task_id for job in renderer.jobs] == [rendered, last]


async def test_the_render_of_a_cancelled_task_is_stopped(
    start: Start, host: PhotoHost, renderer: InstantRenderer, tmp_path: Path
) -> None:
    service = await start(workers=1)
    renderer.gate = asyncio.Event()
    task_id = await service.submit(host.url("photo.png"))
    await until(lambda: renderer.jobs)

    assert await service.cancel(task_id) == cancelled(task_id)

    renderer.gate = None
    other = await service.submit(host.url("photo.png"))
    assert (await service.end_of(other))["status"] == 1
    assert await service.info(task_id) == cancelled(task_id)
    assert len(list((tmp_path / "data" / "results").iterdir())) == 1
    await until(lambda: not list((tmp_path / "data" / "inputs").iterdir()))


async def test_a_task_that_has_ended_is_not_cancelled(
    service: Running, host: PhotoHost, renderer: InstantRenderer
) -> None:
    finished = await service.end_of(await service.submit(host.url("photo.png")))
    renderer.error = RenderFailedError(codes.NO_FACE, "no person's face was found")
    failed = await service.end_of(await service.submit(host.url("photo.png")))
    for ended in (finished, failed):
        assert await service.cancel(ended["taskId"]) == ended
    async with service.session.get(finished["resultUrl"]) as answer:
        assert answer.status == 200


def _submit_url(service: Running, host: PhotoHost) -> str:
    path = f"{service.service.base_url}/faceDriven/submitTaskByUrl"
    return f"{path}?imageUrl={host.url('photo.png')}&templateId=1"
