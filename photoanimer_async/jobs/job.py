"""How far one photo is on its way, and the terms on which it goes."""

import asyncio
import logging

from attrs import define, field, frozen

from photoanimer_async.errors import (
    AmbiguousSubmitError,
    InvalidPhotoError,
    JournalError,
    PhotoAnimerError,
    TaskFailedError,
)
from photoanimer_async.jobs.budget import Budget
from photoanimer_async.jobs.journal import LEISURELY, NOTHING, Entry, Facts, Journal
from photoanimer_async.jobs.lifecycle import Event, State, apply
from photoanimer_async.jobs.photo_preparer import Intake
from photoanimer_async.jobs.progress import ProgressEvent, ProgressHook, report
from photoanimer_async.jobs.resources import Holdings
from photoanimer_async.jobs.submit_gate import SubmitGate
from photoanimer_async.models import AnimationRequest, Evidence, Location, TaskId
from photoanimer_async.redaction import shown_photo
from photoanimer_async.storage.result_store import Destination

_log = logging.getLogger(__name__)


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
        intake: what is done with a photo before it gets a URL.
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
    intake: Intake = field(factory=Intake)
    evidence_seconds: float = 10.0


@define(eq=False)
class Journey:
    """How far one photo is; each step is written down, then told to the hook.

    Attributes:
        index: the photo's place in its batch.
        request: the photo, and how to animate it.
        terms: what holds for it.
        entry: what the journal knew of it when it was begun; `None` without a journal.
        state: where it is.
        task_id: its task, once that is paid for.
        since: when the wait for the task began, by the monotonic clock.
        destination: what its result is to become; `None` if it is not to be downloaded.
        held: what is open on its behalf: its URLs, copies, and the claim on its destination.
    """

    index: int
    request: AnimationRequest
    terms: Terms
    entry: Entry | None = None
    state: State = State.PLANNED
    task_id: TaskId | None = None
    since: float = 0.0
    destination: Destination[Location] | None = None
    held: Holdings = field(factory=Holdings)

    @property
    def gate(self) -> SubmitGate:
        """What its submits have to pass."""
        return self.terms.gate

    def begins(self) -> None:
        """It is looked at: here it was left, or it is new."""
        if self.entry is not None:
            self.state, self.task_id = self.entry.state, self.entry.task_id
        self.tells()

    async def goes_on(self, event: Event, facts: Facts = NOTHING) -> None:
        """The event is on disk when this returns."""
        after = apply(self.state, event)
        if self.terms.journal is not None and self.entry is not None:
            await self.terms.journal.record(self.entry.id, self.state, event, facts)
        self.state = after
        self.tells()

    def learns(self, event: Event, facts: Facts = NOTHING) -> None:
        """The event is on its way to the disk, in its place among all others."""
        after = apply(self.state, event)
        if self.terms.journal is not None and self.entry is not None:
            written = self.terms.journal.record(
                self.entry.id, self.state, event, facts, within=LEISURELY
            )
            written.add_done_callback(self._require_written)
        self.state = after

    def _require_written(self, written: "asyncio.Future[None]") -> None:
        error = None if written.cancelled() else written.exception()
        if isinstance(error, PhotoAnimerError):
            _log.error("%s: %s", shown_photo(self.request.photo), error)
            self.gate.close(error)

    async def ends(self, error: PhotoAnimerError) -> None:
        """It goes no further from here, and this is why."""
        try:
            match self.state, error:
                case State.PLANNED, InvalidPhotoError():
                    self.learns(Event.REFUSE, Facts(error=str(error)))
                case State.SUBMITTED, TaskFailedError():
                    self.learns(Event.FAIL, Facts(error=str(error)))
                case State.AMBIGUOUS, AmbiguousSubmitError(evidence=Evidence() as evidence):
                    await self.notes(Facts(evidence=evidence))
                case ((State.SUBMITTED | State.FINISHED), _):
                    await self.notes(Facts(error=str(error)))
                case _:
                    pass
        except JournalError as fault:
            _log.warning("%s: %s", shown_photo(self.request.photo), fault)
        self.tells(error)

    async def notes(self, facts: Facts) -> None:
        """Something is on disk that changes no state."""
        if self.terms.journal is not None and self.entry is not None and facts != NOTHING:
            await self.terms.journal.note(self.entry.id, facts)

    def tells(self, error: PhotoAnimerError | None = None) -> None:
        """The hook is told where it is now."""
        hook = self.terms.hook
        if hook is not None:
            photo = self.request.photo
            report(hook, ProgressEvent(self.index, photo, self.state, self.task_id, error))
