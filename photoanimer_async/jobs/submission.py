"""The rules of paying: what a failed submit means for its job, and when to pay once more."""

import asyncio
from contextlib import AsyncExitStack, suppress

from photoanimer_async.api.retry import Verdict, verdict
from photoanimer_async.api.task_errors import copied, without_urls
from photoanimer_async.api.wire import Operation
from photoanimer_async.errors import (
    AmbiguousSubmitError,
    ApiError,
    AuthenticationError,
    BudgetExceededError,
    InsufficientCreditsError,
    InvalidPhotoError,
    InvalidRequestError,
    JournalError,
    MachineShortageError,
    PhotoAnimerError,
    TaskFailedError,
)
from photoanimer_async.jobs.budget import Budget, Reservation
from photoanimer_async.jobs.job import Job, SubmitGate
from photoanimer_async.jobs.journal import Entry, RefusedStepError
from photoanimer_async.jobs.lifecycle import Event, State
from photoanimer_async.models import AnimationOptions, Evidence, Photo, TaskInfo, TaskStatus
from photoanimer_async.photos.cancellation import is_cancelled
from photoanimer_async.photos.shortage import find_shortage, remedy
from photoanimer_async.redaction import shown_photo

ENDS_BATCH = (AuthenticationError, BudgetExceededError, InsufficientCreditsError, JournalError)
"""Errors that hold for all photos of a batch."""


def event_of(error: PhotoAnimerError) -> Event:
    """Return the event that the failure of one submit is for its job."""
    match verdict(Operation.SUBMIT, error):
        case Verdict.AMBIGUOUS:
            return Event.LOSE
        case Verdict.TRY_AGAIN:
            return Event.DEFER
        case Verdict.GIVE_UP:
            # Key, balance, network, a URL that is none: nothing is wrong with the photo.
            of_account = isinstance(error, AuthenticationError | InsufficientCreditsError)
            is_refused = isinstance(error, ApiError) and not of_account
            return Event.REFUSE if is_refused else Event.DEFER


def ambiguous_submit(
    error: PhotoAnimerError, photo: Photo, image_url: str, options: AnimationOptions
) -> AmbiguousSubmitError:
    """Return the error for a submit that was sent, and whose answer was lost by `error`."""
    return AmbiguousSubmitError(
        f"{shown_photo(photo)}: the submit was sent, but it is not known whether it was accepted "
        f"({error}); it was not sent again, since that could be charged twice",
        photo=photo,
        image_url=image_url,
        template=options.template,
    )


async def reserve(budget: Budget, options: AnimationOptions) -> Reservation:
    """Reserve what one submit costs; wait while reservations of others may be released.

    Raises:
        BudgetExceededError: it would pass the limit, and no other submit is open.
        InvalidRequestError: there is a limit, and the sound's length is not given.
    """
    while True:
        try:
            return Reservation(budget, budget.reserve(options))
        except BudgetExceededError:
            if not budget.has_reservations:
                raise
        settled = asyncio.Event()
        budget.on_room.append(settled.set)
        await settled.wait()


async def require_consent(job: Job, entry: Entry, resources: AsyncExitStack) -> None:
    """Check that a job which an earlier run has begun may be submitted (again).

    An ambiguous one reserves its cost in `risk` until `resources` are closed, and waits where
    others may still give back theirs.

    Raises:
        TaskFailedError, PhotoAnimerError: it failed in an earlier run, and `retry_failed` is
            not set.
        AmbiguousSubmitError: it may have been charged, and `risk` does not allow to pay again.
        InvalidPhotoError: its photo was passed in as content, which the journal does not hold.
    """
    if job.state is State.FAILED and not job.context.retry_failed:
        raise _earlier_failure(entry)
    if job.state is State.AMBIGUOUS:
        job.risk = await _reserve_risk(job.context.risk, entry)
        resources.callback(job.risk.release)
    if not entry.has_photo and job.request.photo == b"":
        raise InvalidPhotoError(
            f"photo {entry.id} was passed in as content, which the journal does not hold: "
            "run the same batch again",
            photo=f"photo {entry.id}",
        )


def _earlier_failure(entry: Entry) -> PhotoAnimerError:
    why = f"failed in an earlier run: {entry.error or 'no reason is known'}"
    if entry.task_id is not None:
        return TaskFailedError(TaskInfo(entry.task_id, TaskStatus.FAILED, fail_reason=why))
    return PhotoAnimerError(f"{shown_photo(entry.request.photo)}: {why}")


async def _reserve_risk(risk: Budget | None, entry: Entry) -> Reservation:
    if risk is not None and entry.evidence is not Evidence.FETCHED:
        with suppress(BudgetExceededError, InvalidRequestError):
            return await reserve(risk, entry.request.options)
    error = AmbiguousSubmitError(
        f"{shown_photo(entry.request.photo)}: an earlier run sent the submit, but it is not "
        f"known whether it was accepted ({entry.error}); it was not sent again, since that could "
        "be charged twice",
        photo=entry.request.photo,
        image_url=entry.image_url or "",
        template=entry.request.options.template,
    )
    error.evidence = entry.evidence
    raise error


def machine_shortage(error: BaseException) -> MachineShortageError | None:
    """Return the error that stops a batch if this one was raised for a shortage, else `None`."""
    shortage = find_shortage(error)
    if shortage is None:
        return None
    failure = MachineShortageError(
        f"{error}: {remedy(shortage)}, then run the same again; nothing more was submitted"
    )
    failure.__cause__ = error
    return failure


def close_gate(gate: SubmitGate, state: State, failure: PhotoAnimerError) -> PhotoAnimerError:
    """Stop submitting if a failure holds for all photos of its batch.

    Returns:
        The failure for the outcome of its photo, which is in this state.
    """
    of_all = copied(failure, None)
    shortage = machine_shortage(of_all)
    if shortage is not None:
        gate.close(shortage)
        return shortage if state in {State.PLANNED, State.FAILED} else failure
    if isinstance(failure, ENDS_BATCH) and not isinstance(failure, RefusedStepError):
        gate.close(of_all)
    return failure


def job_failure(photo: Photo, error: BaseException) -> PhotoAnimerError:
    """Return the error of a job that ended by an exception.

    If it is not this package's, it is the cause: an image host, a rate limiter, a poll policy or a
    session of the user's may raise anything. They may also raise errors of this package with any
    text, which is shown without queries of URLs.
    """
    if not isinstance(error, PhotoAnimerError):
        failure = PhotoAnimerError(f"{shown_photo(photo)}: {reason_of(error)}")
        failure.__cause__ = error
        return failure
    return without_urls(error)


def reason_of(error: BaseException) -> str:
    """Return by what a job failed that was cancelled, or whose foreign code raised this."""
    if isinstance(error, asyncio.CancelledError) and is_cancelled():
        return "the client or the batch was closed before the answer arrived"
    return f"failed by {type(error).__name__}"
