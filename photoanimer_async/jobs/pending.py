"""Animations that may have been paid for outlive their callers.

How it works. Every `animate` and `submit` runs in a task of the client's own, and the caller
waits for that. A caller that is cancelled takes the task along as long as nothing has left.
From the moment the submit leaves, the task goes on without its caller: the answer is taken
in, the photo stays published for as long as the service needs it, and the result is saved
where it was to be saved. Until then, and some time after, it can be joined again by the id
of its task.

The number of animations that are under way is bounded. At the end nothing new may leave,
submits under way get some seconds for their answers, and what was paid for is named in the log.
"""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from attrs import frozen

from photoanimer_async.errors import (
    InvalidRequestError,
    PhotoAnimerError,
    TooManyPendingError,
    WaitTimeoutError,
)
from photoanimer_async.jobs.batch import ANSWER_SECONDS
from photoanimer_async.jobs.job import Journey
from photoanimer_async.jobs.lifecycle import State
from photoanimer_async.models import AnimationRequest, Outcome, TaskId

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

_KEPT = 1000
_NOTHING_HAS_LEFT = frozenset({State.PLANNED, State.FAILED})


@frozen(eq=False)
class _Undertaking:
    journey: Journey
    work: "asyncio.Task[Any]"


class PendingAnimations:
    """Those of one client.

    Args:
        limit: how many may be under way, those that were left by their callers included.

    Raises:
        InvalidRequestError: a limit below 1.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise InvalidRequestError(f"max_pending must be at least 1, not {limit}")
        self._limit = limit
        self._under_way: set[_Undertaking] = set()
        self._left: dict[_Undertaking, None] = {}

    def left(self) -> Mapping[TaskId, AnimationRequest]:
        """What was paid for by callers that did not stay, by task id; the latest thousand."""
        return {
            undertaking.journey.task_id: undertaking.journey.request
            for undertaking in self._left
            if undertaking.journey.task_id is not None
        }

    async def see_through(self, journey: Journey, work: Coroutine[Any, Any, _T]) -> _T:
        """The result of `work`, which goes on without the caller once the submit has left.

        Raises:
            TooManyPendingError: as many are under way as may be; the work was not begun.
        """
        if len(self._under_way) >= self._limit:
            work.close()
            raise TooManyPendingError(self._limit)
        undertaking = _Undertaking(journey, asyncio.create_task(work))
        self._under_way.add(undertaking)
        undertaking.work.add_done_callback(lambda _: self._under_way.discard(undertaking))
        try:
            result: _T = await _result_of(undertaking)
        except asyncio.CancelledError:
            if journey.state in _NOTHING_HAS_LEFT:
                undertaking.work.cancel()
            else:
                self._keep(undertaking)
            raise
        return result

    async def join(self, task_id: TaskId, timeout: float | None) -> Outcome | None:
        """The outcome of an animation that its caller has left; `None` if there is none.

        Raises:
            WaitTimeoutError: it had not ended after `timeout` seconds.
        """
        for undertaking in self._left:
            if str(undertaking.journey.task_id) == str(task_id):
                break
        else:
            return None
        try:
            async with asyncio.timeout(timeout) as scope:
                result = await _result_of(undertaking)
        except TimeoutError:
            if not scope.expired():
                raise
            raise WaitTimeoutError(task_id, timeout or 0.0) from None
        self._left.pop(undertaking, None)
        return result if isinstance(result, Outcome) else None

    async def settle(self) -> None:
        """Lets nothing more leave, and waits for submits under way, for some seconds at most."""
        closed = PhotoAnimerError("the client is being closed")
        for undertaking in self._under_way:
            undertaking.journey.gate.close(closed)
        submits = [undertaking.journey.gate for undertaking in self._under_way]
        await asyncio.gather(*(gate.settled(ANSWER_SECONDS) for gate in submits))

    async def cancel(self) -> None:
        """Ends all work; tasks at the service go on, and are named in the log."""
        for undertaking in self._under_way:
            undertaking.work.cancel()
            if undertaking.journey.task_id is not None:
                _log.warning(
                    "task %s was paid for and has not ended: attach to it again by its id",
                    undertaking.journey.task_id,
                )
        if self._under_way:
            await asyncio.wait([undertaking.work for undertaking in self._under_way])

    def _keep(self, undertaking: _Undertaking) -> None:
        self._left[undertaking] = None
        undertaking.work.add_done_callback(_log_failure)
        if len(self._left) > _KEPT:
            del self._left[next(iter(self._left))]


async def _result_of(undertaking: _Undertaking) -> Any:
    try:
        return await asyncio.shield(undertaking.work)
    except asyncio.CancelledError:
        caller = asyncio.current_task()
        if undertaking.work.cancelled() and not (caller and caller.cancelling()):
            task_id = undertaking.journey.task_id
            paid = (
                "" if task_id is None else f"; task {task_id} is paid for: attach to it by its id"
            )
            raise PhotoAnimerError(f"the client was closed meanwhile{paid}") from None
        raise


def _log_failure(work: "asyncio.Task[Any]") -> None:
    if work.cancelled():
        return
    error = work.exception()
    if error is None and isinstance(outcome := work.result(), Outcome):
        error = outcome.error
    if error is not None:
        _log.warning("an animation that its caller had left failed: %s", error)
