"""The journal's rows, one for each photo. Blocking, for one thread at a time.

Every change of a state is compare-and-set: it names the state that it starts from, and changes
nothing if the row is in another. What a submit has cost, or may have cost, is added up in the
same statement, so that the money cannot disagree with the states.

The file is in WAL mode with `synchronous=FULL`: a committed transaction survives the process,
and a power cut as far as the disk honours a sync.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from photoanimer_async.errors import JournalError
from photoanimer_async.jobs.budget import price
from photoanimer_async.jobs.journal.entries import (
    REQUEST_COLUMNS,
    Column,
    Entry,
    Facts,
    NewEntry,
    Record,
    RefusedStepError,
    Summary,
    columns_of,
    entry_of,
    key_of,
    photo_of,
)
from photoanimer_async.jobs.journal.journal_file import JournalFile
from photoanimer_async.jobs.journal.journal_schema import SIDECAR
from photoanimer_async.jobs.lifecycle import Event, State, apply
from photoanimer_async.models import AnimationRequest, Location, Photo
from photoanimer_async.redaction import printable, shown_url

_ALSO = {
    Event.SUBMIT: "image_url = NULL, evidence = 'nothing', error = NULL",
    Event.ACCEPT: "spent = spent + cost",
    Event.LOSE: "at_risk = at_risk + cost",
    Event.RETRY: "task_id = NULL, seconds = NULL",
}
_PAGE = 500


class JournalStore(JournalFile):
    """What a journal holds: entries of photos, and runs."""

    _run = 0
    last_number = 0

    # --- inside a transaction ---

    def begin_run(self, service: str) -> None:
        """Begin a run as the new owner; submits that the last one left open become ambiguous.

        Args:
            service: its base URL. Task ids are known to this service only.

        Raises:
            JournalError: tasks in the journal belong to another service, or it is damaged.
        """
        for statement in SIDECAR:
            self._connection.execute(statement)
        owner = self.service()
        if owner not in {None, service}:
            raise JournalError(
                f"{printable(str(self._path))}: belongs to {shown_url(owner or '')}, not to "
                f"{shown_url(service)}; its tasks are known there only: use that service, or "
                "another journal"
            )
        self._run = self._inserted(
            "INSERT INTO runs (begun, service) VALUES (?, ?)", (time.time(), service)
        )
        (found,) = self._rows("SELECT max(id) AS last FROM photos")
        self.last_number = found["last"] or 0
        error = "the process ended while the submit was under way"
        for entry in list(self.entries([State.SUBMITTING])):
            self.record(Record(entry.id, State.SUBMITTING, Event.LOSE, Facts(error=error)))

    def plan(self, digest: bytes, request: AnimationRequest, folder: Location | None) -> Entry:
        """Return the entry of a photo: an earlier run's if there is one, else a new one.

        A photo that is in a batch twice has two entries. Photos are identified by content;
        among several equal entries the one with the same name is taken.
        """
        key = key_of(digest, request.options)
        columns = columns_of(request, folder)
        number = self._earlier(key, columns)
        if number is not None:
            values = (self._run, *map(columns.get, _MOVABLE), number)
            self._connection.execute(_TAKE, values)
            return self.entry(number)
        values = (None, key, self._run, *columns.values())
        number = self._inserted(_INSERT, values)
        return Entry(number, request, State.PLANNED, price(request.options), folder)

    def add_all(self, entries: Sequence[NewEntry]) -> None:
        """Add entries for photos that no earlier run can have."""
        rows = [
            (
                entry.number,
                key_of(entry.digest, entry.request.options),
                self._run,
                *columns_of(entry.request, entry.folder).values(),
            )
            for entry in entries
        ]
        if rows:
            self._connection.executemany(_INSERT, rows)

    def _earlier(self, key: bytes, columns: Mapping[str, Column]) -> int | None:
        found = self._connection.execute(
            "SELECT id FROM photos WHERE key = ? AND run <> ?"
            " ORDER BY source IS NOT ?, name IS NOT ?, id LIMIT 1",
            (key, self._run, columns["source"], columns["name"]),
        ).fetchone()
        with self._reading():
            return None if found is None else int(found[0])

    def record(self, record: Record) -> None:
        """Write an event: change the entry from the record's state to the next one.

        Raises:
            RefusedStepError: the entry is in another state; nothing was changed.
        """
        self.record_all([record])

    def record_all(self, records: Sequence[Record]) -> None:
        """Write events of different photos.

        Raises:
            RefusedStepError: an entry is in another state. Others may have been changed: roll
                the transaction back.
        """
        alike: dict[tuple[Event, State, tuple[str, ...]], list[tuple[Column, ...]]] = {}
        for record in records:
            changes = record.facts.columns()
            kind = (record.event, record.state, (*changes,))
            alike.setdefault(kind, []).append((*changes.values(), record.number))
        for (event, state, names), rows in alike.items():
            statement = _record_statement(event, state, names)
            if self._connection.executemany(statement, rows).rowcount != len(rows):
                numbers = ", ".join(str(row[-1]) for row in rows)
                raise RefusedStepError(
                    f"{printable(str(self._path))}: photo {numbers} is no longer "
                    f"{state.value}: {event.value} cannot be recorded"
                )

    def note(self, number: int, facts: Facts) -> None:
        """Store facts that change no state."""
        changes = facts.columns()
        self._connection.execute(
            f"UPDATE photos SET {_assignments((*changes,))} WHERE id = ?",  # noqa: S608 - our own column names
            (*changes.values(), number),
        )

    # --- reading ---

    def entry(self, number: int) -> Entry:
        """Return one entry."""
        with self._reading():
            (row,) = self._rows("SELECT * FROM photos WHERE id = ?", (number,))
            return entry_of(row)

    def page(self, states: Sequence[State], after: int = 0) -> list[Entry]:
        """Return the next entries in these states by number; some hundred at most."""
        places = ", ".join("?" * len(states))
        rows = self._rows(
            f"SELECT * FROM photos WHERE id > ? AND state IN ({places}) ORDER BY id LIMIT {_PAGE}",  # noqa: S608 - likewise
            (after, *(state.value for state in states)),
        )
        with self._reading():
            return [entry_of(row) for row in rows]

    def unsaved(self, after: int = 0) -> tuple[list[Entry], int | None]:
        """Return the next entries whose results are not saved, or no longer there.

        Returns:
            The entries by number, and the number after which to go on; `None` at the end.
        """
        page = self.page([*State], after)
        lacking = [e for e in page if e.state is not State.SAVED or not e.has_result()]
        return lacking, page[-1].id if page else None

    def count_unsaved(self) -> int:
        """Return how many entries `unsaved` returns in all."""
        count = 0
        after: int | None = 0
        while after is not None:
            page, after = self.unsaved(after)
            count += len(page)
        return count

    def entries(self, states: Sequence[State]) -> Iterator[Entry]:
        """Yield all entries in these states by number."""
        after = 0
        while page := self.page(states, after):
            yield from page
            after = page[-1].id

    def service(self) -> str | None:
        """Return the base URL of the service that has, or may have, tasks of this journal.

        `None` as long as nothing has reached a service: the URL may have been mistyped.
        """
        return self.latest_service() if self._rows(_REACHED) else None

    def latest_service(self) -> str | None:
        """Return the base URL of the latest run's service, whether it was reached or not."""
        runs = self._rows("SELECT service FROM runs ORDER BY id DESC LIMIT 1")
        with self._reading():
            return str(runs[0]["service"]) if runs else None

    def templates(self) -> Iterator[tuple[Photo, int]]:
        """Yield each photo, and the template it was planned with; content is empty."""
        for row in self._rows("SELECT kind, source, template FROM photos"):
            with self._reading():
                photo = photo_of(row["kind"], row["source"])
            yield photo, row["template"]

    def states(self) -> Iterator[tuple[bytes, State]]:
        """Yield the key (`key_of`) and the state of each photo."""
        for row in self._rows("SELECT key, state FROM photos ORDER BY id"):
            with self._reading():
                state = State(row["state"])
            yield row["key"], state

    def summary(self) -> Summary:
        """Return the journal's totals."""
        rows = self._rows(
            "SELECT state, count(*) AS photos, sum(spent) AS spent, sum(at_risk) AS at_risk,"
            " sum(cost) AS cost FROM photos GROUP BY state",
        )
        with self._reading():
            return Summary(
                counts={State(row["state"]): row["photos"] for row in rows},
                spent=round(sum(row["spent"] for row in rows), 6),
                at_risk=round(sum(row["at_risk"] for row in rows), 6),
                planned=round(sum(row["cost"] for row in rows if row["state"] == State.PLANNED), 6),
            )


def _assignments(names: Sequence[str]) -> str:
    return ", ".join(f"{name} = ?" for name in names)


@cache
def _record_statement(event: Event, state: State, names: tuple[str, ...]) -> str:
    # Of two assignments to one column, SQLite uses the second.
    changes = [f"state = '{apply(state, event).value}'"]
    if event in _ALSO:
        changes.append(_ALSO[event])
    if names:
        changes.append(_assignments(names))
    return (
        f"UPDATE photos SET {', '.join(changes)}"  # noqa: S608 - our own column names
        f" WHERE id = ? AND state = '{state.value}'"
    )


_REACHED = (
    "SELECT 1 FROM photos WHERE task_id IS NOT NULL OR spent > 0 OR at_risk > 0"  # noqa: S608 - states
    f" OR state NOT IN ('{State.PLANNED.value}', '{State.FAILED.value}') LIMIT 1"
)
_MOVABLE = ("kind", "source", "name", "folder")
_TAKE = f"UPDATE photos SET run = ?, {_assignments(_MOVABLE)} WHERE id = ?"  # noqa: S608 - likewise
_NEW = ("id", "key", "run", *REQUEST_COLUMNS)
_INSERT = (
    f"INSERT INTO photos ({', '.join(_NEW)}, state)"  # noqa: S608 - likewise
    f" VALUES ({', '.join('?' * len(_NEW))}, '{State.PLANNED.value}')"
)
