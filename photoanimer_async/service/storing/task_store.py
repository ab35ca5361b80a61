"""The tasks: what was accepted is never forgotten, and never charged or finished twice.

A task, its photo and its charge are one transaction, and so are its end, what is given back and
the notification of it.
An end is compare-and-set: only an open task ends. So whenever the process dies, what the
database says is whole.

Tasks that were seen lately are also kept in memory, as most of what a service is asked is
whether one has ended. The database is the truth: a task leaves the memory before its end is
written, and comes back when it is on disk. That only one service has the folder makes this safe.
"""

import sqlite3
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from attrs import evolve, frozen

from photoanimer_async.service.http.parameters import VIDEO_SECONDS
from photoanimer_async.service.storing import ledger, outbox
from photoanimer_async.service.storing.database import Database
from photoanimer_async.service.storing.ledger import Charging
from photoanimer_async.service.tasks import Task, TaskStatus

_REMEMBERED: Final = 8192
_COLUMNS: Final = (
    "task_id, account, template, gif, voice, token, origin, status, fail_code, fail_reason"
)
_SELECT: Final = f"SELECT {_COLUMNS} FROM task"  # noqa: S608 - names of ours
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
    """There is a task with this id; nothing was written down."""


@frozen
class Inputs:
    """What an open task works on: the files as they were fetched."""

    photo: bytes
    voice: bytes | None = None


class TaskStore:
    """The tasks of a database.

    Args:
        database: an open one.
        charging: when tasks are charged.
    """

    def __init__(self, database: Database, charging: Charging = Charging.REFUND_FAILED) -> None:
        self._database = database
        self._charging = charging
        self._recent: OrderedDict[int, Task] = OrderedDict()

    async def add(self, task: Task, inputs: Inputs) -> None:
        """Write down a new task with what it works on, and charge it.

        All of it is on disk when this returns.

        Raises:
            InsufficientBalanceError: the account holds less than the task costs.
            TaskIdTakenError: another id is needed.
        """
        await self._database.write(lambda connection: self._add(connection, task, inputs))
        self._remember(task)

    async def get(self, task_id: int) -> Task | None:
        """The task with this id, if there is one."""
        task = self._recent.get(task_id)
        if task is not None:
            self._recent.move_to_end(task_id)
            return task
        row = await self._database.read(
            lambda connection: connection.execute(
                f"{_SELECT} WHERE task_id = ?", (task_id,)
            ).fetchone()
        )
        return None if row is None else _task(row)

    async def open_tasks(self) -> list[Task]:
        """Every task that has not ended, the oldest first."""
        return await self._database.read(_open_tasks)

    async def inputs(self, task_id: int) -> Inputs | None:
        """What an open task works on; `None` once it has ended."""
        row = await self._database.read(
            lambda connection: connection.execute(
                "SELECT input.photo, input.voice FROM task JOIN input USING (sequence)"
                " WHERE task_id = ?",
                (task_id,),
            ).fetchone()
        )
        return None if row is None else Inputs(*row)

    async def finish(self, task: Task) -> None:
        """An open task's results are there. A task that has ended stays as it is."""
        await self._end(evolve(task, status=TaskStatus.FINISHED))

    async def fail(self, task: Task, code: int, reason: str) -> None:
        """An open task will never have results. A task that has ended stays as it is."""
        await self._end(evolve(task, status=TaskStatus.FAILED, fail_code=code, fail_reason=reason))

    async def balance(self, account: int) -> float | None:
        """The video seconds of an account; `None` if it is without limit."""
        return await self._database.read(lambda connection: ledger.balance(connection, account))

    async def entries(self, account: int) -> list[ledger.Entry]:
        """Every movement of an account's video seconds, the oldest first."""
        return await self._database.read(lambda connection: ledger.entries(connection, account))

    async def with_old_results(self, before: int, limit: int) -> list[Task]:
        """Some tasks that ended before this second and have their results still."""
        return await self._database.read(
            lambda connection: _tasks(
                connection, "has_results = 1 AND ended < ? ORDER BY ended LIMIT ?", before, limit
            )
        )

    async def forget_results(self, tasks: Sequence[Task]) -> None:
        """The results of these tasks are gone."""
        ids = [(task.task_id,) for task in tasks]
        await self._database.write(
            lambda connection: connection.executemany(
                "UPDATE task SET has_results = 0 WHERE task_id = ?", ids
            )
        )

    async def forget_tasks(self, before: int, limit: int) -> int:
        """Forget some tasks that ended before this second and have no results; how many."""
        forgotten = await self._database.write(
            lambda connection: connection.execute(
                "DELETE FROM task WHERE sequence IN (SELECT sequence FROM task"
                " WHERE ended < ? AND has_results = 0 ORDER BY ended LIMIT ?) RETURNING task_id",
                (before, limit),
            ).fetchall()
        )
        for (task_id,) in forgotten:
            self._recent.pop(task_id, None)
        return len(forgotten)

    def _add(self, connection: sqlite3.Connection, task: Task, inputs: Inputs) -> None:
        cost = VIDEO_SECONDS[task.template]
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
        connection.execute(_INSERT_INPUT, (sequence, inputs.photo, inputs.voice))

    async def _end(self, ended: Task) -> None:
        self._recent.pop(ended.task_id, None)
        if await self._database.write(lambda connection: self._write_end(connection, ended)):
            self._remember(ended)

    def _write_end(self, connection: sqlite3.Connection, ended: Task) -> bool:
        """Whether the task was open until now."""
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
        sequence, charged = row[0], ledger.in_seconds(row[1])
        connection.execute("DELETE FROM input WHERE sequence = ?", (sequence,))
        if is_finished and self._charging is Charging.ON_SUCCESS:
            cost = VIDEO_SECONDS[ended.template]
            ledger.charge(connection, ended.account, cost, ended.task_id)
        if not is_finished and self._charging is Charging.REFUND_FAILED and charged:
            ledger.refund(connection, ended.account, charged, ended.task_id)
        outbox.put(connection, ended)
        return True

    def _remember(self, task: Task) -> None:
        self._recent[task.task_id] = task
        if len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)


def _open_tasks(connection: sqlite3.Connection) -> list[Task]:
    return _tasks(connection, "status = 0 ORDER BY sequence")


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
        ledger.in_thousandths(charged),
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
