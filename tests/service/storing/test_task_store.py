"""Tasks in the database, across restarts."""

import asyncio
import sqlite3

from photoanimer_async.service import ServiceSettings

from ...support.videos import mp4
from ..conftest import InstantRenderer, PhotoHost, png, running


async def test_an_ended_task_does_not_change_after_a_restart(
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
            assert await answer.read() == mp4(b"video of template 1")
    assert renderer.jobs == []


async def test_a_task_is_on_disk_before_it_is_answered(
    settings: ServiceSettings, host: PhotoHost
) -> None:
    renderer = InstantRenderer(gate=asyncio.Event())
    async with running(settings, renderer) as service:
        task_id = await service.submit(host.url("photo.png"))
        # If the process died now, these files would be what is left.
        data = settings.data_dir
        copy = data.with_name("copy.db")
        for suffix in ("", "-wal"):
            content = data.joinpath(f"tasks.db{suffix}").read_bytes()
            copy.with_name(copy.name + suffix).write_bytes(content)

    def stored() -> list[tuple[int, int, bytes]]:
        connection = sqlite3.connect(copy)
        try:
            return connection.execute(
                "SELECT task_id, status, photo FROM task JOIN input USING (sequence)"
            ).fetchall()
        finally:
            connection.close()

    assert await asyncio.to_thread(stored) == [(task_id, 0, png())]
