"""One photo the whole way: check, publish, submit, wait, download.

The way is a straight line, and each step on it is an event of `core.lifecycle`, so that what
is reported and written down can only be what the table of transitions allows. A photo that an
earlier run has brought some way goes on from there.

With a journal, nothing leaves before the intent to submit is on disk, and nobody is told of a
task, or of a saved file, before the journal knows of it. Failures are handed to the journal
without waiting: until they are written the intent stands there, which makes a crash ambiguous.
"""

import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from pathlib import Path
from typing import Protocol, TypeVar

from attrs import evolve

from photoanimer_async.core.budget import Budget
from photoanimer_async.core.lifecycle import Event, State
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
from photoanimer_async.hosting import Publications, Publisher
from photoanimer_async.journal import Entry, Facts
from photoanimer_async.journey import Journey, Terms
from photoanimer_async.models import (
    Animation,
    AnimationRequest,
    Evidence,
    Outcome,
    OutputFormat,
    Place,
    TaskId,
    TaskInfo,
    TaskStatus,
)
from photoanimer_async.redaction import shown_photo
from photoanimer_async.results import Destination, ResultStore
from photoanimer_async.submission import PhotoSubmission, Submission
from photoanimer_async.voices import check_voice

_PlaceT = TypeVar("_PlaceT", bound=Place)

_STOP_ALL = (AuthenticationError, BudgetExceededError, InsufficientCreditsError, JournalError)


class Service(Protocol):
    """What a journey needs of the client."""

    @property
    def base_url(self) -> str:
        """Where the service is."""
        ...

    async def submit_photo(self, submission: Submission) -> TaskId:
        """Makes attempts at a submit until it is accepted, as far as they may be made."""
        ...

    async def strays(self) -> Sequence[TaskId]:
        """Finished tasks that only a submit whose answer was lost can have made."""
        ...

    async def wait(self, task_id: TaskId, *, timeout: float | None) -> TaskInfo:
        """Waits for the task's end; raises `TaskFailedError` on status 2."""
        ...

    async def download_to(
        self, info: TaskInfo, destination: Destination[_PlaceT], *, output_format: OutputFormat
    ) -> _PlaceT:
        """Saves the result."""
        ...


class Pipeline:
    """Takes photos the whole way.

    Args:
        service: submits, waits and downloads.
        publisher: gives local photos their URLs.
        terms: what holds for all of them.
    """

    def __init__(self, service: Service, publisher: Publisher, terms: Terms) -> None:
        self._service = service
        self._publisher = publisher
        self._terms = terms

    async def run(
        self,
        index: int,
        request: AnimationRequest,
        store: ResultStore | None,
        entry: Entry | None = None,
    ) -> Outcome:
        """The outcome for one photo. Whatever this package's errors say ends up in it.

        Args:
            index: the photo's place in the batch.
            request: the photo, and how to animate it.
            store: where the result goes; `None` if it is not to be downloaded.
            entry: what the journal knows of it, where there is a journal.
        """
        return await self.take(self.journey(index, request, entry), store)

    def journey(self, index: int, request: AnimationRequest, entry: Entry | None = None) -> Journey:
        """A photo's journey on these terms, not begun; see `run`."""
        terms = self._terms
        return Journey(index, request, terms.hook, terms.journal, terms.gate, entry)

    async def take(self, journey: Journey, store: ResultStore | None) -> Outcome:
        """Takes a journey to its end; see `run`."""
        index, request = journey.index, journey.request
        journey.begins()
        try:
            animation = await self._walk(journey, store)
        except PhotoAnimerError as error:
            if isinstance(error, _STOP_ALL):
                journey.gate.close(error)
            await journey.ends(error)
            return Outcome(index, request, journey.task_id, None, error)
        return Outcome(index, request, journey.task_id, animation)

    async def _walk(self, journey: Journey, store: ResultStore | None) -> Animation:
        if journey.entry is not None and journey.state is State.SAVED:
            return _animation_saved(journey.entry)
        if journey.state in {State.SUBMITTED, State.FINISHED}:
            async with _claimed(journey, store) as destination:
                return await self._collect(journey, destination)
        self._require_consent(journey)
        options = journey.request.options
        await check_voice(options.voice)
        async with (
            self._terms.intake.admitted(journey.request.photo) as photo,
            _claimed(journey, store) as destination,
            self._publisher.publications(photo) as publications,
            self._publisher.voiced(options) as sent,
        ):
            submission = PhotoSubmission(journey, self._terms, publications, sent)
            await self._submit(submission, publications)
            return await self._collect(journey, destination)

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
            await self._service.submit_photo(submission)
        except AmbiguousSubmitError as error:
            within = self._terms.evidence_seconds
            error.evidence = await publications.evidence(error.image_url, within)
            raise

    async def _collect(self, journey: Journey, destination: Destination[Place] | None) -> Animation:
        assert journey.task_id is not None  # noqa: S101 - it has been accepted
        since = time.monotonic()
        info = await self._service.wait(journey.task_id, timeout=self._terms.timeout)
        seconds = _seconds_of(journey.entry, time.monotonic() - since)
        animation = Animation(journey.task_id, info, None, seconds)
        if destination is None:
            if journey.state is State.SUBMITTED:
                journey.learns(Event.FINISH, Facts(seconds=seconds))
                journey.tells()
            return animation
        # Before the file is begun: what is left of it must not lie about unknown.
        if journey.state is State.SUBMITTED:
            place = destination.place
            await journey.goes_on(Event.FINISH, Facts(seconds=seconds, destination=place))
        else:
            await journey.notes(Facts(destination=destination.place))
        saved = await self._service.download_to(
            info, destination, output_format=journey.request.options.output_format
        )
        await journey.goes_on(Event.SAVE, Facts(path=saved))
        return _saved(animation, saved)


def _claimed(
    journey: Journey, store: ResultStore | None
) -> AbstractAsyncContextManager[Destination[Place] | None]:
    """What the photo's result is to become, nobody else's until the end."""
    if store is None:
        return nullcontext()
    suffix = f".{journey.request.options.output_format.value}"
    earlier = None if journey.entry is None else journey.entry.destination
    return store.claim(journey.request.photo, suffix, name=journey.request.name, earlier=earlier)


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


def _saved(animation: Animation, place: Place) -> Animation:
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
