"""A journal that is damaged, incomplete, deleted or replaced is an error."""

import asyncio
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from photoanimer_async import (
    AnimationOptions,
    AnimationRequest,
    JournalError,
    PhotoAnimerClient,
    State,
)
from photoanimer_async.jobs.journal import Facts, Journal, Record
from photoanimer_async.jobs.journal.journal_store import JournalStore
from photoanimer_async.jobs.lifecycle import TRANSITIONS, Event

from ...support.batches import outcomes_of, urls
from ...support.stub_service import StubService

SERVICE = "http://127.0.0.1:1/api/v1"
REQUESTS = [
    AnimationRequest(f"http://h/{i}.jpg", AnimationOptions(template=i % 6)) for i in range(60)
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "batch.db"


def fill(store: JournalStore) -> None:
    """Photos in all states of a job that goes well."""
    with store.transaction():
        store.begin_run(SERVICE)
        for i, request in enumerate(REQUESTS):
            number = store.plan(bytes([i]), request, Path("/out")).id
            state = State.PLANNED
            for event in (Event.SUBMIT, Event.ACCEPT, Event.FINISH, Event.SAVE)[: i % 5]:
                facts = Facts(task_id=i, path=Path("/out/a.mp4"), error="why")
                store.record(Record(number, state, event, facts))
                state = TRANSITIONS[state, event]


def use(path: Path) -> int:
    """Do all that a batch does with a journal, and return how many photos it has then."""
    store = JournalStore(path)
    try:
        store.require_sound()
        with store.transaction():
            store.begin_run(SERVICE)
        store.merge()
        with store.transaction():
            for i, request in enumerate(REQUESTS):
                store.plan(bytes([i]), request, Path("/out"))
        assert len(list(store.entries([*State]))) == len(list(store.states()))
        return store.summary().photos
    finally:
        store.close()


def damaged(content: bytes, rng: Random) -> bytes:
    place, size = rng.randrange(len(content)), rng.choice([1, 100, 4096])
    match rng.randrange(4):
        case 0:
            return content[:place]
        case 1:
            changed = bytearray(content)
            for _ in range(rng.choice([1, 1, 3, 30])):
                changed[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            return bytes(changed)
        case 2:
            return content[:place] + rng.randbytes(size) + content[place + size :]
        case _:
            return content[:place] + bytes(size) + content[place + size :]


def test_a_damaged_journal_is_an_error_or_has_all_its_photos(path: Path, tmp_path: Path) -> None:
    store = JournalStore(path)
    fill(store)
    store.close()
    content = path.read_bytes()
    rng = Random(20261126)
    copy = tmp_path / "damaged" / "batch.db"
    copy.parent.mkdir()
    errors: list[JournalError] = []
    for _ in range(100):
        copy.write_bytes(damaged(content, rng))
        try:
            assert use(copy) == len(REQUESTS)
        except JournalError as error:
            errors.append(error)
        for left in copy.parent.iterdir():
            left.unlink()
    assert len(errors) > 50
    assert all(str(error).isprintable() for error in errors)


@pytest.mark.parametrize("damage", ["cut", "index", "other database", "text"])
async def test_a_batch_with_a_damaged_journal_sends_nothing(
    client: PhotoAnimerClient, results: StubService, journal: Path, tmp_path: Path, damage: str
) -> None:
    await outcomes_of(client, urls(30), journal=journal, save_to=tmp_path / "out")

    def spoil() -> None:
        content = journal.read_bytes()
        match damage:
            case "cut":
                journal.write_bytes(content[: len(content) // 2])
            case "index":
                with sqlite3.connect(journal) as connection:
                    (key,) = connection.execute("SELECT key FROM photos WHERE id = 7").fetchone()
                connection.close()
                journal.write_bytes(content.replace(key, bytes(16), 1))
            case "other database":
                journal.unlink()
                with sqlite3.connect(journal) as connection:
                    connection.execute("CREATE TABLE photos (id INTEGER PRIMARY KEY)")
                connection.close()
            case _:
                journal.write_text("photo,template\n")

    await asyncio.to_thread(spoil)
    with pytest.raises(JournalError):
        await outcomes_of(client, urls(30), journal=journal, save_to=tmp_path / "out")
    with pytest.raises(JournalError):
        [outcome async for outcome in client.resume(journal)]
    assert len(results.submits) == 30


KILLED = """
import asyncio, os, signal, sys
from photoanimer_async import AnimationRequest
from photoanimer_async.jobs.journal import Facts, Journal
from photoanimer_async.jobs.lifecycle import Event, State
async def main():
    async with Journal(sys.argv[1], sys.argv[2]) as journal:
        request = AnimationRequest("http://h/a.jpg")
        for i in range(int(sys.argv[3])):
            (number,) = await journal.plan([(i.to_bytes(4), request)], None)
            await journal.record(number, State.PLANNED, Event.SUBMIT)
            await journal.record(number, State.SUBMITTING, Event.ACCEPT, Facts(task_id=i))
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


def killed_after(photos: int, path: Path) -> None:
    arguments = [sys.executable, "-c", KILLED, str(path), SERVICE, str(photos)]
    assert subprocess.run(arguments, check=False).returncode == -signal.SIGKILL


@pytest.mark.parametrize("photos", [0, 20])
def test_a_copy_without_the_file_beside_it_is_not_complete(
    path: Path, tmp_path: Path, photos: int
) -> None:
    killed_after(photos, path)
    copy = tmp_path / "copy" / "batch.db"
    copy.parent.mkdir()
    shutil.copy(path, copy)
    for _ in range(2):
        with pytest.raises(JournalError, match=r"latest records were in batch\.db-wal"):
            JournalStore(copy)
    shutil.copy(f"{path}-wal", f"{copy}-wal")
    for place in (copy, path):
        store = JournalStore(place)
        assert store.summary().photos == photos
        store.close()
        # Now all is merged, and a copy of the file alone is complete.
        alone = tmp_path / "alone.db"
        shutil.copy(place, alone)
        store = JournalStore(alone)
        assert store.summary().counts == ({State.SUBMITTED: photos} if photos else {})
        store.close()


def test_a_journal_that_other_programs_have_merged_is_complete(path: Path) -> None:
    killed_after(3, path)
    with sqlite3.connect(path) as connection:
        connection.execute("SELECT count(*) FROM photos").fetchone()
    connection.close()
    assert not Path(f"{path}-wal").exists()
    store = JournalStore(path)
    assert store.summary().photos == 3
    store.close()


def test_a_large_sidecar_is_merged_and_the_file_marked(path: Path) -> None:
    store = JournalStore(path)
    fill(store)
    store.merge()
    large = AnimationRequest("http://h/" + 1000 * "x")
    for _ in range(3):
        with store.transaction():
            for i in range(2000):
                store.plan(i.to_bytes(4), large, None)
        store.merge_if_large()
    assert Path(f"{path}-wal").stat().st_size < 4 * 2**20
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    with pytest.raises(JournalError, match="not complete"):
        JournalStore(copy)
    store.close()


def test_a_journal_of_an_older_program_gets_its_mark(path: Path) -> None:
    JournalStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE sidecar")
    connection.close()
    store = JournalStore(path)
    assert store.summary().photos == 0
    store.close()
    killed_after(2, path)
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    with pytest.raises(JournalError, match="not complete"):
        JournalStore(copy)


def test_damage_in_the_file_beside_it_hides_no_photo(path: Path, tmp_path: Path) -> None:
    killed_after(20, path)
    wal = Path(f"{path}-wal").read_bytes()
    rng = Random(20261127)
    copy = tmp_path / "damaged" / "batch.db"
    copy.parent.mkdir()
    errors = 0
    for _ in range(60):
        shutil.copy(path, copy)
        place = rng.randrange(len(wal))
        changed = wal[:place] + bytes([wal[place] ^ 1 << rng.randrange(8)]) + wal[place + 1 :]
        Path(f"{copy}-wal").write_bytes(changed)
        try:
            store = JournalStore(copy)
            try:
                store.require_sound()
                # What a power cut leaves: the last transaction is missing, at most.
                assert store.summary().photos == 20
                assert store.summary().counts[State.SUBMITTED] >= 19
            finally:
                store.close()
        except JournalError:
            errors += 1
        for left in copy.parent.iterdir():
            left.unlink()
    assert errors > 40


def test_what_a_power_cut_leaves_of_the_last_transaction_is_no_damage(
    path: Path, tmp_path: Path
) -> None:
    killed_after(3, path)
    wal = Path(f"{path}-wal").read_bytes()
    copy = tmp_path / "cut.db"
    for cut in (1, 5000):
        shutil.copy(path, copy)
        Path(f"{copy}-wal").write_bytes(wal[:-cut])
        store = JournalStore(copy)
        store.require_sound()
        assert store.summary().photos == 3
        store.close()


@pytest.mark.parametrize("name", ["batch.db", "batch.db-wal"])
@pytest.mark.parametrize("replaced", [False, True])
async def test_a_journal_that_is_deleted_while_it_is_used_is_an_error(
    path: Path, name: str, replaced: bool
) -> None:
    async with Journal(path, SERVICE) as journal:
        (number,) = await journal.plan([(b"a", REQUESTS[0])], None)
        file = path.with_name(name)
        await asyncio.to_thread(file.rename, path.with_name("away"))
        if replaced:
            await asyncio.to_thread(file.touch)
        with pytest.raises(JournalError, match=f"{name}: was deleted or replaced"):
            await journal.record(number, State.PLANNED, Event.SUBMIT)
