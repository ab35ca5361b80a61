"""Whether a client may be used, and its jobs that outlive their callers.

Every `animate` and `submit` may be paid for, so it runs in a task of the client's own, which the
caller awaits. A caller that is cancelled cancels that task only while nothing has been sent. Once
the submit has left, the task runs on without its caller: the answer is read, the photo stays
published for as long as the service needs it, and the result is saved where it was to be saved.
Until then, and some time after, the job can be joined by the id of its task.

The number of jobs is bounded. When the client closes, no further submit leaves, submits get
some seconds for their answers, and tasks that were paid for and have not ended are logged.
"""

import asyncio
import logging
import os
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from photoanimer_async.errors import (
    PhotoAnimerError,
    TaskFailedError,
    TooManyPendingError,
    WaitTimeoutError,
)
from photoanimer_async.jobs.batch import ANSWER_SECONDS
from photoanimer_async.jobs.job import Job
from photoanimer_async.jobs.lifecycle import State
from photoanimer_async.jobs.submission import ambiguous_submit
from photoanimer_async.jobs.unclaimed import UnclaimedTasks
from photoanimer_async.models import AnimationRequest, Outcome, TaskId, require_count
from photoanimer_async.photos.cancellation import ThreadStep

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

_NOT_SENT = frozenset({State.PLANNED, State.FAILED})


class OpenState:
    """The state that every call of a client requires before it sends anything."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0
        self._is_closing = False

    def require_closed(self) -> None:
        """Check that the client may be opened.

        Raises:
            RuntimeError: it is open, in this process.
        """
        is_here = self._process == os.getpid()
        if self._loop is not None and not self._loop.is_closed() and is_here:
            raise RuntimeError("the client is open already: use it inside one `async with`")

    def open(self) -> None:
        """Allow calls on the running event loop, in this process."""
        self._loop, self._process = asyncio.get_running_loop(), os.getpid()
        self._is_closing = False

    def begin_closing(self) -> None:
        """Refuse calls that begin from now on."""
        self._is_closing = True

    def close(self) -> None:
        """Refuse all calls."""
        self._loop = None

    def require_open(self) -> None:
        """Check that the client may be used here and now.

        Raises:
            RuntimeError: it is not open, or was opened on another event loop or in another
                process.
            PhotoAnimerError: it is being closed.
        """
        if self._loop is None:
            raise RuntimeError("the client is not open: use it inside `async with`")
        if self._process != os.getpid():
            raise RuntimeError("the client was opened in another process: open one in each")
        if self._loop is not asyncio.get_running_loop():
            raise RuntimeError("the client was opened on another event loop: open one on each")
        if self._is_closing:
            raise PhotoAnimerError("the client is being closed: nothing was sent")


class PendingJobs:
    """The jobs of one client's `animate` and `submit` calls.

    Args:
        state: whether jobs may begin.
        limit: jobs at once, at most, detached ones included.
        unclaimed: keeps the tasks of detached jobs that have ended.

    Raises:
        InvalidRequestError: a limit below 1.
    """

    def __init__(self, state: OpenState, limit: int, unclaimed: UnclaimedTasks) -> None:
        require_count("max_pending", limit)
        self._state = state
        self._limit = limit
        self._unclaimed = unclaimed
        self._running: dict[asyncio.Task[Any], Job] = {}
        self._detached: dict[asyncio.Task[Any], Job] = {}

    def requests(self) -> Mapping[TaskId, AnimationRequest]:
        """Return what was paid for and has no caller, by task id; the latest thousand and more."""
        running = {
            job.task_id: job.request for job in self._detached.values() if job.task_id is not None
        }
        return {**self._unclaimed.requests(), **running}

    async def run_detached(self, job: Job, work: Coroutine[Any, Any, _T]) -> _T:
        """Return the result of `work`, which runs on if the caller is cancelled after the submit.

        Raises:
            RuntimeError, PhotoAnimerError: the client is not open; see `OpenState.require_open`.
            TooManyPendingError: `limit` jobs are running.
        """
        try:
            self._require_place()
        except BaseException:
            work.close()  # it was not begun
            raise
        loop = asyncio.get_running_loop()
        task, ended = loop.create_task(work), loop.create_future()
        self._running[task] = job

        def end(_: object) -> None:
            del self._running[task]
            if not ended.done():
                ended.set_result(None)

        task.add_done_callback(end)
        try:
            await ended  # not the task, which a cancellation of the caller would cancel
        except asyncio.CancelledError:
            self._detached[task] = job
            task.add_done_callback(self._end_detached)
            if job.state in _NOT_SENT:
                task.cancel()
            raise
        if task.cancelled():
            raise _closed(job)
        return task.result()

    def _require_place(self) -> None:
        self._state.require_open()
        if len(self._running) >= self._limit:
            raise TooManyPendingError(self._limit)

    async def join(self, task_id: TaskId, timeout: float | None) -> Outcome | None:
        """Return the outcome of a detached job once it has ended; `None` if there is none.

        Raises:
            WaitTimeoutError: it had not ended after `timeout` seconds.
        """
        found = [item for item in self._detached.items() if str(item[1].task_id) == str(task_id)]
        if not found:
            kept = self._unclaimed.get(task_id)
            if kept is None or kept.outcome is None:
                return None
            self._unclaimed.pop(task_id)
            return kept.outcome
        task, job = found[0]
        try:
            async with asyncio.timeout(timeout):
                await asyncio.wait([task])
        except TimeoutError:
            raise WaitTimeoutError(task_id, timeout or 0.0) from None
        if task.cancelled():
            raise _closed(job)
        result = task.result()
        if not isinstance(result, Outcome):
            return None
        if result.ok:
            self._unclaimed.pop(task_id)
        return result

    async def drain(self) -> None:
        """Let no further submit leave, and wait some seconds for the answers of open ones."""
        closed = PhotoAnimerError("the client is being closed")
        gates = [job.context.gate for job in self._running.values()]
        for gate in gates:
            gate.close(closed)
        await asyncio.gather(*(gate.drained(ANSWER_SECONDS) for gate in gates))

    async def cancel(self) -> None:
        """Cancel all jobs; the service finishes the tasks that were paid for."""
        for task in self._running:
            task.cancel()
        if self._running:
            await ThreadStep(asyncio.wait(list(self._running)))

    def _end_detached(self, task: "asyncio.Task[Any]") -> None:
        """Keep the record of a detached job that has ended, without its photo."""
        job = self._detached.pop(task)
        if task.cancelled():
            return
        error, outcome = task.exception(), None
        if error is None and isinstance(result := task.result(), Outcome):
            outcome, error = result, result.error
        if error is not None:
            _log.warning("an animation whose caller was cancelled failed: %s", error)
        if job.task_id is not None and (error is None or isinstance(error, TaskFailedError)):
            self._unclaimed.add(job.task_id, job.request, outcome=outcome)


def _closed(job: Job) -> PhotoAnimerError:
    """Return the error of a caller whose job was cancelled because the client closed."""
    error = PhotoAnimerError("the client was closed before the job ended")
    if job.state is State.AMBIGUOUS:
        photo, options = job.request.photo, job.request.options
        error = ambiguous_submit(error, photo, job.image_url or "", options)
    error.task_id = job.task_id
    return error
