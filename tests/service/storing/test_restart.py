"""What was accepted is finished after a restart, and what was left over is removed."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from photoanimer_async.service import LocalService, ServiceSettings, SetupError

from ..conftest import InstantRenderer, PhotoHost, png, running, until


@pytest.fixture
def settings(tmp_path: Path) -> ServiceSettings:
    return ServiceSettings(data_dir=tmp_path / "new" / "data", port=0, workers=2, drain_seconds=0.0)


async def test_open_tasks_are_rendered_after_a_restart_in_their_order(
    settings: ServiceSettings, host: PhotoHost
) -> None:
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
            assert await answer.read() == b"gif of template 4"
    assert {job.task_id for job in renderer.jobs[:2]} == set(ids[:2])
    assert renderer.jobs[2].task_id == ids[2]
    # The same files under the same names: rendering twice does no harm.
    assert all(job in renderer.jobs for job in stuck.jobs)


async def test_tasks_that_have_ended_stay_as_they_are(
    settings: ServiceSettings, host: PhotoHost
) -> None:
    async with running(settings, InstantRenderer()) as service:
        task_id = await service.submit(host.url("photo.png"))
        before = await service.end_of(task_id)

    renderer = InstantRenderer()
    async with running(settings, renderer) as service:
        after = await service.info(task_id)
        assert (
            after["resultUrl"].partition("/results/")[2]
            == (before["resultUrl"].partition("/results/")[2])
        )
        async with service.session.get(after["resultUrl"]) as answer:
            assert await answer.read() == b"video of template 1"
    assert renderer.jobs == []


async def test_a_task_is_on_disk_before_it_is_answered(
    settings: ServiceSettings, host: PhotoHost
) -> None:
    renderer = InstantRenderer(gate=asyncio.Event())
    async with running(settings, renderer) as service:
        task_id = await service.submit(host.url("photo.png"))
        # What a process that dies now leaves behind is what the files say now.
        data = settings.data_dir
        copy = data.with_name("copy.db")
        for suffix in ("", "-wal"):
            content = data.joinpath(f"tasks.db{suffix}").read_bytes()
            copy.with_name(copy.name + suffix).write_bytes(content)

    def written() -> list[tuple[int, int, bytes]]:
        connection = sqlite3.connect(copy)
        try:
            return connection.execute(
                "SELECT task_id, status, photo FROM task JOIN input USING (sequence)"
            ).fetchall()
        finally:
            connection.close()

    assert await asyncio.to_thread(written) == [(task_id, 0, png())]


async def test_what_interrupted_work_left_is_removed_at_the_start(
    settings: ServiceSettings, host: PhotoHost
) -> None:
    stuck = InstantRenderer(gate=asyncio.Event())
    async with running(settings, stuck) as service:
        open_task = await service.submit(host.url("photo.png"))
        await until(lambda: stuck.jobs)
    inputs, results = settings.data_dir / "inputs", settings.data_dir / "results"
    (inputs / "123456789012345.photo").touch()
    (results / f".{'A' * 32}.mp4.0123abcd.part").touch()
    (results / f"{'B' * 32}.mp4").touch()

    async with running(settings, stuck):
        await until(lambda: len(stuck.jobs) == 2)
        assert [path.name for path in inputs.iterdir()] == [f"{open_task}.photo"]
        assert [path.name for path in results.iterdir()] == [f"{'B' * 32}.mp4"]


async def test_one_service_at_a_time_uses_a_folder(settings: ServiceSettings) -> None:
    async with running(settings, InstantRenderer()):
        with pytest.raises(SetupError, match="data is in use by another service"):
            await LocalService(settings).__aenter__()
    async with running(settings, InstantRenderer()) as service:
        assert (await service.call("mySubscription"))["code"] == 0


@pytest.mark.parametrize("content", [b"no database" * 100, b"SQLite format 3\0" + bytes(84)])
async def test_a_file_that_is_no_database_is_left_alone(
    settings: ServiceSettings, content: bytes
) -> None:
    settings.data_dir.mkdir(parents=True)
    database = settings.data_dir / "tasks.db"
    database.write_bytes(content)
    with pytest.raises(SetupError, match=r"tasks\.db cannot be used"):
        await LocalService(settings).__aenter__()
    assert database.read_bytes() == content


async def test_a_folder_of_a_newer_version_is_left_alone(settings: ServiceSettings) -> None:
    settings.data_dir.mkdir(parents=True)

    def write_newer() -> None:
        connection = sqlite3.connect(settings.data_dir / "tasks.db")
        connection.execute("PRAGMA user_version = 99")
        connection.close()

    await asyncio.to_thread(write_newer)
    with pytest.raises(SetupError, match=r"has version 99 .* supports up to version 3"):
        await LocalService(settings).__aenter__()


async def test_a_folder_that_can_not_be_made(settings: ServiceSettings) -> None:
    settings.data_dir.parent.mkdir()
    settings.data_dir.touch()
    with pytest.raises(SetupError, match="data cannot be used: Not a directory"):
        await LocalService(settings).__aenter__()
