"""The states of one photo on its way, and the only ways between them.

    planned ──submit──▶ submitting ──accept──▶ submitted ──finish──▶ finished ──save──▶ saved
       ▲                 │  │  │                 ▲ │
       └─────defer───────┘  │  └──lose──▶ ambiguous└──fail──▶ failed
                            └──refuse──▶ failed ◀──refuse── planned

    failed ──retry──▶ planned
    ambiguous ──resubmit──▶ planned

The last two happen only where the user asks for them, since they may pay again. A pair of state
and event that is not in the table is a mistake in the caller, and raises.
"""

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """Where a photo is."""

    PLANNED = "planned"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    FINISHED = "finished"
    SAVED = "saved"
    FAILED = "failed"
    AMBIGUOUS = "ambiguous"


class Event(StrEnum):
    """What happened to it."""

    SUBMIT = "submit"
    """The submit is about to leave."""
    DEFER = "defer"
    """The submit was provably not accepted, for a passing reason."""
    REFUSE = "refuse"
    """The photo or the request was refused: here, or by the service."""
    ACCEPT = "accept"
    """The service answered with a task id."""
    LOSE = "lose"
    """The submit left, its answer was lost."""
    FINISH = "finish"
    """The task has status 1."""
    FAIL = "fail"
    """The task has status 2."""
    SAVE = "save"
    """The result is on disk."""
    RETRY = "retry"
    """It is to be tried once more, and may be charged once more."""
    RESUBMIT = "resubmit"
    """Likewise, although it may have been accepted already."""


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
    (State.FAILED, Event.RETRY): State.PLANNED,
    (State.AMBIGUOUS, Event.RESUBMIT): State.PLANNED,
}


class IllegalTransitionError(LookupError):
    """An event that can not happen in this state."""


def apply(state: State, event: Event) -> State:
    """The state after the event.

    Raises:
        IllegalTransitionError: the pair is not in the table.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransitionError(
            f"{event.value} can not happen to a photo that is {state.value}"
        ) from None
