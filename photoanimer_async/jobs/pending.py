"""Jobs that outlive their callers, because they may have been paid for.

Every `animate` and `submit` runs in a task of the client's own, which the caller awaits. A
caller that is cancelled cancels that task only while nothing has been sent. Once the submit
has left, the task runs on without its caller: the answer is read, the photo stays published for
as long as the service needs it, and the result is saved where it was to be saved. Until then,
and some time after, the job can be joined by the id of its task.

The number of jobs is bounded. When the client closes, no further submit leaves, submits get
some seconds for their answers, and tasks that were paid for and have not ended are logged.
"""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from attrs import frozen

from photoanimer_async.errors import (
    InvalidRequestError,
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
from photoanimer_async.models import AnimationRequest, Outcome, TaskId

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

_NOT_SENT = frozenset({State.PLANNED, State.FAILED})


@frozen(eq=False)
class _RunningJob:
    job: Job
    work: "asyncio.Task[Any]"


class PendingJobs:
    """The jobs of one client's `animate` and `submit` calls.

    Args:
        limit: jobs at once, at most, detached ones included.
        unclaimed: keeps the tasks of detached jobs that have ended.

    Raises:
        InvalidRequestError: a limit below 1.
    """

    def __init__(self, limit: int, unclaimed: UnclaimedTasks) -> None:
        if limit < 1:
            raise InvalidRequestError(f"max_pending must be at least 1, not {limit}")
        self._limit = limit
        self._unclaimed = unclaimed
        self._running: set[_RunningJob] = set()
        self._detached: dict[_RunningJob, None] = {}

    def requests(self) -> Mapping[TaskId, AnimationRequest]:
        """Return what was paid for and has no caller, by task id; the latest thousand and more."""
        running = {
            detached.job.task_id: detached.job.request
            for detached in self._detached
            if detached.job.task_id is not None
        }
        return {**self._unclaimed.requests(), **running}

    async def run_detached(self, job: Job, work: Coroutine[Any, Any, _T]) -> _T:
        """Return the result of `work`, which runs on if the caller is cancelled after the submit.

        Raises:
            TooManyPendingError: `limit` jobs are running; the work was not begun.
        """
        if len(self._running) >= self._limit:
            work.close()
            raise TooManyPendingError(self._limit)
        running = _RunningJob(job, asyncio.create_task(work))
        self._running.add(running)
        running.work.add_done_callback(lambda _: self._running.discard(running))
        try:
            result: _T = await _result(running)
        except asyncio.CancelledError:
            if job.state in _NOT_SENT:
                running.work.cancel()
            else:
                self._detached[running] = None
                running.work.add_done_callback(lambda _: self._end_detached(running))
            raise
        return result

    async def join(self, task_id: TaskId, timeout: float | None) -> Outcome | None:
        """Return the outcome of a detached job that is still running; `None` if there is none.

        Raises:
            WaitTimeoutError: it had not ended after `timeout` seconds.
        """
        for running in self._detached:
            if str(running.job.task_id) == str(task_id):
                break
        else:
            return None
        try:
            async with asyncio.timeout(timeout) as scope:
                result = await _result(running)
        except TimeoutError:
            if not scope.expired():
                raise
            raise WaitTimeoutError(task_id, timeout or 0.0) from None
        if not isinstance(result, Outcome):
            return None
        if result.ok:
            self._unclaimed.pop(task_id)
        return result

    async def drain(self) -> None:
        """Let no further submit leave, and wait some seconds for the answers of open ones."""
        closed = PhotoAnimerError("the client is being closed")
        gates = [running.job.context.gate for running in self._running]
        for gate in gates:
            gate.close(closed)
        await asyncio.gather(*(gate.drained(ANSWER_SECONDS) for gate in gates))

    async def cancel(self) -> None:
        """Cancel all jobs; the service finishes the tasks that were paid for."""
        for running in self._running:
            running.work.cancel()
        if self._running:
            await asyncio.wait([running.work for running in self._running])

    def _end_detached(self, running: _RunningJob) -> None:
        """Keep the record of a detached job that has ended, without its photo."""
        del self._detached[running]
        if running.work.cancelled():
            return
        error, job = running.work.exception(), running.job
        outcome = None
        if error is None and isinstance(result := running.work.result(), Outcome):
            outcome, error = result, result.error
        if error is not None:
            _log.warning("an animation whose caller was cancelled failed: %s", error)
        if job.task_id is not None and (error is None or isinstance(error, TaskFailedError)):
            self._unclaimed.add(job.task_id, job.request, outcome=outcome)


async def _result(running: _RunningJob) -> Any:
    try:
        return await asyncio.shield(running.work)
    except asyncio.CancelledError:
        caller = asyncio.current_task()
        if running.work.cancelled() and not (caller and caller.cancelling()):
            raise _closed(running.job) from None
        raise


def _closed(job: Job) -> PhotoAnimerError:
    """Return the error of a caller whose job was cancelled because the client closed."""
    error = PhotoAnimerError("the client was closed before the job ended")
    if job.state is State.AMBIGUOUS:
        photo, options = job.request.photo, job.request.options
        error = ambiguous_submit(error, photo, job.image_url or "", options)
    error.task_id = job.task_id
    return error
