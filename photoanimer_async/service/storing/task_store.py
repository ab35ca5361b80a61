"""The tasks: an accepted task is never lost, and never charged or finished twice.

A task, its photo and its charge are written in one transaction. So are its end, its refund and
its notification. An end is compare-and-set: only an open task can end. So the database is
consistent whenever the process dies.

Recently used tasks are cached, because most requests ask whether a task has ended. A task leaves
the cache before its end is written, and returns when the end is on disk. The cache is safe
because a data folder belongs to one service at a time.
"""

import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from attrs import evolve, frozen

from photoanimer_async.service.error_codes import CANCELLED
from photoanimer_async.service.http.parameters import VIDEO_SECONDS, highest_cost
from photoanimer_async.service.storing import ledger, outbox
from photoanimer_async.service.storing.database import Database
from photoanimer_async.service.storing.ledger import Charging
from photoanimer_async.service.tasks import Task, TaskStatus

_CACHED_TASKS: Final = 8192
_COLUMNS: Final = (
    "task_id, account, template, gif, voice, token, origin, status, fail_code, fail_reason"
)
_SELECT: Final = f"SELECT {_COLUMNS} FROM task"  # noqa: S608 - constants
_INSERT: Final = (
    "INSERT INTO task (task_id, account, template, gif, voice, token, origin, charged)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_INPUT: Final = "INSERT INTO input (sequence, photo, voice) VALUES (?, ?, ?)"
_END: Final = (
    "UPDATE task SET status = ?, fail_code = ?, fail_reason = ?, has_results = ?, ended = ?"
    " WHERE task_id = ? AND status = 0 RETURNING sequence, charged"
)
_Row = tuple[int, int, int, int, int, str, str, int, int | None, str | None]


class TaskIdTakenError(Exception):
    """Another task has this id; nothing was written."""


@frozen
class Inputs:
    """The inputs of an open task: its photo and voice, as they were fetched."""

    photo: bytes
    voice: bytes | None = None


class TaskStore:
    """The tasks of a database.

        store = TaskStore(database)
        await store.add(task, lambda: Inputs(photo))
        await store.finish(task)

    Args:
        database: an open database.
        charging: when tasks are charged.
        longest_voice: seconds of the longest voice that is accepted. A task with a voice is
            charged for as much when it is accepted, and gets the rest back when it has ended.
    """

    def __init__(
        self,
        database: Database,
        charging: Charging = Charging.REFUND_FAILED,
        *,
        longest_voice: float,
    ) -> None:
        self._database = database
        self._charging = charging
        self._longest_voice = longest_voice
        self._cached_tasks: OrderedDict[int, Task] = OrderedDict()

    async def add(self, task: Task, read_inputs: Callable[[], Inputs]) -> None:
        """Store a new task with its inputs, and charge it; it is on disk when this returns.

        A caller that is cancelled meanwhile gets the result nevertheless.

        Args:
            task: the task.
            read_inputs: returns its inputs; called in a thread when they are written, and again if
                that is repeated. So they are in memory for one task at a time.

        Raises:
            InsufficientBalanceError: the account has fewer video seconds than the task costs.
            TaskIdTakenError: another task has this id.
        """
        await self._database.write_despite_cancel(
            lambda connection: self._add(connection, task, read_inputs)
        )
        self._cache(task)

    async def get(self, task_id: int) -> Task | None:
        """Return the task with this id, or `None`."""
        task = self._cached_tasks.get(task_id)
        if task is not None:
            self._cached_tasks.move_to_end(task_id)
            return task
        row = await self._database.read(
            lambda connection: connection.execute(
                f"{_SELECT} WHERE task_id = ?", (task_id,)
            ).fetchone()
        )
        return None if row is None else _task(row)

    async def open_tasks(self) -> list[Task]:
        """Return all tasks that have not ended, the oldest first."""
        return await self._database.read(_open_tasks)

    async def open_count(self) -> int:
        """Return the number of tasks that have not ended."""
        return await self._database.read(_open_count)

    async def inputs(self, task_id: int) -> Inputs | None:
        """Return the inputs of an open task; `None` if it has ended."""
        row = await self._database.read(
            lambda connection: connection.execute(
                "SELECT input.photo, input.voice FROM task JOIN input USING (sequence)"
                " WHERE task_id = ?",
                (task_id,),
            ).fetchone()
        )
        return None if row is None else Inputs(*row)

    async def finish(self, task: Task, voice_seconds: float | None = None) -> bool:
        """End an open task as finished. A task that has ended does not change.

        Args:
            task: the task.
            voice_seconds: what it costs by the length of its voice; `None` for the price of its
                template.

        Returns:
            Whether the task was open.
        """
        return await self._end(evolve(task, status=TaskStatus.FINISHED), voice_seconds)

    async def fail(self, task: Task, code: int, reason: str) -> bool:
        """End an open task as failed; return whether it was open."""
        return await self._end(
            evolve(task, status=TaskStatus.FAILED, fail_code=code, fail_reason=reason)
        )

    async def cancel(self, task: Task) -> bool:
        """End an open task as cancelled; return whether it was open.

        What it was charged is given back, however failed tasks are charged.
        """
        return await self.fail(task, CANCELLED.number, "the task was cancelled")

    async def balance(self, account: int) -> float | None:
        """Return the video seconds of an account; `None` if it has no limit."""
        return await self._database.read(lambda connection: ledger.balance(connection, account))

    async def with_results_before(self, before: int, limit: int) -> list[Task]:
        """Return some tasks that ended before a time and still have results.

        Args:
            before: seconds since 1970.
            limit: the largest number to return.
        """
        return await self._database.read(
            lambda connection: _tasks(
                connection, "has_results = 1 AND ended < ? ORDER BY ended LIMIT ?", before, limit
            )
        )

    async def mark_results_removed(self, tasks: Sequence[Task]) -> None:
        """Record that the results of these tasks were removed."""
        ids = [(task.task_id,) for task in tasks]
        await self._database.write(
            lambda connection: connection.executemany(
                "UPDATE task SET has_results = 0 WHERE task_id = ?", ids
            )
        )

    async def remove_ended_before(self, before: int, limit: int) -> int:
        """Remove some tasks that ended before a time and have no results; return how many.

        Args:
            before: seconds since 1970.
            limit: the largest number to remove.
        """
        removed = await self._database.write(
            lambda connection: connection.execute(
                "DELETE FROM task WHERE sequence IN (SELECT sequence FROM task"
                " WHERE ended < ? AND has_results = 0 ORDER BY ended LIMIT ?) RETURNING task_id",
                (before, limit),
            ).fetchall()
        )
        for (task_id,) in removed:
            self._cached_tasks.pop(task_id, None)
        return len(removed)

    def _add(
        self, connection: sqlite3.Connection, task: Task, read_inputs: Callable[[], Inputs]
    ) -> None:
        cost = highest_cost(task.template, self._longest_voice if task.voice else None)
        if self._charging is Charging.ON_SUCCESS:
            ledger.require(connection, task.account, cost)
            charged = 0.0
        else:
            ledger.spend(connection, task.account, cost, task.task_id)
            charged = cost
        try:
            sequence = connection.execute(_INSERT, _row(task, charged)).lastrowid
        except sqlite3.IntegrityError:
            raise TaskIdTakenError from None
        inputs = read_inputs()
        connection.execute(_INSERT_INPUT, (sequence, inputs.photo, inputs.voice))

    async def _end(self, ended: Task, voice_seconds: float | None = None) -> bool:
        self._cached_tasks.pop(ended.task_id, None)
        was_open = await self._database.write(
            lambda connection: self._write_end(connection, ended, voice_seconds)
        )
        if was_open:
            self._cache(ended)
        return was_open

    def _write_end(
        self, connection: sqlite3.Connection, ended: Task, voice_seconds: float | None
    ) -> bool:
        """Write the end of a task if it is open; return whether it was."""
        is_finished = ended.status is TaskStatus.FINISHED
        row = connection.execute(
            _END,
            (
                ended.status.value,
                ended.fail_code,
                ended.fail_reason,
                is_finished,
                int(time.time()),
                ended.task_id,
            ),
        ).fetchone()
        if row is None:
            return False
        sequence, charged = row[0], ledger.to_seconds(row[1])
        connection.execute("DELETE FROM input WHERE sequence = ?", (sequence,))
        cost = self._cost(ended, voice_seconds)
        if self._charging is Charging.ON_SUCCESS and cost > charged:
            ledger.charge(connection, ended.account, cost - charged, ended.task_id)
        elif cost < charged:
            ledger.refund(connection, ended.account, charged - cost, ended.task_id)
        outbox.put(connection, ended)
        return True

    def _cost(self, ended: Task, voice_seconds: float | None) -> float:
        """Return what an ended task costs, unless less was charged when it was accepted."""
        price = VIDEO_SECONDS[ended.template]
        if ended.status is TaskStatus.FINISHED:
            return price if voice_seconds is None else voice_seconds
        is_kept = self._charging is Charging.KEEP_FAILED and ended.fail_code != CANCELLED.number
        return price if is_kept else 0.0

    def _cache(self, task: Task) -> None:
        self._cached_tasks[task.task_id] = task
        if len(self._cached_tasks) > _CACHED_TASKS:
            self._cached_tasks.popitem(last=False)


def _open_tasks(connection: sqlite3.Connection) -> list[Task]:
    return _tasks(connection, "status = 0 ORDER BY sequence")


def _open_count(connection: sqlite3.Connection) -> int:
    # Each open task has an input, and these are far fewer than all tasks.
    (count,) = connection.execute("SELECT count(*) FROM input").fetchone()
    return int(count)


def _tasks(connection: sqlite3.Connection, condition: str, *values: int) -> list[Task]:
    rows = connection.execute(f"{_SELECT} WHERE {condition}", values)
    return [_task(row) for row in rows]


def _row(task: Task, charged: float) -> tuple[int | str, ...]:
    return (
        task.task_id,
        task.account,
        task.template,
        task.gif,
        task.voice,
        task.token,
        task.origin,
        ledger.to_thousandths(charged),
    )


def _task(row: _Row) -> Task:
    task_id, account, template, gif, voice, token, origin, status, fail_code, fail_reason = row
    return Task(
        task_id=task_id,
        account=account,
        template=template,
        gif=bool(gif),
        voice=bool(voice),
        token=token,
        origin=origin,
        status=TaskStatus(status),
        fail_code=fail_code,
        fail_reason=fail_reason,
    )
