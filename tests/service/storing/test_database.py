"""Changes that are committed in groups."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from photoanimer_async.service import SetupError
from photoanimer_async.service.storing.database import Database, open_database
from photoanimer_async.service.storing.database_schema import migrate

from ..conftest import until


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(tmp_path / "tasks.db") as opened:
        await opened.write(lambda connection: connection.execute("CREATE TABLE note (text UNIQUE)"))
        yield opened


def add(text: str) -> Callable[[sqlite3.Connection], str]:
    def change(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO note VALUES (?)", (text,))
        if text == "fails":
            raise LookupError(text)
        return text

    return change


async def notes(database: Database) -> list[str]:
    rows = await database.read(
        lambda connection: connection.execute("SELECT text FROM note ORDER BY rowid").fetchall()
    )
    return [text for (text,) in rows]


async def test_a_change_can_be_read_once_it_is_written(database: Database) -> None:
    for text in ("a", "b", "c"):
        assert await database.write(add(text)) == text
        assert (await notes(database))[-1] == text


async def test_a_change_that_fails_does_not_affect_the_others(database: Database) -> None:
    texts = ["a", "fails", "b", "a", "c"]
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
    """The commits from now on."""
    commits: list[str] = []
    connection.set_trace_callback(lambda text: commits.append(text) if text == "COMMIT" else None)
    return commits


async def test_simultaneous_changes_are_committed_together(database: Database) -> None:
    commits = await database.write(watch_commits)
    commits.clear()
    await asyncio.gather(*(database.write(add(f"{number}")) for number in range(50)))
    assert commits == ["COMMIT"]
    assert len(await notes(database)) == 50


async def test_changes_that_wait_for_a_commit_are_committed_together(database: Database) -> None:
    started, gate = threading.Event(), threading.Event()
    commits = await database.write(watch_commits)
    commits.clear()

    def slow(_: sqlite3.Connection) -> None:
        started.set()
        gate.wait(300)

    first = asyncio.create_task(database.write(slow))
    await until(started.is_set)
    others = [asyncio.create_task(database.write(add(f"{number}"))) for number in range(50)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, *others)
    assert len(commits) == 2
    assert len(await notes(database)) == 50


async def test_a_failed_commit_fails_only_the_change_that_caused_it(
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


async def test_a_cancelled_change_does_not_delay_others(database: Database) -> None:
    waiting = asyncio.create_task(database.write(add("a")))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await database.write(add("b")) == "b"
    assert await notes(database) == ["a", "b"]


async def test_a_change_can_outlast_the_cancellation_of_its_caller(database: Database) -> None:
    done: list[str] = []
    started, gate = threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection) -> str:
        started.set()
        gate.wait(300)
        return add("a")(connection)

    async def caller() -> None:
        done.append(await database.write_despite_cancel(slow))
        await asyncio.sleep(0)
        done.append("not reached")

    waiting = asyncio.create_task(caller())
    await until(started.is_set)
    for _ in range(2):
        waiting.cancel()
        await asyncio.sleep(0)
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert done == await notes(database) == ["a"]
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await database.write_despite_cancel(lambda each: each.execute("SELECT * FROM missing"))


async def test_closing_waits_for_queued_changes(tmp_path: Path) -> None:
    async with open_database(tmp_path / "tasks.db") as database:
        await database.write(lambda connection: connection.execute("CREATE TABLE note (text)"))
        under_way = asyncio.create_task(database.write(add("a")))
        await asyncio.sleep(0)
    assert await under_way == "a"
    async with open_database(tmp_path / "tasks.db") as database:
        assert await notes(database) == ["a"]


async def test_a_change_that_comes_too_late_raises(tmp_path: Path) -> None:
    async with open_database(tmp_path / "tasks.db") as database:
        pass
    async with asyncio.timeout(60):
        for _ in range(2):
            with pytest.raises(RuntimeError, match="shutdown"):
                await database.write(add("late"))


async def test_another_process_may_write_too(database: Database, tmp_path: Path) -> None:
    def write() -> None:
        with closing(sqlite3.connect(tmp_path / "tasks.db")) as other, other:
            other.execute("INSERT INTO note VALUES ('from elsewhere')")

    await asyncio.gather(
        asyncio.to_thread(write), *(database.write(add(str(number))) for number in range(20))
    )
    assert "from elsewhere" in await notes(database)


@pytest.mark.parametrize("content", [b"no database" * 100, b"SQLite format 3\0" + bytes(84)])
async def test_a_file_that_is_not_a_database_is_not_changed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tasks.db"
    path.write_bytes(content)
    with pytest.raises(SetupError, match=r"tasks\.db is damaged"):
        await open_database(path).__aenter__()
    assert path.read_bytes() == content


@pytest.mark.parametrize("beside", ["tasks.db-wal", "results/a.mp4"])
async def test_a_database_that_has_lost_its_content_is_not_taken_for_a_new_one(
    tmp_path: Path, beside: str
) -> None:
    (tmp_path / "tasks.db").touch()
    (tmp_path / beside).parent.mkdir(exist_ok=True)
    (tmp_path / beside).write_bytes(b"what was there before")
    with pytest.raises(SetupError, match=r"tasks\.db is damaged \(it is empty\)"):
        await open_database(tmp_path / "tasks.db").__aenter__()
    assert (tmp_path / beside).read_bytes() == b"what was there before"


async def test_a_database_of_an_earlier_version_can_give_back_space(tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"

    def write_earlier() -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as earlier:
            earlier.execute("PRAGMA journal_mode = WAL")
            migrate(earlier, path)
            earlier.execute("INSERT INTO account (name) VALUES ('anna')")

    await asyncio.to_thread(write_earlier)
    async with open_database(path) as database:
        mode = await database.read(lambda each: each.execute("PRAGMA auto_vacuum").fetchone())
        names = await database.read(
            lambda each: each.execute("SELECT name FROM account").fetchall()
        )
    assert mode == (2,)
    assert names == [("",), ("anna",)]


async def test_changes_can_be_made_while_space_is_given_back(database: Database) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(database.write(add(str(number))))
            group.create_task(database.give_back_space())
    assert len(await notes(database)) == 20


async def test_another_programs_database_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE task (what TEXT)")
    with pytest.raises(SetupError, match="the database of another program"):
        await open_database(path).__aenter__()
    with closing(sqlite3.connect(path)) as other:
        assert len(other.execute("SELECT name FROM sqlite_schema").fetchall()) == 1


@pytest.mark.parametrize("table", ["account", "ledger", "notification", "task"])
async def test_a_damaged_table_is_found_when_the_database_is_opened(
    tmp_path: Path, table: str
) -> None:
    path = tmp_path / "tasks.db"
    async with open_database(path):
        pass
    with closing(sqlite3.connect(path)) as raw:
        (page,) = raw.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)
        ).fetchone()
        (size,) = raw.execute("PRAGMA page_size").fetchone()
    content = bytearray(path.read_bytes())
    content[(page - 1) * size : page * size] = b"\xa5" * size
    path.write_bytes(content)
    with pytest.raises(SetupError, match=r"tasks\.db is damaged .*: put a backup in its place"):
        await open_database(path).__aenter__()


async def test_the_check_of_a_large_database_does_not_delay_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("photoanimer_async.service.storing.database._CHECK_SECONDS", -1)
    monkeypatch.setattr("photoanimer_async.service.storing.database._STEPS_BETWEEN_CHECKS", 1)
    async with open_database(tmp_path / "tasks.db") as database:
        assert await database.read(lambda each: each.execute("SELECT 1").fetchone()) == (1,)
