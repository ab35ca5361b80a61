"""The journal's file: states, money, owners, and what is left of it after a cut."""

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from photoanimer_async import (
    AnimationOptions,
    AnimationRequest,
    Evidence,
    JournalError,
    JournalInUseError,
    State,
)
from photoanimer_async.jobs.journal import DEFERRED, Facts, Journal, Record, read_journal
from photoanimer_async.jobs.journal.entries import NewEntry
from photoanimer_async.jobs.journal.journal_schema import SCHEMA_VERSION
from photoanimer_async.jobs.journal.journal_store import JournalStore
from photoanimer_async.jobs.lifecycle import TRANSITIONS, Event

SERVICE = "http://127.0.0.1:1/api/v1"
URL = "http://photos.example/grandma.jpg?sig=s3cret"
REQUEST = AnimationRequest(URL, AnimationOptions(template=3))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "batch.db"


def planned(store: JournalStore, digest: bytes = b"d", request: AnimationRequest = REQUEST) -> int:
    return store.plan(digest, request, Path("out")).id


def store_with_one(path: Path) -> tuple[JournalStore, int]:
    store = JournalStore(path)
    with store.transaction():
        store.begin_run(SERVICE)
        number = planned(store)
    return store, number


def reopened(store: JournalStore, path: Path) -> JournalStore:
    store.close()
    again = JournalStore(path)
    with again.transaction():
        again.begin_run(SERVICE)
    return again


def test_an_entry_comes_back_as_it_went_in(path: Path, tmp_path: Path) -> None:
    options = AnimationOptions(
        template=0, output_format="gif", voice_url="http://v.example/a.mp3", voice_seconds=9.5
    )
    odd = Path(os.fsdecode(b"/photos/\xff\n'\"\xf0\x9f\x98\x80.jpg"))
    requests = [
        AnimationRequest(URL, options, "gran"),
        AnimationRequest(odd, AnimationOptions(template=5)),
        AnimationRequest("grandma.jpg"),
        AnimationRequest(b"content"),
    ]
    store = JournalStore(path)
    with store.transaction():
        numbers = [
            store.plan(bytes([i]), request, tmp_path / "out").id
            for i, request in enumerate(requests)
        ]
    url, file, relative, content = (store.entry(number) for number in numbers)
    store.close()
    assert url.request == requests[0]
    assert url.cost == 9.5
    assert (url.state, url.folder, url.task_id) == (State.PLANNED, tmp_path / "out", None)
    assert file.request.photo == odd
    assert relative.request.photo == Path("grandma.jpg").absolute()
    assert not content.has_photo
    assert "s3cret" not in repr(url)


@pytest.mark.parametrize("task_id", [471367831765061, 2**80, "471", "a-uuid"])
def test_a_task_id_stays_what_it_was(path: Path, task_id: int | str) -> None:
    store, number = store_with_one(path)
    with store.transaction():
        store.record(Record(number, State.PLANNED, Event.SUBMIT))
        store.record(Record(number, State.SUBMITTING, Event.ACCEPT, Facts(task_id=task_id)))
    assert store.entry(number).task_id == task_id
    store.close()


def test_a_transition_starts_from_the_state_that_it_names_or_not_at_all(path: Path) -> None:
    store, number = store_with_one(path)
    with store.transaction():
        store.record(Record(number, State.PLANNED, Event.SUBMIT))
    with pytest.raises(JournalError, match="no longer planned"), store.transaction():
        store.record(Record(number, State.PLANNED, Event.SUBMIT))
    assert store.entry(number).state is State.SUBMITTING
    store.close()


def test_money_is_what_was_accepted_and_what_may_have_been(path: Path) -> None:
    store = JournalStore(path)
    with store.transaction():
        store.begin_run(SERVICE)
        paid, lost, _ = (planned(store, bytes([i])) for i in range(3))
        for number in (paid, lost):
            store.record(Record(number, State.PLANNED, Event.SUBMIT))
        store.record(Record(paid, State.SUBMITTING, Event.ACCEPT, Facts(task_id=1)))
        store.record(Record(lost, State.SUBMITTING, Event.LOSE))
    summary = store.summary()
    assert (summary.spent, summary.at_risk, summary.planned) == (6.75, 6.75, 6.75)
    assert summary.counts == {State.SUBMITTED: 1, State.AMBIGUOUS: 1, State.PLANNED: 1}
    with store.transaction():
        # A failed task that is tried again is paid for twice.
        store.record(Record(paid, State.SUBMITTED, Event.FAIL))
        store.record(Record(paid, State.FAILED, Event.RETRY))
        store.record(Record(paid, State.PLANNED, Event.SUBMIT))
        store.record(Record(paid, State.SUBMITTING, Event.ACCEPT, Facts(task_id=2)))
    assert (store.summary().spent, store.summary().at_risk) == (2 * 6.75, 6.75)
    store.close()


def test_a_submit_that_its_process_did_not_survive_is_ambiguous(path: Path) -> None:
    store, number = store_with_one(path)
    with store.transaction():
        store.record(
            Record(number, State.PLANNED, Event.SUBMIT, Facts(image_url=URL, submitted_at=1.5))
        )
    store = reopened(store, path)
    entry = store.entry(number)
    assert (entry.state, entry.image_url, entry.submitted_at) == (State.AMBIGUOUS, URL, 1.5)
    assert entry.error is not None
    assert "process ended" in entry.error
    store.close()


def test_a_new_submit_forgets_what_was_known_of_the_last(path: Path) -> None:
    store, number = store_with_one(path)
    with store.transaction():
        store.record(Record(number, State.PLANNED, Event.SUBMIT, Facts(image_url="http://h/1")))
        store.record(Record(number, State.SUBMITTING, Event.LOSE, Facts(error="lost")))
        store.note(number, Facts(evidence=Evidence.NOT_FETCHED))
        store.record(Record(number, State.AMBIGUOUS, Event.RESUBMIT))
        store.record(Record(number, State.PLANNED, Event.SUBMIT, Facts(image_url="http://h/2")))
    entry = store.entry(number)
    assert (entry.image_url, entry.evidence, entry.error) == ("http://h/2", Evidence.NONE, None)
    store.close()


# --- the same batch again ---


def test_the_same_photo_finds_its_entry_again_whatever_its_name(path: Path) -> None:
    store = JournalStore(path)
    with store.transaction():
        store.begin_run(SERVICE)
        first = planned(store, b"x", AnimationRequest(Path("/a.jpg")))
    store = reopened(store, path)
    with store.transaction():
        assert planned(store, b"x", AnimationRequest(Path("/renamed.jpg"))) == first
        assert planned(store, b"y", AnimationRequest(Path("/a.jpg"))) != first
        other = AnimationRequest(Path("/a.jpg"), AnimationOptions(template=5))
        assert planned(store, b"x", other) != first
    assert store.entry(first).request.photo == Path("/renamed.jpg")
    store.close()


def test_a_photo_that_stands_twice_in_a_batch_has_two_entries_each_with_its_name(
    path: Path,
) -> None:
    a, b = AnimationRequest(Path("/a.jpg")), AnimationRequest(Path("/b.jpg"))
    store = JournalStore(path)
    with store.transaction():
        store.begin_run(SERVICE)
        first, second = planned(store, b"x", a), planned(store, b"x", b)
    assert first != second
    store = reopened(store, path)
    with store.transaction():
        assert (planned(store, b"x", b), planned(store, b"x", a)) == (second, first)
        assert planned(store, b"x", a) not in {first, second}
    store.close()


# --- the file ---


def test_the_file_is_its_users_alone(path: Path) -> None:
    JournalStore(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_journal_of_a_newer_version_is_refused(path: Path) -> None:
    JournalStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(JournalError, match=f"version {SCHEMA_VERSION + 1}.*up to"):
        JournalStore(path)


def test_what_is_no_journal_is_left_alone(path: Path, tmp_path: Path) -> None:
    path.write_bytes(b"a photo, perhaps" * 1000)
    with pytest.raises(JournalError, match="is not a journal"):
        JournalStore(path)
    assert path.read_bytes() == b"a photo, perhaps" * 1000
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE mine (a)")
    connection.close()
    with pytest.raises(JournalError, match="not a journal"):
        JournalStore(other)
    with pytest.raises(JournalError, match="No such file"):
        JournalStore(tmp_path / "missing" / "batch.db")


def test_a_full_disk_is_told_and_what_was_there_stays(path: Path) -> None:
    store, number = store_with_one(path)
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(JournalError, match="no space is left"), store.transaction():
        for i in range(1000):
            planned(store, bytes([i % 256]) * 2)
    assert store.entry(number).state is State.PLANNED
    assert store.summary().photos == 1
    store.close()


async def test_a_journal_belongs_to_one_service(path: Path) -> None:
    async with Journal(path, SERVICE):
        pass
    with pytest.raises(JournalError, match=r"belongs to http://127\.0\.0\.1:1/api/v1"):
        async with Journal(path, "https://other.example/api/v1"):
            pass
    async with Journal(path, SERVICE):
        pass


async def test_one_process_owns_a_journal_at_a_time(path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from photoanimer_async.jobs.journal import Journal\n"
        "async def main():\n"
        "    async with Journal(sys.argv[1], 'http://127.0.0.1:1/api/v1'):\n"
        "        print('owned', flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    owner = await asyncio.to_thread(
        lambda: subprocess.Popen(
            [sys.executable, "-c", program, path], stdout=subprocess.PIPE, text=True
        )
    )
    assert owner.stdout is not None
    try:
        assert await asyncio.to_thread(owner.stdout.readline) == "owned\n"
        with pytest.raises(JournalInUseError, match=f"process {owner.pid} uses this journal"):
            async with Journal(path, SERVICE):
                pass
        summary = await asyncio.to_thread(_summary, path)
        assert summary == 0
    finally:
        owner.kill()
        await asyncio.to_thread(owner.wait)
        owner.stdout.close()
    async with Journal(path, SERVICE):
        pass
    assert await asyncio.to_thread(os.listdir, path.parent) == ["batch.db"]


def _summary(path: Path) -> int:
    with read_journal(path) as store:
        return store.summary().photos


async def test_a_journal_that_is_not_there_can_not_be_looked_at(path: Path) -> None:
    with pytest.raises(JournalError, match="no such journal"):
        await asyncio.to_thread(_summary, path)
    assert not await asyncio.to_thread(path.exists)


async def test_a_step_that_is_refused_fails_alone(path: Path) -> None:
    async with Journal(path, SERVICE) as journal:
        a, b = await journal.plan([(b"a", REQUEST), (b"b", REQUEST)], None)
        good = journal.record(a, State.PLANNED, Event.SUBMIT)
        bad = journal.record(b, State.SUBMITTED, Event.FINISH)
        also_good = journal.record(b, State.PLANNED, Event.SUBMIT)
        await good
        await also_good
        with pytest.raises(JournalError, match="no longer submitted"):
            await bad
        assert [entry.state async for entry in journal.entries(*State)] == [State.SUBMITTING] * 2


async def test_steps_that_wait_together_share_a_transaction(path: Path) -> None:
    async with Journal(path, SERVICE) as journal:
        numbers = await journal.plan([(bytes([i]), REQUEST) for i in range(200)], None)
        await asyncio.gather(*(journal.record(n, State.PLANNED, Event.SUBMIT) for n in numbers))
        assert (await journal.summary()).counts == {State.SUBMITTING: 200}
        assert await asyncio.to_thread(os.path.getsize, f"{path}-wal") < 100 * 4096


# --- what nobody waits for ---


async def test_a_new_photo_is_on_disk_when_its_first_step_is(path: Path) -> None:
    async with Journal(path, SERVICE) as journal:
        entries = [await journal.plan_one(bytes([i]), REQUEST, None) for i in range(3)]
        await journal.record(entries[1].id, State.PLANNED, Event.SUBMIT)
        assert await asyncio.to_thread(_states, path) == {
            entries[0].id: State.PLANNED,
            entries[1].id: State.SUBMITTING,
            entries[2].id: State.PLANNED,
        }
        assert [entry async for entry in journal.entries(State.PLANNED)] == entries[::2]


async def test_planning_the_same_batch_again_finds_what_was_planned_without_waiting(
    path: Path,
) -> None:
    async with Journal(path, SERVICE) as journal:
        first = await journal.plan_one(b"a", REQUEST, None)
        (second,) = await journal.plan([(b"b", REQUEST)], None)
    async with Journal(path, SERVICE) as journal:
        (third,) = await journal.plan([(b"c", REQUEST)], None)
        assert await journal.plan([(b"b", REQUEST)], None) == [second]
        assert (await journal.plan_one(b"a", REQUEST, None)).id == first.id
        assert await journal.planned(third, REQUEST, None) == await journal.entry(third)
        assert len({first.id, second, third}) == 3


async def test_leisurely_records_keep_their_order_and_are_written_at_the_end(path: Path) -> None:
    async with Journal(path, SERVICE) as journal:
        a = (await journal.plan_one(b"a", REQUEST, None)).id
        b = (await journal.plan_one(b"b", REQUEST, None)).id
        first = journal.record(a, State.PLANNED, Event.SUBMIT, within=DEFERRED)
        await journal.record(a, State.SUBMITTING, Event.ACCEPT, Facts(task_id=1))
        assert first.done()
        last = [
            journal.record(a, State.SUBMITTED, Event.FINISH, within=DEFERRED),
            journal.record(b, State.PLANNED, Event.REFUSE, within=DEFERRED),
        ]
    await asyncio.gather(*last)
    assert await asyncio.to_thread(_states, path) == {a: State.FINISHED, b: State.FAILED}


async def test_a_refused_step_takes_no_new_photo_with_it(path: Path) -> None:
    async with Journal(path, SERVICE) as journal:
        a = (await journal.plan_one(b"a", REQUEST, None)).id
        refused = journal.record(a, State.SUBMITTED, Event.FINISH)
        b = (await journal.plan_one(b"b", REQUEST, None)).id
        with pytest.raises(JournalError, match="no longer submitted"):
            await refused
        await journal.record(b, State.PLANNED, Event.SUBMIT)
    assert await asyncio.to_thread(_states, path) == {a: State.PLANNED, b: State.SUBMITTING}


async def test_a_photo_that_could_not_be_written_down_is_told_why_at_its_first_step(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_all, full = JournalStore.add_all, [True]

    def add_or_fail(store: JournalStore, entries: Sequence[NewEntry]) -> None:
        if entries and full:
            raise JournalError("no space is left")
        add_all(store, entries)

    monkeypatch.setattr(JournalStore, "add_all", add_or_fail)
    async with Journal(path, SERVICE) as journal:
        lost = (await journal.plan_one(b"a", REQUEST, None)).id
        with pytest.raises(JournalError, match="no space is left"):
            await journal.summary()
        full.clear()
        kept = (await journal.plan_one(b"b", REQUEST, None)).id
        told = journal.record(lost, State.PLANNED, Event.SUBMIT)
        await journal.record(kept, State.PLANNED, Event.SUBMIT)
        with pytest.raises(JournalError, match="no space is left"):
            await told


def _states(path: Path) -> dict[int, State]:
    with read_journal(path) as store:
        return {entry.id: entry.state for entry in store.entries([*State])}


# --- any sequence of events, any reopening, any cut ---


class JournalMachine(RuleBasedStateMachine):
    """The store beside a model that is a dictionary; commits are what must survive.

    A cut copies the file with its WAL ended somewhere, as a crash may leave it, and compares
    with what had been committed by then.
    """

    photos = Bundle("photos")

    @initialize()
    def open(self) -> None:
        self.folder = Path(self.make_folder())
        self.path = self.folder / "batch.db"
        self.states: dict[int, State] = {}
        self.store = JournalStore(self.path)
        with self.store.transaction():
            self.store.begin_run(SERVICE)
        self.store._connection.execute("PRAGMA wal_autocheckpoint = 0")
        self.commits = [(self.wal_size(), dict(self.states))]

    @staticmethod
    def make_folder() -> str:
        import tempfile  # noqa: PLC0415 - a machine has no fixtures

        return tempfile.mkdtemp(prefix="journal-machine-")

    def wal_size(self) -> int:
        wal = self.path.with_name("batch.db-wal")
        return wal.stat().st_size if wal.exists() else 0

    def committed(self) -> None:
        self.commits.append((self.wal_size(), dict(self.states)))

    @rule(target=photos, digest=st.binary(min_size=1, max_size=2))
    def plan(self, digest: bytes) -> int:
        with self.store.transaction():
            number = self.store.plan(digest, REQUEST, None).id
        self.states.setdefault(number, State.PLANNED)
        self.committed()
        return number

    @rule(number=photos, event=st.sampled_from(Event))
    def record(self, number: int, event: Event) -> None:
        state = self.states[number]
        if (state, event) not in TRANSITIONS:
            with pytest.raises(LookupError), self.store.transaction():
                self.store.record(Record(number, state, event))
            return
        with self.store.transaction():
            self.store.record(Record(number, state, event, Facts(task_id=number, error="why")))
        self.states[number] = TRANSITIONS[state, event]
        self.committed()

    @rule(number=photos, event=st.sampled_from(Event), state=st.sampled_from(State))
    def record_from_another_state(self, number: int, event: Event, state: State) -> None:
        if state is self.states[number] or (state, event) not in TRANSITIONS:
            return
        with pytest.raises(JournalError), self.store.transaction():
            self.store.record(Record(number, state, event))

    @rule(number=photos, digest=st.binary(max_size=2))
    def fail_in_the_middle(self, number: int, digest: bytes) -> None:
        with pytest.raises(ZeroDivisionError), self.store.transaction():
            self.store.plan(digest, REQUEST, None)
            self.store.note(number, Facts(error="never"))
            raise ZeroDivisionError

    @rule()
    def reopen(self) -> None:
        self.store = reopened(self.store, self.path)
        self.store._connection.execute("PRAGMA wal_autocheckpoint = 0")
        for number, state in self.states.items():
            if state is State.SUBMITTING:
                self.states[number] = State.AMBIGUOUS
        # Closing has moved everything into the file itself: no cut reaches behind this.
        self.commits = [(self.wal_size(), dict(self.states))]

    @precondition(lambda self: len(self.commits) > 1)
    @rule(data=st.data())
    def cut(self, data: st.DataObject) -> None:
        shortest, longest = self.commits[0][0], self.commits[-1][0]
        size = data.draw(st.integers(shortest, longest), label="bytes of the WAL that are left")
        copy = self.folder / "cut.db"
        shutil.copy(self.path, copy)
        wal = self.path.with_name("batch.db-wal").read_bytes()[:size]
        copy.with_name("cut.db-wal").write_bytes(wal)
        _, expected = [commit for commit in self.commits if commit[0] <= size][-1]
        store = JournalStore(copy)
        try:
            assert {entry.id: entry.state for entry in store.entries([*State])} == expected
        finally:
            store.close()
            copy.unlink()

    @invariant()
    def holds_what_was_committed(self) -> None:
        if hasattr(self, "store"):
            assert {e.id: e.state for e in self.store.entries([*State])} == self.states
            counts = self.store.summary().counts
            assert sum(counts.values()) == len(self.states)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(
    max_examples=30,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
