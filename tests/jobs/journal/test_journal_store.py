"""The journal's file: states, money, and any sequence of events, reopenings and cuts."""

import shutil
import sqlite3
import stat
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
    State,
)
from photoanimer_async.jobs.journal import Facts, Record
from photoanimer_async.jobs.journal.entries import NewEntry, key_of
from photoanimer_async.jobs.journal.journal_schema import SCHEMA_VERSION
from photoanimer_async.jobs.journal.journal_store import JournalStore
from photoanimer_async.jobs.lifecycle import TRANSITIONS, Event

from ...support.journals import REQUEST, SERVICE, URL, planned, reopened, store_with_one


def test_an_event_needs_the_state_that_it_names(path: Path) -> None:
    store, number = store_with_one(path)
    with store.transaction():
        store.record(Record(number, State.PLANNED, Event.SUBMIT))
    with pytest.raises(JournalError, match="no longer planned"), store.transaction():
        store.record(Record(number, State.PLANNED, Event.SUBMIT))
    assert store.entry(number).state is State.SUBMITTING
    store.close()


@pytest.mark.parametrize("count", [1, 63, 200])
def test_records_that_share_a_statement_keep_their_own_values(path: Path, count: int) -> None:
    requests = {
        number: AnimationRequest(
            f"http://photos.example/{number}", AnimationOptions(template=number % 3)
        )
        for number in range(1, count + 1)
    }
    store = JournalStore(path)
    with store.transaction():
        store.begin_run(SERVICE)
        store.add_all([NewEntry(n, bytes([n]), request, None) for n, request in requests.items()])
        store.record_all([Record(n, State.PLANNED, Event.SUBMIT) for n in requests])
        store.record_all(
            [
                Record(
                    n, State.SUBMITTING, Event.ACCEPT, Facts(task_id=n, image_url=f"http://{n}/")
                )
                for n in requests
            ]
        )
    found = {entry.id: entry for entry in store.entries([State.SUBMITTED])}
    assert {number: entry.request for number, entry in found.items()} == requests
    assert {n: (entry.task_id, entry.image_url) for n, entry in found.items()} == {
        n: (n, f"http://{n}/") for n in requests
    }
    assert [key for key, _ in store.states()] == [
        key_of(bytes([n]), request.options) for n, request in requests.items()
    ]
    store.close()


def test_spent_and_at_risk_add_up(path: Path) -> None:
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
        store.record(Record(paid, State.SUBMITTING, Event.ACCEPT, Facts(task_id=2)))
    assert (store.summary().spent, store.summary().at_risk) == (2 * 6.75, 6.75)
    store.close()


def test_a_submit_left_open_by_the_last_owner_is_ambiguous(path: Path) -> None:
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


def test_a_new_submit_clears_the_facts_of_the_last(path: Path) -> None:
    store, number = store_with_one(path)
    with store.transaction():
        store.record(Record(number, State.PLANNED, Event.SUBMIT, Facts(image_url="http://h/1")))
        store.record(Record(number, State.SUBMITTING, Event.LOSE, Facts(error="lost")))
        store.annotate(number, Facts(evidence=Evidence.NOT_FETCHED))
        store.record(Record(number, State.AMBIGUOUS, Event.RESUBMIT, Facts(image_url="http://h/2")))
    entry = store.entry(number)
    assert (entry.image_url, entry.evidence, entry.error) == ("http://h/2", Evidence.NONE, None)
    store.close()


def test_a_renamed_photo_finds_its_entry(path: Path) -> None:
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


def test_a_photo_twice_in_a_batch_has_two_entries(
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


def test_the_file_is_readable_by_its_owner_only(path: Path) -> None:
    JournalStore(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_newer_version_is_refused(path: Path) -> None:
    JournalStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(JournalError, match=f"version {SCHEMA_VERSION + 1}.*up to"):
        JournalStore(path)


def test_other_files_are_refused_and_unchanged(path: Path, tmp_path: Path) -> None:
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


def test_a_full_disk_raises_and_keeps_the_content(path: Path) -> None:
    store, number = store_with_one(path)
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(JournalError, match="no space is left"), store.transaction():
        for i in range(1000):
            planned(store, bytes([i % 256]) * 2)
    assert store.entry(number).state is State.PLANNED
    assert store.summary().photos == 1
    store.close()


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
            self.store.annotate(number, Facts(error="never"))
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
