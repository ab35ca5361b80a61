"""The states of a job, and the table of transitions between them.

    planned ──submit──▶ submitting ──accept──▶ submitted ──finish──▶ finished ──save──▶ saved
       ▲                 │  │  │                 ▲ │
       └─────defer───────┘  │  └──lose──▶ ambiguous└──fail──▶ failed
                            └──refuse──▶ failed ◀──refuse── planned

    failed ──retry──▶ submitting ──refuse──▶ failed
    ambiguous ──resubmit──▶ submitting ──revert──▶ ambiguous

The last two begin only where the user asks for them, since they may pay again. If such a submit is
not sent after all, the job is what it was before, so that the next run asks again. A pair of state
and event that is not in the table is a mistake in the caller, and raises `KeyError`.
"""

from collections.abc import Mapping
from enum import StrEnum

DEFAULT_TIMEOUT = 3600.0
"""Seconds to wait for the end of one task, where the caller does not say how long."""


class State(StrEnum):
    """How far a job is."""

    __hash__ = str.__hash__  # that of enums is a function in Python

    PLANNED = "planned"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    FINISHED = "finished"
    SAVED = "saved"
    FAILED = "failed"
    AMBIGUOUS = "ambiguous"


class Event(StrEnum):
    """What happened to a job."""

    __hash__ = str.__hash__

    SUBMIT = "submit"
    """The submit is about to be sent."""
    DEFER = "defer"
    """The submit was provably not accepted, for a passing reason."""
    REFUSE = "refuse"
    """The photo or the request was refused: here, or by the service."""
    ACCEPT = "accept"
    """The service answered with a task id."""
    LOSE = "lose"
    """The submit was sent, and its answer was lost."""
    FINISH = "finish"
    """The task has status 1."""
    FAIL = "fail"
    """The task has status 2."""
    SAVE = "save"
    """The result is saved."""
    RETRY = "retry"
    """The submit of a failed job is about to be sent; it may be charged again."""
    RESUBMIT = "resubmit"
    """The submit of an ambiguous job is about to be sent; it may be charged twice."""
    REVERT = "revert"
    """The submit of an ambiguous job was provably not accepted."""


TRANSITIONS: Mapping[tuple[State, Event], State] = {
    (State.PLANNED, Event.SUBMIT): State.SUBMITTING,
    (State.PLANNED, Event.REFUSE): State.FAILED,
    (State.SUBMITTING, Event.DEFER): State.PLANNED,
    (State.SUBMITTING, Event.REFUSE): State.FAILED,
    (State.SUBMITTING, Event.ACCEPT): State.SUBMITTED,
    (State.SUBMITTING, Event.LOSE): State.AMBIGUOUS,
    (State.SUBMITTED, Event.FINISH): State.FINISHED,
    (State.SUBMITTED, Event.FAIL): State.FAILED,
    (State.FINISHED, Event.SAVE): State.SAVED,
    (State.FAILED, Event.RETRY): State.SUBMITTING,
    (State.AMBIGUOUS, Event.RESUBMIT): State.SUBMITTING,
    (State.SUBMITTING, Event.REVERT): State.AMBIGUOUS,
}
