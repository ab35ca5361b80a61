"""One photo the whole way: check, publish, submit, wait, download.

The way is a straight line, and each step on it is an event of `lifecycle`, so that what
is reported and written down can only be what the table of transitions allows. A photo that an
earlier run has brought some way goes on from there.

It has two parts, with the wait for the task between them: `begin` and `finish`. What a photo
needs in the second part stands in its `Journey`, so that no coroutine has to wait with it.

With a journal, nothing leaves before the intent to submit is on disk, and nobody is told of a
task, or of a saved file, before the journal knows of it. Failures are handed to the journal
without waiting: until they are written the intent stands there, which makes a crash ambiguous.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from attrs import evolve

from photoanimer_async.errors import (
    AmbiguousSubmitError,
    AuthenticationError,
    BudgetExceededError,
    InsufficientCreditsError,
    InvalidPhotoError,
    JournalError,
    PhotoAnimerError,
    TaskFailedError,
    WaitTimeoutError,
)
from photoanimer_async.jobs.account import Account
from photoanimer_async.jobs.budget import Budget
from photoanimer_async.jobs.job import Journey, Terms
from photoanimer_async.jobs.journal import Entry, Facts
from photoanimer_async.jobs.lifecycle import Event, State
from photoanimer_async.jobs.publisher import Publications, Publisher
from photoanimer_async.jobs.submission import PhotoSubmission
from photoanimer_async.models import (
    Animation,
    AnimationRequest,
    Evidence,
    Location,
    Outcome,
    TaskId,
    TaskInfo,
    TaskStatus,
)
from photoanimer_async.photos.voice import check_voice
from photoanimer_async.polling.scheduler import PollScheduler
from photoanimer_async.redaction import shown_photo
from photoanimer_async.storage.result_store import ResultStore

_STOP_ALL = (AuthenticationError, BudgetExceededError, InsufficientCreditsError, JournalError)


class Pipeline:
    """Takes photos the whole way.

    Args:
        account: submits, waits and saves.
        publisher: gives local photos their URLs.
        terms: what holds for all of them.
    """

    def __init__(self, account: Account, publisher: Publisher, terms: Terms) -> None:
        self._account = account
        self._publisher = publisher
        self._terms = terms

    def journey(self, index: int, request: AnimationRequest, entry: Entry | None = None) -> Journey:
        """A photo's journey on these terms, not begun.

        Args:
            index: the photo's place in the batch.
            request: the photo, and how to animate it.
            entry: what the journal knows of it, where there is a journal.
        """
        return Journey(index, request, self._terms, entry)

    async def take(self, journey: Journey, store: ResultStore | None) -> Outcome:
        """Takes a journey the whole way. Whatever this package's errors say ends up in the outcome.

        Args:
            journey: not begun.
            store: where the result goes; `None` if it is not to be downloaded.
        """
        begun = await self.begin(journey, store)
        if isinstance(begun, Outcome):
            return begun
        async with journey.held:
            return await self.finish(journey, await self._ended(journey))

    async def begin(
        self, journey: Journey, store: ResultStore | None
    ) -> "Outcome | SubmittedPhoto":
        """Takes a journey to where its task is under way; the outcome if it ends before that."""
        journey.begins()
        outcome = await self._outcome_of(journey, self._begin(journey, store))
        if outcome is not None:
            return outcome
        return SubmittedPhoto(journey, self, self._account.scheduler, self._terms.timeout)

    async def finish(self, journey: Journey, ended: TaskInfo | PhotoAnimerError) -> Outcome:
        """Takes a journey on from the end of its task; what it holds is left to the caller.

        Args:
            journey: one that was begun.
            ended: the task's last state, or why it is not known.
        """
        outcome = await self._outcome_of(journey, self._collect(journey, ended))
        assert outcome is not None  # noqa: S101 - there is nothing beyond this
        return outcome

    async def _outcome_of(
        self, journey: Journey, part: Coroutine[Any, Any, Animation | None]
    ) -> Outcome | None:
        try:
            animation = await part
        except PhotoAnimerError as error:
            if isinstance(error, _STOP_ALL):
                journey.gate.close(error)
            await journey.ends(error)
            return Outcome(journey.index, journey.request, journey.task_id, None, error)
        if animation is None:
            return None
        return Outcome(journey.index, journey.request, journey.task_id, animation)

    async def _begin(self, journey: Journey, store: ResultStore | None) -> Animation | None:
        if journey.entry is not None and journey.state is State.SAVED:
            return _animation_saved(journey.entry)
        async with AsyncExitStack() as unless_begun:
            unless_begun.push_async_exit(journey.held)
            if journey.state in {State.SUBMITTED, State.FINISHED}:
                await _claim(journey, store)
            else:
                await self._send(journey, store)
            unless_begun.pop_all()
        journey.since = time.monotonic()
        return None

    async def _send(self, journey: Journey, store: ResultStore | None) -> None:
        self._require_consent(journey)
        held, options = journey.held, journey.request.options
        await check_voice(options.voice)
        photo = await self._terms.intake.admitted(journey.request.photo, held)
        await _claim(journey, store)
        publications = self._publisher.publications(photo, held)
        sent = await self._publisher.voiced(options, held)
        await self._submit(PhotoSubmission(journey, publications, sent), publications)

    async def _ended(self, journey: Journey) -> TaskInfo | PhotoAnimerError:
        try:
            scheduler, timeout = self._account.scheduler, self._terms.timeout
            return await scheduler.wait(_task_of(journey), timeout=timeout)
        except PhotoAnimerError as error:
            return error

    def _require_consent(self, journey: Journey) -> None:
        """Nothing is paid for twice, unless that was asked for."""
        if journey.entry is None:
            return
        if journey.state is State.FAILED and not self._terms.retry_failed:
            raise _failure_of(journey.entry)
        if journey.state is State.AMBIGUOUS:
            _reserve_risk(self._terms.risk, journey.entry)
        if not journey.entry.has_photo and journey.request.photo == b"":
            raise InvalidPhotoError(
                f"photo {journey.entry.id} was handed in as content, which is not in the journal: "
                "run the same batch again",
                photo=f"photo {journey.entry.id}",
            )

    async def _submit(self, submission: PhotoSubmission, publications: Publications) -> None:
        try:
            await self._account.submit(submission)
        except AmbiguousSubmitError as error:
            within = self._terms.evidence_seconds
            error.evidence = await publications.evidence(error.image_url, within)
            raise

    async def _collect(self, journey: Journey, ended: TaskInfo | PhotoAnimerError) -> Animation:
        if isinstance(ended, PhotoAnimerError):
            raise ended
        if ended.status is TaskStatus.FAILED:
            raise TaskFailedError(ended)
        seconds = _seconds_of(journey.entry, time.monotonic() - journey.since)
        animation = Animation(_task_of(journey), ended, None, seconds)
        destination = journey.destination
        if destination is None:
            if journey.state is State.SUBMITTED:
                journey.learns(Event.FINISH, Facts(seconds=seconds))
                journey.tells()
            return animation
        # Before the file is begun: what is left of it must not lie about unknown.
        if journey.state is State.SUBMITTED:
            place = destination.location
            await journey.goes_on(Event.FINISH, Facts(seconds=seconds, destination=place))
        else:
            await journey.notes(Facts(destination=destination.location))
        output_format = journey.request.options.output_format
        saved = await self._account.save(ended, destination, output_format)
        await journey.goes_on(Event.SAVE, Facts(path=saved))
        return _saved(animation, saved)


class SubmittedPhoto:
    """A photo whose task is under way: a record, which the scheduler tells of the task's end.

    It is what a `Batch` keeps of it.
    """

    __slots__ = ("_ended", "_journey", "_on_end", "_pipeline", "_scheduler", "_timeout", "_timer")

    def __init__(
        self,
        journey: Journey,
        pipeline: Pipeline,
        scheduler: PollScheduler,
        timeout: float | None,
    ) -> None:
        self._journey = journey
        self._pipeline = pipeline
        self._scheduler = scheduler
        self._timeout = timeout
        self._timer: asyncio.TimerHandle | None = None
        self._on_end: Callable[[SubmittedPhoto], None] | None = None
        self._ended: TaskInfo | PhotoAnimerError | None = None

    def watch(self, on_end: Callable[["SubmittedPhoto"], None]) -> None:
        """Has `on_end` called once: when the task has ended, or can not be waited for."""
        task_id = _task_of(self._journey)
        self._on_end = on_end
        if self._timeout is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._timeout, self._is_late)
        self._scheduler.add_waiter(task_id, self)

    def on_result(self, _: str, ended: TaskInfo | PhotoAnimerError) -> None:
        """See `scheduler.Waiter`."""
        self._ends(ended)

    async def finish(self) -> Outcome:
        """Takes it the rest of its way."""
        assert self._ended is not None  # noqa: S101 - it has been told
        async with self._journey.held:
            return await self._pipeline.finish(self._journey, self._ended)

    async def abandon(self) -> None:
        """Leaves it where it is; the task goes on at the service."""
        self._leave()
        await self._journey.held.close()

    def _is_late(self) -> None:
        self._ends(WaitTimeoutError(_task_of(self._journey), self._timeout or 0.0))

    def _ends(self, ended: TaskInfo | PhotoAnimerError) -> None:
        self._leave()
        self._ended = ended
        if self._on_end is not None:
            self._on_end(self)

    def _leave(self) -> None:
        self._scheduler.remove_waiter(_task_of(self._journey), self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def _claim(journey: Journey, store: ResultStore | None) -> None:
    """Claims what the photo's result is to become, nobody else's until the end."""
    if store is None:
        return
    request = journey.request
    suffix = f".{request.options.output_format.value}"
    earlier = None if journey.entry is None else journey.entry.destination
    claim = store.claim(request.photo, suffix, name=request.name, earlier=earlier)
    journey.destination = await journey.held.enter(claim)


def _task_of(journey: Journey) -> TaskId:
    assert journey.task_id is not None  # noqa: S101 - it has been accepted
    return journey.task_id


def _seconds_of(entry: Entry | None, waited: float) -> float:
    """From the submit to the end of the task, as far as it was seen."""
    if entry is None or entry.state not in {State.SUBMITTED, State.FINISHED}:
        return waited
    if entry.seconds is not None:
        return entry.seconds
    return max(waited, time.time() - (entry.submitted_at or time.time()))


def _animation_saved(entry: Entry) -> Animation:
    task_id = entry.task_id if entry.task_id is not None else ""
    info = TaskInfo(task_id, TaskStatus.FINISHED)
    animation = Animation(task_id, info, None, entry.seconds or 0.0)
    return animation if entry.path is None else _saved(animation, entry.path)


def _saved(animation: Animation, place: Location) -> Animation:
    if isinstance(place, Path):
        return evolve(animation, path=place)
    return evolve(animation, url=place)


def _failure_of(entry: Entry) -> PhotoAnimerError:
    why = f"failed in an earlier run: {entry.error or 'no reason is known'}"
    if entry.task_id is not None:
        return TaskFailedError(TaskInfo(entry.task_id, TaskStatus.FAILED, fail_reason=why))
    return PhotoAnimerError(f"{shown_photo(entry.request.photo)}: {why}")


def _reserve_risk(risk: Budget, entry: Entry) -> None:
    """Sets aside what it may cost to pay for an ambiguous photo once more.

    Raises:
        AmbiguousSubmitError: it may not be, or the service has shown that it has accepted it.
    """
    if entry.evidence is not Evidence.FETCHED:
        with suppress(BudgetExceededError):
            risk.commit(risk.reserve(entry.request.options))
            return
    error = AmbiguousSubmitError(
        f"{shown_photo(entry.request.photo)}: in an earlier run the submit left, but whether it "
        f"was accepted is not known ({entry.error}); it was not repeated, since that could be "
        "charged twice",
        photo=entry.request.photo,
        image_url=entry.image_url or "",
        template=entry.request.options.template,
    )
    error.evidence = entry.evidence
    raise error
