"""Changes go to the disk in groups, each by itself; older databases are brought up to date."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from photoanimer_async.service import ServiceSettings
from photoanimer_async.service.storing.database import Database, open_database
from photoanimer_async.service.storing.database_schema import _VERSION_1

from ..conftest import InstantRenderer, PhotoHost, png, running, until


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(tmp_path / "tasks.db") as opened:
        await opened.write(lambda connection: connection.execute("CREATE TABLE note (text UNIQUE)"))
        yield opened


def add(text: str) -> Callable[[sqlite3.Connection], str]:
    def change(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO note VALUES (?)", (text,))
        if text == "second thoughts":
            raise LookupError(text)
        return text

    return change


async def notes(database: Database) -> list[str]:
    rows = await database.read(
        lambda connection: connection.execute("SELECT text FROM note ORDER BY rowid").fetchall()
    )
    return [text for (text,) in rows]


async def test_a_change_can_be_read_when_it_is_reported(database: Database) -> None:
    for text in ("a", "b", "c"):
        assert await database.write(add(text)) == text
        assert (await notes(database))[-1] == text


async def test_one_that_fails_takes_nothing_of_the_others_with_it(database: Database) -> None:
    texts = ["a", "second thoughts", "b", "a", "c"]
    outcomes = await asyncio.gather(
        *(database.write(add(text)) for text in texts), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [
        str,
        LookupError,
        str,
        sqlite3.IntegrityError,
        str,
    ]
    assert await notes(database) == ["a", "b", "c"]


def watch_commits(connection: sqlite3.Connection) -> list[str]:
    """Every commit from now on."""
    commits: list[str] = []
    connection.set_trace_callback(lambda text: commits.append(text) if text == "COMMIT" else None)
    return commits


async def test_what_is_asked_for_at_once_is_committed_together(database: Database) -> None:
    commits = await database.write(watch_commits)
    commits.clear()
    await asyncio.gather(*(database.write(add(f"{number}")) for number in range(50)))
    assert commits == ["COMMIT"]
    assert len(await notes(database)) == 50


async def test_what_waits_for_the_disk_is_committed_together(database: Database) -> None:
    begun, gate = threading.Event(), threading.Event()
    commits = await database.write(watch_commits)
    commits.clear()

    def slow(_: sqlite3.Connection) -> None:
        begun.set()
        gate.wait(30)

    first = asyncio.create_task(database.write(slow))
    await until(begun.is_set)
    others = [asyncio.create_task(database.write(add(f"{number}"))) for number in range(50)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, *others)
    assert len(commits) == 2
    assert len(await notes(database)) == 50


async def test_a_commit_that_fails_fails_only_what_is_to_blame(
    database: Database,
) -> None:
    def prepare(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        connection.execute(
            "CREATE TABLE child (id REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)"
        )

    await database.write(prepare)
    # The pragma has no effect in a transaction, and every change is in one.
    await asyncio.to_thread(database._writing.execute, "PRAGMA foreign_keys = ON")
    bad = database.write(
        lambda connection: connection.execute("INSERT INTO child VALUES (1)").rowcount
    )
    outcomes = await asyncio.gather(
        database.write(add("a")), bad, database.write(add("b")), return_exceptions=True
    )
    assert (outcomes[0], outcomes[2]) == ("a", "b")
    assert "FOREIGN KEY" in str(outcomes[1])
    assert await notes(database) == ["a", "b"]


async def test_who_does_not_wait_any_more_holds_nobody_up(database: Database) -> None:
    waiting = asyncio.create_task(database.write(add("a")))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await database.write(add("b")) == "b"
    assert await notes(database) == ["a", "b"]


async def test_closing_waits_for_what_was_asked_for(tmp_path: Path) -> None:
    async with open_database(tmp_path / "tasks.db") as database:
        await database.write(lambda connection: connection.execute("CREATE TABLE note (text)"))
        under_way = asyncio.create_task(database.write(add("a")))
        await asyncio.sleep(0)
    assert await under_way == "a"
    async with open_database(tmp_path / "tasks.db") as database:
        assert await notes(database) == ["a"]


async def test_another_process_may_write_meanwhile(database: Database, tmp_path: Path) -> None:
    def write() -> None:
        with closing(sqlite3.connect(tmp_path / "tasks.db")) as other, other:
            other.execute("INSERT INTO note VALUES ('from elsewhere')")

    await asyncio.gather(
        asyncio.to_thread(write), *(database.write(add(str(number))) for number in range(20))
    )
    assert "from elsewhere" in await notes(database)


async def test_tasks_of_version_1_are_kept_and_go_on(tmp_path: Path, host: PhotoHost) -> None:
    data = tmp_path / "data"

    def write_version_1() -> None:
        (data / "inputs").mkdir(parents=True)
        (data / "results").mkdir()
        (data / "results" / f"{'F' * 32}.mp4").write_bytes(b"video of earlier")
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
                assert await answer.read() == b"video of earlier"
            assert (await service.end_of(100000000000002))["status"] == 1
            assert (await service.info(100000000000003))["failReason"] == "no face"
    [job] = renderer.jobs
    assert (job.template, job.voice) == (0, data / "inputs" / "100000000000002.voice")
