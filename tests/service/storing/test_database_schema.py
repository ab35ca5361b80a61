"""Migration of older databases."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from photoanimer_async.service import ServiceSettings, SetupError
from photoanimer_async.service.storing.database import open_database
from photoanimer_async.service.storing.database_schema import _VERSION_1

from ..conftest import InstantRenderer, PhotoHost, png, running


async def test_tasks_of_version_1_continue(tmp_path: Path, host: PhotoHost) -> None:
    data = tmp_path / "data"

    def write_version_1() -> None:
        (data / "inputs").mkdir(parents=True)
        (data / "results").mkdir()
        (data / "results" / f"{'F' * 32}.mp4").write_bytes(b"earlier video")
        (data / "inputs" / "100000000000002.photo").write_bytes(png())
        (data / "inputs" / "100000000000002.voice").write_bytes(b"a sound")
        with closing(sqlite3.connect(data / "tasks.db")) as connection:
            connection.executescript(f"{_VERSION_1} PRAGMA user_version = 1;")
            connection.executemany(
                "INSERT INTO task (task_id, template, gif, voice, token, origin, status, fail_code,"
                " fail_reason) VALUES (?, ?, 0, ?, ?, 'http://127.0.0.1:1', ?, ?, ?)",
                [
                    (100000000000001, 1, 0, "F" * 32, 1, None, None),
                    (100000000000002, 0, 1, "O" * 32, 0, None, None),
                    (100000000000003, 1, 0, "X" * 32, 2, 7001, "no face"),
                ],
            )
            connection.commit()

    await asyncio.to_thread(write_version_1)
    renderer = InstantRenderer()
    settings = ServiceSettings(data_dir=data, port=0, drain_seconds=0)
    for _ in range(2):
        async with running(settings, renderer) as service:
            finished = await service.info(100000000000001)
            async with service.session.get(finished["resultUrl"]) as answer:
                assert await answer.read() == b"earlier video"
            assert (await service.end_of(100000000000002))["status"] == 1
            assert (await service.info(100000000000003))["failReason"] == "no face"
    [job] = renderer.jobs
    assert (job.template, job.voice) == (0, data / "inputs" / "100000000000002.voice")


async def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"

    def write_newer() -> None:
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()

    await asyncio.to_thread(write_newer)
    with pytest.raises(SetupError, match=r"has version 99 .* supports up to version 3"):
        await open_database(path).__aenter__()
