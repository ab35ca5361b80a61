"""A job: one photo from its file to its result, and what lets jobs submit."""

import asyncio
import logging
import time
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from photoanimer_async.api.task_errors import with_task
from photoanimer_async.errors import (
    AmbiguousSubmitError,
    InvalidPhotoError,
    JournalError,
    NotSubmittedError,
    PhotoAnimerError,
    TaskFailedError,
)
from photoanimer_async.jobs.budget import Budget, Reservation
from photoanimer_async.jobs.journal import (
    NOTHING,
    Entry,
    Facts,
    RefusedStepError,
)
from photoanimer_async.jobs.lifecycle import TRANSITIONS, Event, State
from photoanimer_async.jobs.progress import ProgressEvent, ProgressHook, report
from photoanimer_async.jobs.unclaimed import UnclaimedTasks
from photoanimer_async.models import AnimationRequest, Evidence, Outcome, TaskId
from photoanimer_async.photos.check import PhotoPreparer
from photoanimer_async.redaction import shown_photo, without_queries

if TYPE_CHECKING:
    from photoanimer_async.jobs.journal import Journal

_log = logging.getLogger(__name__)

_SUBMITS = {State.FAILED: Event.RETRY, State.AMBIGUOUS: Event.RESUBMIT}


class SubmitGate:
    """Lets submits through until it is closed, once and for good.

    It is closed for a reason that holds for all photos (no credits, no budget, no journal) or
    because the batch is being closed. A submit that is already inside gets its answer.

    Attributes:
        closed: set when the gate is closed.
        reason: the error that closed it; `None` if the caller did.
    """

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.reason: PhotoAnimerError | None = None
        self._submits = 0
        self._empty: asyncio.Event | None = None  # set when no submit is inside

    def close(self, reason: PhotoAnimerError | None = None) -> None:
        """Let no further submit through; only the first reason is kept."""
        if not self.closed.is_set():
            self.reason = reason
            self.closed.set()

    def __enter__(self) -> None:
        """Let one submit in, from its record of intent to that of its answer.

        Raises:
            NotSubmittedError: the gate is closed.
        """
        if self.closed.is_set():
            why = "the batch is being closed" if self.reason is None else str(self.reason)
            raise NotSubmittedError(f"not submitted: {why}") from self.reason
        self._submits += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._submits -= 1
        if self._empty is not None and not self._submits:
            self._empty.set()

    async def drained(self, within: float) -> None:
        """Wait until no submit is inside, for at most so many seconds; the gate is closed."""
        if not self._submits:
            return
        if self._empty is None:
            self._empty = asyncio.Event()
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._empty.wait()


@frozen(kw_only=True)
class JobContext:
    """What all jobs of one call or batch share.

    Attributes:
        timeout: seconds for the wait for a turn and for the end of the task, together; in a batch
            for each of them. `None` for no limit.
        in_batch: whether the jobs are those of a batch, behind which single calls do not wait.
        hook: called with each step of each job.
        journal: where each step is recorded; `None` for no journal.
        gate: every submit passes it.
        budget: video seconds that may be spent; `None` for no limit.
        risk: video seconds that may be spent on photos that may have been charged already; `None`
            for none.
        retry_failed: whether to pay again for photos that failed in an earlier run.
        preparer: checks photos, or makes them fit, before they get a URL.
        unclaimed: keeps tasks that were paid for and whose results are missing; `None` where a
            journal or the caller has their ids.
        evidence_seconds: how long to watch whether the service fetches the photo of a submit
            whose answer was lost.
    """

    timeout: float | None = None
    in_batch: bool = False
    hook: ProgressHook | None = None
    journal: "Journal | None" = None
    gate: SubmitGate = field(factory=SubmitGate)
    budget: Budget | None = None
    risk: Budget | None = None
    retry_failed: bool = False
    preparer: PhotoPreparer = field(factory=PhotoPreparer)
    unclaimed: UnclaimedTasks | None = None
    evidence_seconds: float = 10.0


@define(eq=False)
class Job:
    """One photo on its way. Each step is recorded in the journal, then reported to the hook.

    Attributes:
        index: the photo's place in its batch, from 0.
        request: the photo, and how to animate it.
        context: what it shares with the other jobs of its batch.
        entry: what the journal held of it when it began; `None` without a journal.
        state: how far it is.
        task_id: its task, once the service has accepted it.
        image_url: the URL of its last submit.
        risk: what it has reserved to be submitted again though it may have been charged.
    """

    index: int
    request: AnimationRequest
    context: JobContext
    entry: Entry | None = None
    state: State = State.PLANNED
    task_id: TaskId | None = None
    image_url: str | None = field(default=None, repr=False)
    risk: Reservation | None = None

    def __attrs_post_init__(self) -> None:
        if self.entry is not None:
            self.state, self.task_id = self.entry.state, self.entry.task_id

    async def record(self, event: Event, facts: Facts = NOTHING) -> None:
        """Change the state; the event is on disk when this returns.

        Raises:
            JournalError: it could not be written; the state is as before.
            asyncio.CancelledError: it is written all the same, and the state has changed.
        """
        state = TRANSITIONS[self.state, event]
        if self.entry is not None and self.context.journal is not None:
            try:
                await self.context.journal.record(self.entry.id, self.state, event, facts)
            except asyncio.CancelledError:
                self.state = state
                raise
        self.state = state
        if self.context.hook is not None:
            self.report_progress()

    def commit(self, reservation: Reservation | None) -> None:
        """Keep what was reserved for its submit, which has been charged or may have been."""
        for kept in (reservation, self.risk):
            if kept is not None:
                kept.commit()

    async def record_intent(self, image_url: str) -> None:
        """Change the state to that of a submit which is sent next; see `record`."""
        self.image_url = image_url
        self.task_id = None  # not that of a task which has failed
        facts = NOTHING
        if self.entry is not None:
            facts = Facts(image_url=self._stored_url(image_url), submitted_at=time.time())
        try:
            await self.record(_SUBMITS.get(self.state, Event.SUBMIT), facts)
        except asyncio.CancelledError:
            self.record_unsent(NOTHING)
            raise

    def record_unsent(self, facts: Facts) -> None:
        """Change the state to that before the submit, which was provably not accepted.

        It is written as by `record_later`. A job that is submitted again by consent is failed or
        ambiguous again, as its entry says: a later run asks for consent again.

        Args:
            facts: what to record of a job that was planned.
        """
        before = self.entry
        if before is None or before.state not in _SUBMITS:
            self.record_later(Event.DEFER, facts)
            self.report_progress()
            return
        as_before = Facts(
            task_id=before.task_id,
            image_url=self._stored_url(before.image_url),
            submitted_at=before.submitted_at,
            evidence=before.evidence,
            seconds=before.seconds,
            error=before.error,
        )
        is_failed = before.state is State.FAILED
        self.record_later(Event.REFUSE if is_failed else Event.REVERT, as_before)

    def _stored_url(self, image_url: str | None) -> str | None:
        """Return what the journal holds of a submit's URL, beside the photo itself.

        The signature in a published URL is a secret that it does not need.
        """
        if image_url is None or image_url == self.request.photo:
            return None
        return without_queries(image_url)

    async def record_acceptance(self, task_id: TaskId, reservation: Reservation | None) -> None:
        """Change the state to that of a submit which was accepted, and charged; see `record`."""
        self.task_id = task_id
        self.commit(reservation)
        await self.record(Event.ACCEPT, Facts(task_id=task_id))

    def record_later(self, event: Event, facts: Facts = NOTHING) -> None:
        """Change the state, and have the event written without waiting for it.

        If the journal cannot be written, the gate closes: without one nothing more is paid for.
        """
        state = TRANSITIONS[self.state, event]
        if self.context.journal is not None and self.entry is not None:
            self.context.journal.record_later(
                self.entry.id, self.state, event, facts, self._close_gate
            )
        self.state = state

    def _close_gate(self, error: BaseException) -> None:
        if isinstance(error, PhotoAnimerError):
            _log.error("%s: %s", shown_photo(self.request.photo), error)
            if not isinstance(error, RefusedStepError):
                self.context.gate.close(error)

    async def annotate(self, facts: Facts) -> None:
        """Write facts that change no state; they are on disk when this returns."""
        if self.context.journal is not None and self.entry is not None and facts != NOTHING:
            await self.context.journal.annotate(self.entry.id, facts)

    async def fail(self, error: PhotoAnimerError) -> Outcome:
        """End the job with an error: record it, report it, and return the outcome.

        After payment the error names the task, and before it none.
        """
        error = with_task(error, self.task_id)
        try:
            match self.state, error:
                case State.PLANNED, InvalidPhotoError():
                    # The journal's readers name the photo themselves.
                    reason = str(error).removeprefix(f"{error.photo}: ")
                    self.record_later(Event.REFUSE, Facts(error=reason))
                case State.SUBMITTED, TaskFailedError():
                    self.record_later(Event.FAIL, Facts(error=str(error)))
                case State.AMBIGUOUS, AmbiguousSubmitError(evidence=Evidence() as evidence):
                    await self.annotate(Facts(evidence=evidence))
                case ((State.SUBMITTED | State.FINISHED), _):
                    await self.annotate(Facts(error=str(error)))
                case _:
                    pass
        except JournalError as journal_error:
            _log.warning("%s: %s", shown_photo(self.request.photo), journal_error)
        self.report_progress(error)
        return Outcome(self.index, self.request, self.task_id, error=error)

    def report_progress(self, error: PhotoAnimerError | None = None) -> None:
        """Call the hook with the job's present state."""
        if self.context.hook is not None:
            photo = self.request.photo
            event = ProgressEvent(self.index, photo, self.state, self.task_id, error)
            report(self.context.hook, event)
