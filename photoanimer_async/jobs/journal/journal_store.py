"""The journal's rows, one for each photo. Blocking, for one thread at a time.

Every change of a state is compare-and-set: it names the state that it starts from, and changes
nothing if the row is in another. What a submit has cost, or may have cost, is added up in the
same statement, so that the money cannot disagree with the states.

The file is in WAL mode with `synchronous=FULL`: a committed transaction survives the process,
and a power cut as far as the disk honours a sync.
"""

import time
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import TypeAlias

from photoanimer_async.errors import JournalError
from photoanimer_async.jobs.budget import price
from photoanimer_async.jobs.journal.entries import (
    OPTION_COLUMNS,
    PHOTO_COLUMNS,
    Column,
    Entry,
    Facts,
    NewEntry,
    Record,
    RefusedStepError,
    Summary,
    entry_of,
    key_from,
    key_of,
    key_part,
    option_values,
    photo_of,
    photo_values,
)
from photoanimer_async.jobs.journal.journal_file import JournalFile
from photoanimer_async.jobs.journal.journal_schema import SIDECAR
from photoanimer_async.jobs.lifecycle import TRANSITIONS, Event, State
from photoanimer_async.models import AnimationRequest, Location, Photo
from photoanimer_async.redaction import printable, shown_url

_FORGET_SUBMIT = "image_url = NULL, evidence = 'nothing', error = NULL"
_ALSO = {
    Event.SUBMIT: _FORGET_SUBMIT,
    Event.ACCEPT: "spent = spent + cost",
    Event.LOSE: "at_risk = at_risk + cost",
    Event.RETRY: f"{_FORGET_SUBMIT}, task_id = NULL, seconds = NULL",
    Event.RESUBMIT: _FORGET_SUBMIT,
}
_PAGE = 500
_MOST_ROWS = 64
"""In one statement: older versions of SQLite take 999 values."""

_Row: TypeAlias = tuple[Column, ...]


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
        options = request.options
        key = key_of(digest, options)
        photo = photo_values(request, folder)
        number = self._earlier(key, photo)
        if number is not None:
            self._connection.execute(_TAKE, (self._run, *photo, number))
            return self.entry(number)
        values = (None, key, self._run, *photo, *option_values(options))
        number = self._inserted(_insert_statement(1), values)
        return Entry(number, request, State.PLANNED, price(options), folder)

    def add_all(self, entries: Sequence[NewEntry]) -> None:
        """Add entries for photos that no earlier run can have."""
        rows: list[_Row] = []
        shared: dict[int, tuple[bytes, _Row]] = {}  # most photos of a batch share their options
        for entry in entries:
            options = entry.request.options
            if id(options) not in shared:
                shared[id(options)] = key_part(options), option_values(options)
            how, values = shared[id(options)]
            key = key_from(entry.digest, how)
            photo = photo_values(entry.request, entry.folder)
            rows.append((entry.number, key, self._run, *photo, *values))
        for part in _parts(rows):
            self._connection.execute(_insert_statement(len(part)), [*chain.from_iterable(part)])

    def _earlier(self, key: bytes, photo: _Row) -> int | None:
        _, source, name, _ = photo
        found = self._connection.execute(
            "SELECT id FROM photos WHERE key = ? AND run <> ?"
            " ORDER BY source IS NOT ?, name IS NOT ?, id LIMIT 1",
            (key, self._run, source, name),
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
        alike: dict[tuple[Event, State, tuple[str, ...]], list[_Row]] = {}
        for record in records:
            changes = record.facts.columns()
            kind = (record.event, record.state, (*changes,))
            alike.setdefault(kind, []).append((*changes.values(), record.number))
        for (event, state, names), rows in alike.items():
            for part in _parts(rows):
                statement = _record_statement(event, state, names, len(part))
                values = [*chain.from_iterable(part)]
                if self._connection.execute(statement, values).rowcount != len(part):
                    numbers = ", ".join(str(row[-1]) for row in part)
                    raise RefusedStepError(
                        f"{printable(str(self._path))}: photo {numbers} is no longer "
                        f"{state.value}: {event.value} cannot be recorded"
                    )

    def annotate(self, number: int, facts: Facts) -> None:
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
            The entries by number, and the number after which the next ones are; `None` at the end.
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

    def templates(self) -> Iterator[tuple[Photo, int, State]]:
        """Yield each photo, the template it was planned with, and its state; content is empty."""
        for row in self._rows("SELECT kind, source, template, state FROM photos"):
            with self._reading():
                photo, state = photo_of(row["kind"], row["source"]), State(row["state"])
            yield photo, row["template"], state

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


def _parts(rows: Sequence[_Row]) -> Iterator[Sequence[_Row]]:
    """Yield rows in parts of 64, 32, 16, 8, 4, 2, 1: few statements, to be compiled once.

    One statement writes a whole part, since the interpreter's lock is given up, and has to be
    waited for, with every statement.
    """
    start = 0
    while left := len(rows) - start:
        size = min(1 << left.bit_length() - 1, _MOST_ROWS)
        yield rows[start : start + size]
        start += size


@cache
def _insert_statement(rows: int) -> str:
    row = f"({', '.join('?' * len(_NEW))}, '{State.PLANNED.value}')"
    names = ", ".join(_NEW)
    return f"INSERT INTO photos ({names}, state) VALUES {', '.join([row] * rows)}"  # noqa: S608 - our own column names


@cache
def _record_statement(event: Event, state: State, names: tuple[str, ...], rows: int) -> str:
    """Return a statement whose values are, for each row, those of `names` and the entry's number.

    `UPDATE ... FROM (VALUES ...)` would do the same, but from SQLite 3.33 on only.
    """
    width = len(names) + 1
    numbers = range(width, width * rows + 1, width)
    # Of two assignments to one column, SQLite uses the second.
    changes = [f"state = '{TRANSITIONS[state, event].value}'"]
    if event in _ALSO:
        changes.append(_ALSO[event])
    for before, name in zip(range(width - 1, 0, -1), names, strict=False):
        cases = " ".join(f"WHEN ?{number} THEN ?{number - before}" for number in numbers)
        changes.append(f"{name} = CASE id {cases} END")
    return (
        f"UPDATE photos SET {', '.join(changes)}"  # noqa: S608 - likewise
        f" WHERE id IN ({', '.join(f'?{number}' for number in numbers)})"
        f" AND state = '{state.value}'"
    )


_REACHED = (
    "SELECT 1 FROM photos WHERE task_id IS NOT NULL OR spent > 0 OR at_risk > 0"  # noqa: S608 - states
    f" OR state NOT IN ('{State.PLANNED.value}', '{State.FAILED.value}') LIMIT 1"
)
_TAKE = f"UPDATE photos SET run = ?, {_assignments(PHOTO_COLUMNS)} WHERE id = ?"  # noqa: S608 - likewise
_NEW = ("id", "key", "run", *PHOTO_COLUMNS, *OPTION_COLUMNS)
