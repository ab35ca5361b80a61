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
from enum import Enum, auto
from types import TracebackType
from typing import Self

from photoanimer_async.api.rate_limits import AllowedRate, Pace
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

    __hash__ = object.__hash__  # that of enums is a function in Python

    def __init__(self, _: int) -> None:
        self.submits = self.name in {"SUBMIT", "BATCH_SUBMIT"}


class RequestQueue:
    """Lets requests through, a bounded number at once and at the rates that are allowed.

        with await queue.turn(Lane.POLL):
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
        self._rates = {False: (self._rate,), True: (self._rate, self._submit_rate)}  # by `submits`
        self._submit_pace = submit_pace
        self._lanes: deque[Lane] = deque()  # those in which requests wait, the next one first
        self._waiting: dict[Lane, OrderedDict[asyncio.Future[None], None]] = {
            lane: OrderedDict() for lane in Lane
        }
        self._polls_waiting = self._waiting[Lane.POLL]
        self._timer: asyncio.TimerHandle | None = None

    @property
    def size(self) -> float:
        """How many requests may be in flight: its whole part counts."""
        return self._size

    async def turn(self, lane: Lane) -> "Turn":
        """Wait until one request may be sent; return its turn, which is the context of it."""
        now = time.monotonic()
        if self._lanes or self._pause(lane, now) > 0:
            await self._wait(lane)
            now = time.monotonic()
        else:
            self._take(lane, now)
        self._started += 1
        return Turn(self, lane, self._started, now)

    def poll_pause(self) -> float:
        """Return the seconds until it is worth choosing the next task to poll; 0 for now."""
        if not self._polls_waiting:
            return 0.0
        pause = self._pause(Lane.POLL, time.monotonic())
        return max(pause if pause < math.inf else 0.0, _SHORTEST_PAUSE)

    def end(self, turn: "Turn", error: BaseException | None) -> None:
        """Count the answer to a request, or the error that ended it."""
        lane, now = turn.lane, time.monotonic()
        if error is None:
            self._count_answer(turn, now)
        else:
            self._count_error(turn, error, now)
        self._free(lane)

    def _count_answer(self, turn: "Turn", now: float) -> None:
        if self._size < self._limit:
            self._size = min(self._limit, self._size + 1.0 / self._size)
        for rate in self._rates[turn.lane.submits]:
            if rate.is_limited:
                rate.accepted(turn.sent, now)
            else:
                rate.accepted_at.append(now)

    def _count_error(self, turn: "Turn", error: BaseException, now: float) -> None:
        lane = turn.lane
        if isinstance(error, RateLimitedError):
            one = lane.submits and not self._rate.is_limited
            rate = self._submit_rate if one else self._rate
            rate.refused(turn.sent, now, error.retry_after or 0.0)
        elif isinstance(error, _ANSWERED):
            if getattr(error, "http_status", 0) == _UNAVAILABLE:
                self._halve(turn.number)
            else:
                self._count_answer(turn, now)
        elif isinstance(error, Exception) and not isinstance(error, NoAnswerError):
            self._give_back(lane, now)  # it was not sent

    def _pause(self, lane: Lane, now: float) -> float:
        """Return the seconds until the lane's next request; infinity if an answer is needed."""
        if self._in_flight >= int(self._size) or (lane.submits and not self._submits_free):
            return math.inf
        next_at = self._rate.next_at
        if lane.submits:
            next_at = max(next_at, self._submit_rate.next_at, self._submit_pace.next_at)
        return next_at - now

    def _take(self, lane: Lane, now: float) -> None:
        self._in_flight += 1
        if lane.submits:
            self._submits_free -= 1
            if self._submit_pace.is_limited:
                self._submit_pace.take(now)
        for rate in self._rates[lane.submits]:
            if rate.is_limited:
                rate.take(now)

    def _give_back(self, lane: Lane, now: float) -> None:
        if lane.submits:
            self._submit_pace.give_back(now)
        for rate in self._rates[lane.submits]:
            if rate.is_limited:
                rate.give_back(now)

    def _free(self, lane: Lane) -> None:
        self._in_flight -= 1
        self._submits_free += lane.submits
        if self._lanes:
            self._admit()

    async def _wait(self, lane: Lane) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting[lane]
        if not waiting:
            self._lanes.append(lane)
        waiting[turn] = None
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                if turn in waiting:
                    del waiting[turn]
                    if not waiting:
                        self._lanes.remove(lane)
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
        lanes, now = self._lanes, time.monotonic()
        soonest = math.inf
        blocked = 0
        while blocked < len(lanes):
            lane = lanes[0]
            lanes.rotate(-1)
            pause = self._pause(lane, now)
            if pause > 0:
                soonest = min(soonest, pause)
                blocked += 1
                continue
            waiting = self._waiting[lane]
            turn, _ = waiting.popitem(last=False)
            if not waiting:
                lanes.pop()
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


class Turn:
    """The turn of one request: a context that ends with its answer, or the error that it raises.

    `end` ends it earlier.

    Attributes:
        lane: the kind of request.
        number: how many requests had a turn until then.
        sent: when it began.
    """

    # A class, since the generator of `contextmanager` costs more than the queue itself.
    __slots__ = ("_has_ended", "_queue", "lane", "number", "sent")

    def __init__(self, queue: RequestQueue, lane: Lane, number: int, sent: float) -> None:
        self._queue = queue
        self._has_ended = False
        self.lane = lane
        self.number = number
        self.sent = sent

    def __enter__(self) -> Self:
        """Return itself; the turn has begun."""
        return self

    def end(self) -> None:
        """End the turn before its context does, since the answer is there."""
        self._has_ended = True
        self._queue.end(self, None)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._has_ended:
            self._queue.end(self, error)
