"""One photo the whole way: check, publish, submit, wait, download.

The way is a straight line, and each step on it is an event of `core.lifecycle`, so that what
is reported and written down can only be what the table of transitions allows. With a journal,
an event is on disk before what follows from it is done, and a photo that an earlier run has
brought some way goes on from there.
"""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Protocol

from attrs import define, evolve, field, frozen

from photoanimer_async.core.budget import Budget
from photoanimer_async.core.lifecycle import Event, State, apply
from photoanimer_async.core.retry import Verdict, verdict
from photoanimer_async.core.wire import Operation
from photoanimer_async.errors import (
    AmbiguousSubmitError,
    AuthenticationError,
    BudgetExceededError,
    InsufficientCreditsError,
    InvalidPhotoError,
    JournalError,
    PhotoAnimerError,
    TaskFailedError,
)
from photoanimer_async.hosting import ImageHost, evidence_of, published
from photoanimer_async.journal import NOTHING, Entry, Facts, Journal
from photoanimer_async.models import (
    Animation,
    AnimationOptions,
    AnimationRequest,
    Evidence,
    Outcome,
    OutputFormat,
    Photo,
    TaskId,
    TaskInfo,
    TaskStatus,
)
from photoanimer_async.photos import check_photo
from photoanimer_async.progress import ProgressEvent, ProgressHook, report
from photoanimer_async.redaction import shown_photo
from photoanimer_async.result_files import ResultFolder
from photoanimer_async.submit_gate import SubmitGate

_log = logging.getLogger(__name__)

Send = Callable[[], Awaitable[TaskId]]
"""Makes one attempt at a submit."""

Attempt = Callable[[Send], Awaitable[TaskId]]
"""Does what belongs around one attempt at a submit, and makes it."""

_STOP_ALL = (AuthenticationError, BudgetExceededError, InsufficientCreditsError, JournalError)


class Service(Protocol):
    """What the way needs of the client."""

    @property
    def base_url(self) -> str:
        """Where the service is."""
        ...

    async def submit_photo(
        self, image_url: str, options: AnimationOptions, photo: Photo, attempt: Attempt
    ) -> TaskId:
        """Sends the submit, once; `attempt` is called around each try that may be made."""
        ...

    async def wait(self, task_id: TaskId, *, timeout: float | None) -> TaskInfo:
        """Waits for the task's end; raises `TaskFailedError` on status 2."""
        ...

    async def download(
        self, info: TaskInfo, destination: Path, *, output_format: OutputFormat
    ) -> Path:
        """Saves the result."""
        ...


@frozen(kw_only=True)
class Terms:
    """What holds for all photos of a batch.

    Attributes:
        timeout: seconds to wait for one task, from when the wait begins.
        hook: is told of every step.
        journal: where every step is written down.
        gate: every submit passes it.
        budget: video seconds that may be spent.
        risk: video seconds that may be spent on photos that may have been charged already.
        retry_failed: whether what failed in an earlier run is paid for again.
        evidence_seconds: how long to look whether the service fetches the photo of a submit
            whose answer was lost.
    """

    timeout: float | None = None
    hook: ProgressHook | None = None
    journal: Journal | None = None
    gate: SubmitGate = field(factory=SubmitGate)
    budget: Budget = field(factory=Budget)
    risk: Budget = field(factory=lambda: Budget(0.0))
    retry_failed: bool = False
    evidence_seconds: float = 10.0


@define
class _Way:
    """How far one photo is; each step is written down, then told to the hook."""

    index: int
    request: AnimationRequest
    hook: ProgressHook | None
    journal: Journal | None
    entry: Entry | None
    state: State = State.PLANNED
    task_id: TaskId | None = None

    def begins(self) -> None:
        if self.entry is not None:
            self.state, self.task_id = self.entry.state, self.entry.task_id
        self._tell(None)

    async def goes_on(self, event: Event, facts: Facts = NOTHING) -> None:
        await self.records(event, facts)
        self._tell(None)

    async def records(self, event: Event, facts: Facts) -> None:
        after = apply(self.state, event)
        if self.journal is not None and self.entry is not None:
            await self.journal.record(self.entry.id, self.state, event, facts)
        self.state = after

    async def ends(self, error: PhotoAnimerError) -> None:
        try:
            match self.state, error:
                case State.PLANNED, InvalidPhotoError():
                    await self.records(Event.REFUSE, Facts(error=str(error)))
                case State.SUBMITTED, TaskFailedError():
                    await self.records(Event.FAIL, Facts(error=str(error)))
                case State.AMBIGUOUS, AmbiguousSubmitError(evidence=Evidence() as evidence):
                    await self.notes(Facts(evidence=evidence))
                case ((State.SUBMITTED | State.FINISHED), _):
                    await self.notes(Facts(error=str(error)))
                case _:
                    pass
        except JournalError as fault:
            _log.warning("%s: %s", shown_photo(self.request.photo), fault)
        self._tell(error)

    async def notes(self, facts: Facts) -> None:
        if self.journal is not None and self.entry is not None and facts != NOTHING:
            await self.journal.note(self.entry.id, facts)

    def _tell(self, error: PhotoAnimerError | None) -> None:
        report(
            self.hook,
            ProgressEvent(self.index, self.request.photo, self.state, self.task_id, error),
        )


class Pipeline:
    """Takes photos the whole way.

    Args:
        service: submits, waits and downloads.
        host: gives local photos a URL.
        terms: what holds for all of them.
    """

    def __init__(self, service: Service, host: ImageHost, terms: Terms) -> None:
        self._service = service
        self._host = host
        self._terms = terms

    async def run(
        self,
        index: int,
        request: AnimationRequest,
        folder: ResultFolder | None,
        entry: Entry | None = None,
    ) -> Outcome:
        """The outcome for one photo. Whatever this package's errors say ends up in it.

        Args:
            index: the photo's place in the batch.
            request: the photo, and how to animate it.
            folder: where the result goes; `None` if it is not to be downloaded.
            entry: what the journal knows of it, where there is a journal.
        """
        way = _Way(index, request, self._terms.hook, self._terms.journal, entry)
        way.begins()
        try:
            animation = await self._walk(way, folder)
        except PhotoAnimerError as error:
            if isinstance(error, _STOP_ALL):
                self._terms.gate.close(error)
            await way.ends(error)
            return Outcome(index, request, way.task_id, None, error)
        return Outcome(index, request, way.task_id, animation)

    async def _walk(self, way: _Way, folder: ResultFolder | None) -> Animation:
        if way.entry is not None and way.state is State.SAVED:
            return _animation_saved(way.entry)
        if way.state in {State.SUBMITTED, State.FINISHED}:
            async with _claimed(way, folder) as destination:
                return await self._collect(way, destination)
        self._require_consent(way)
        await check_photo(way.request.photo)
        async with (
            _claimed(way, folder) as destination,
            published(self._host, way.request.photo) as image_url,
        ):
            await self._submit(way, image_url)
            return await self._collect(way, destination)

    def _require_consent(self, way: _Way) -> None:
        """Nothing is paid for twice, unless that was asked for."""
        if way.entry is None:
            return
        if way.state is State.FAILED and not self._terms.retry_failed:
            raise _failure_of(way.entry)
        if way.state is State.AMBIGUOUS:
            _reserve_risk(self._terms.risk, way.entry)
        if not way.entry.has_photo and way.request.photo == b"":
            raise InvalidPhotoError(
                f"photo {way.entry.id} was handed in as content, which is not in the journal: "
                "run the same batch again",
                photo=f"photo {way.entry.id}",
            )

    async def _submit(self, way: _Way, image_url: str) -> None:
        request = way.request
        try:
            await self._service.submit_photo(
                image_url, request.options, request.photo, partial(self._attempt, way, image_url)
            )
        except AmbiguousSubmitError as error:
            error.evidence = await evidence_of(self._host, image_url, self._terms.evidence_seconds)
            raise

    async def _attempt(self, way: _Way, image_url: str, send: Send) -> TaskId:
        budget = self._terms.budget
        with self._terms.gate.passing():
            cost = budget.reserve(way.request.options)
            try:
                if way.state is not State.PLANNED:
                    again = Event.RETRY if way.state is State.FAILED else Event.RESUBMIT
                    await way.goes_on(again)
                intent = Facts(image_url=image_url, submitted_at=time.time())
                await way.goes_on(Event.SUBMIT, intent)
            except JournalError:
                budget.release(cost)
                raise
            try:
                way.task_id = await send()
            except PhotoAnimerError as error:
                event = _event_of_submit(error)
                if event is Event.LOSE:
                    budget.commit(cost)
                else:
                    budget.release(cost)
                await way.records(event, Facts(error=str(error)))
                raise
            budget.commit(cost)
            await way.goes_on(Event.ACCEPT, Facts(task_id=way.task_id))
            return way.task_id

    async def _collect(self, way: _Way, destination: Path | None) -> Animation:
        assert way.task_id is not None  # noqa: S101 - it has been accepted
        since = time.monotonic()
        info = await self._service.wait(way.task_id, timeout=self._terms.timeout)
        seconds = _seconds_of(way.entry, time.monotonic() - since)
        animation = Animation(way.task_id, info, None, seconds)
        if way.state is State.SUBMITTED:
            await way.goes_on(Event.FINISH, Facts(seconds=seconds, destination=destination))
        else:
            await way.notes(Facts(destination=destination))
        if destination is None:
            return animation
        path = await self._service.download(
            info, destination, output_format=way.request.options.output_format
        )
        await way.goes_on(Event.SAVE, Facts(path=path))
        return evolve(animation, path=path)


@asynccontextmanager
async def _claimed(way: _Way, folder: ResultFolder | None) -> AsyncIterator[Path | None]:
    """The file that the photo's result is to become, nobody else's until the end."""
    if folder is None:
        yield None
        return
    suffix = f".{way.request.options.output_format.value}"
    earlier = None if way.entry is None else way.entry.destination
    async with folder.claim(
        way.request.photo, suffix, name=way.request.name, earlier=earlier
    ) as destination:
        yield destination


def _event_of_submit(error: PhotoAnimerError) -> Event:
    """What the failure of one attempt means for the photo."""
    match verdict(Operation.SUBMIT, error):
        case Verdict.AMBIGUOUS:
            return Event.LOSE
        case Verdict.TRY_AGAIN:
            return Event.DEFER
        case Verdict.GIVE_UP:
            # Key and balance are the account's: nothing is wrong with the photo.
            passing = isinstance(error, AuthenticationError | InsufficientCreditsError)
            return Event.DEFER if passing else Event.REFUSE


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
    return Animation(task_id, info, entry.path, entry.seconds or 0.0)


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
