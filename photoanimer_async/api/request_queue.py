"""Whose request is sent next: a queue in front of all requests of a client.

A request waits until fewer than `size` requests are in flight, and until the rates allow it: the
user's, and those that the service was found to allow. Each kind of request has a lane of its own,
and the lanes take turns. So a single call does not wait behind a whole batch, and polls for what
was paid for do not wait behind submits. A caller that is cancelled while it waits leaves the queue
and takes no turn.
"""

import asyncio
import math
import time
from collections import OrderedDict, deque
from contextlib import AbstractAsyncContextManager
from enum import Enum, auto
from types import TracebackType

from photoanimer_async.api.allowed_rate import AllowedRate
from photoanimer_async.api.rate_limits import Pace
from photoanimer_async.errors import (
    ApiError,
    NoAnswerError,
    RateLimitedError,
    UnexpectedResponseError,
)

_UNAVAILABLE = 503
_ANSWERED = (ApiError, UnexpectedResponseError)
_SHORTEST_PAUSE = 0.01


class Lane(Enum):
    """A kind of request; each has its own place in the order.

    Attributes:
        submits: whether its requests are submits.
    """

    CALL = auto()
    """A single read: one task's info, or the balance."""
    SUBMIT = auto()
    """A single submit."""
    BATCH_SUBMIT = auto()
    POLL = auto()
    """A poll that the scheduler sends."""

    def __init__(self, _: int) -> None:
        self.submits = self.name in {"SUBMIT", "BATCH_SUBMIT"}


class RequestQueue:
    """Lets requests through, a bounded number at once and at the rates that are allowed.

        async with queue.turn(Lane.POLL):
            answer = await transport.send(request)

    An answer 429 limits the rate: of submits if a submit met it, of all requests if a read did. An
    answer 503 halves `size`; each full window of other answers raises it by one again, up to the
    limit (additive increase, multiplicative decrease). Requests sent before the last halving met
    the same overload, so they do not halve it again.

    Args:
        concurrency: submits in flight at once, at most; of all requests, twice as many.
        submit_pace: the user's limit on the rate of submits.
    """

    def __init__(self, concurrency: int, submit_pace: Pace) -> None:
        self._limit = float(2 * concurrency)
        self._size = self._limit
        self._in_flight = 0
        self._submits_free = concurrency
        self._started = 0
        self._halved_after = 0
        self._rate = AllowedRate()
        self._submit_rate = AllowedRate()
        self._submit_pace = submit_pace
        self._lanes: deque[Lane] = deque(Lane)
        self._waiting: dict[Lane, OrderedDict[asyncio.Future[None], None]] = {
            lane: OrderedDict() for lane in Lane
        }
        self._waiters = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def size(self) -> float:
        """How many requests may be in flight: its whole part counts."""
        return self._size

    def turn(self, lane: Lane) -> AbstractAsyncContextManager[None]:
        """Return the context of one request: it waits for its turn, and counts answer or error."""
        return _Turn(self, lane)

    def poll_pause(self) -> float:
        """Return the seconds until it is worth choosing the next task to poll; 0 for now."""
        if not self._waiting[Lane.POLL]:
            return 0.0
        pause = self._pause(Lane.POLL, time.monotonic())
        return max(pause if pause < math.inf else 0.0, _SHORTEST_PAUSE)

    async def enter(self, lane: Lane) -> tuple[int, float]:
        """Wait for a turn; return the request's number and its time."""
        now = time.monotonic()
        if self._waiters or self._pause(lane, now) > 0:
            await self._wait(lane)
            now = time.monotonic()
        else:
            self._take(lane, now)
        self._started += 1
        return self._started, now

    def leave(self, lane: Lane, number: int, sent: float, error: BaseException | None) -> None:
        """Count the answer to a request, or the error that ended it."""
        now = time.monotonic()
        if error is None or isinstance(error, _ANSWERED):
            self._count_answer(lane, number, sent, now, error)
        elif isinstance(error, Exception) and not isinstance(error, NoAnswerError):
            self._give_back(lane, now)  # it was not sent
        self._free(lane)

    def _count_answer(
        self, lane: Lane, number: int, sent: float, now: float, error: BaseException | None
    ) -> None:
        if isinstance(error, RateLimitedError):
            one = lane.submits and not self._rate.is_limited
            rate = self._submit_rate if one else self._rate
            rate.refused(sent, now, error.retry_after or 0.0)
        elif error is not None and getattr(error, "http_status", 0) == _UNAVAILABLE:
            self._halve(number)
        else:
            if self._size < self._limit:
                self._size = min(self._limit, self._size + 1.0 / self._size)
            self._rate.accepted(sent, now)
            if lane.submits:
                self._submit_rate.accepted(sent, now)

    def _pause(self, lane: Lane, now: float) -> float:
        """Return the seconds until the lane's next request; infinity if an answer is needed."""
        if self._in_flight >= int(self._size) or (lane.submits and not self._submits_free):
            return math.inf
        pause = self._rate.pause(now)
        if not lane.submits:
            return pause
        return max(pause, self._submit_rate.pause(now), self._submit_pace.pause(now))

    def _take(self, lane: Lane, now: float) -> None:
        self._in_flight += 1
        self._rate.take(now)
        if lane.submits:
            self._submits_free -= 1
            self._submit_rate.take(now)
            self._submit_pace.take(now)

    def _give_back(self, lane: Lane, now: float) -> None:
        self._rate.give_back(now)
        if lane.submits:
            self._submit_rate.give_back(now)
            self._submit_pace.give_back(now)

    def _free(self, lane: Lane) -> None:
        self._in_flight -= 1
        self._submits_free += lane.submits
        if self._waiters:
            self._admit()

    async def _wait(self, lane: Lane) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[lane][turn] = None
        self._waiters += 1
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                if turn in self._waiting[lane]:
                    del self._waiting[lane][turn]
                    self._waiters -= 1
                self._admit()
            else:
                self._give_back(lane, time.monotonic())
                self._free(lane)
            raise

    def _admit(self) -> None:
        """Give turns to waiting requests, lane by lane, and wake up for the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiters:
            return
        now = time.monotonic()
        soonest = math.inf
        blocked = 0
        while blocked < len(self._lanes):
            lane = self._lanes[0]
            self._lanes.rotate(-1)
            pause = self._pause(lane, now) if self._waiting[lane] else math.inf
            if pause > 0:
                soonest = min(soonest, pause)
                blocked += 1
                continue
            turn, _ = self._waiting[lane].popitem(last=False)
            self._waiters -= 1
            if not turn.cancelled():  # else its caller is cancelled, but has not run yet
                self._take(lane, now)
                turn.set_result(None)
            blocked = 0
        if soonest < math.inf:
            self._timer = asyncio.get_running_loop().call_later(soonest, self._admit)

    def _halve(self, number: int) -> None:
        if number > self._halved_after:
            self._size = max(1.0, self._size / 2)
            self._halved_after = self._started


class _Turn(AbstractAsyncContextManager[None]):
    # A class, since the generator of `asynccontextmanager` costs more than the queue itself.
    __slots__ = ("_lane", "_number", "_queue", "_sent")

    def __init__(self, queue: RequestQueue, lane: Lane) -> None:
        self._queue = queue
        self._lane = lane
        self._number = 0
        self._sent = 0.0

    async def __aenter__(self) -> None:
        self._number, self._sent = await self._queue.enter(self._lane)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._queue.leave(self._lane, self._number, self._sent, error)
