"""Where a journal may be, what it may be, and that it has one owner under all its names."""

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest

from photoanimer_async import JournalError, JournalInUseError, PhotoAnimerClient
from photoanimer_async.jobs.journal import Journal, read_journal
from photoanimer_async.jobs.journal import journal_opening as opening
from photoanimer_async.jobs.journal.journal_schema import STATEMENTS
from photoanimer_async.jobs.journal.journal_store import JournalStore

from ...support.batches import outcomes_of, read_all, urls
from ...support.stub_service import StubService

SERVICE = "http://127.0.0.1:1/api/v1"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "batch.db"


@pytest.mark.parametrize("name", ["", ".", "/", "a\0b", "a\ud800b", "/dev/null", "x" * 300])
async def test_a_name_that_is_no_file_is_an_error_at_once(
    client: PhotoAnimerClient,
    stub: StubService,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(JournalError) as caught:
        await outcomes_of(client, urls(1), journal=name)
    assert str(caught.value).isprintable()
    with pytest.raises(JournalError):
        [outcome async for outcome in client.resume(name)]
    assert stub.requests == []
    assert await asyncio.to_thread(os.listdir, tmp_path) == []


async def test_a_journal_called_memory_is_a_file(
    client: PhotoAnimerClient, results: StubService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        await outcomes_of(client, urls(2), journal=":memory:", save_to="out")
    assert len(results.submits) == 2


async def test_resuming_a_journal_that_is_not_there_creates_nothing(
    client: PhotoAnimerClient, stub: StubService, path: Path
) -> None:
    with pytest.raises(JournalError, match="no such journal"):
        [outcome async for outcome in client.resume(path)]
    assert await asyncio.to_thread(os.listdir, path.parent) == []
    assert stub.requests == []


async def test_a_symbolic_link_names_the_same_journal(path: Path, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "other.db"
    await asyncio.to_thread(link.symlink_to, path)
    async with Journal(link, SERVICE):
        with pytest.raises(JournalInUseError):
            async with Journal(path, SERVICE):
                pass
    assert await asyncio.to_thread(os.listdir, link.parent) == ["other.db"]
    async with Journal(path, SERVICE):
        with pytest.raises(JournalInUseError):
            async with Journal(link, SERVICE):
                pass


def test_a_journal_with_two_hard_links_is_refused(path: Path, tmp_path: Path) -> None:
    JournalStore(path).close()
    (tmp_path / "twice.db").hardlink_to(path)
    with pytest.raises(JournalError, match="hard links"):
        JournalStore(path)


def test_an_empty_file_is_a_lost_journal(path: Path) -> None:
    path.touch()
    with pytest.raises(JournalError, match="is empty"):
        JournalStore(path)


def test_a_journal_appears_complete_or_not_at_all(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "STATEMENTS", (*STATEMENTS[:2], "no SQL"))
    with pytest.raises(JournalError):
        JournalStore(path)
    assert os.listdir(path.parent) == []  # noqa: PTH208 - names
    path.with_name(f".{path.name}.new").write_bytes(b"left by a killed process")
    monkeypatch.setattr(opening, "STATEMENTS", STATEMENTS)
    JournalStore(path).close()
    assert os.listdir(path.parent) == ["batch.db"]  # noqa: PTH208


async def test_without_shared_memory_the_journal_is_locked_as_a_whole(
    client: PhotoAnimerClient, results: StubService, journal: Path, tmp_path: Path
) -> None:
    """A folder where SQLite's shared memory would be stands for a drive that has none."""
    await asyncio.to_thread(Path(f"{journal}-shm").mkdir)
    for _ in range(2):
        outcomes = await outcomes_of(client, urls(5), journal=journal, save_to=tmp_path / "out")
        assert all(outcome.ok for outcome in outcomes)
    assert len(results.submits) == 5
    assert (await read_all(journal))[0].spent == 5 * 7.13


async def test_without_shared_memory_the_error_asks_a_reader_to_wait(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "BUSY_SECONDS", 0.05)
    await asyncio.to_thread(Path(f"{path}-shm").mkdir)

    def read() -> None:
        with read_journal(path) as store:
            store.summary()

    async with Journal(path, SERVICE):
        with pytest.raises(JournalError):
            await asyncio.to_thread(read)
    await asyncio.to_thread(read)


def test_a_drive_without_any_locks_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> sqlite3.Connection:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_LOCK
        raise error

    JournalStore(path).close()
    monkeypatch.setattr(opening, "_connect", refuse)
    with pytest.raises(JournalError, match="needs a disk with file locks"):
        JournalStore(path)
