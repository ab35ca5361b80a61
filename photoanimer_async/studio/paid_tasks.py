"""What a batch's journal knows of its clips: which are paid for, and which may be.

The journal is the truth about money. The album may be behind it: by a crash, a full disk, or a
batch that could not open its journal.
"""

from collections.abc import Mapping
from enum import Enum, auto
from pathlib import Path

from attrs import frozen

from photoanimer_async import State, TaskId
from photoanimer_async.jobs.journal import Entry, read_journal


class Payment(Enum):
    """Whether a clip has been paid for."""

    NONE = auto()
    """Nothing was submitted, or the task has failed: it may be submitted."""
    UNCLEAR = auto()
    """A submit was sent, and its response was lost."""
    PAID = auto()
    """The service has its task, which has not failed."""


@frozen
class Standing:
    """What is known of one clip.

    Attributes:
        payment: whether it has been paid for.
        task: its task, if it has been paid for.
    """

    payment: Payment = Payment.NONE
    task: TaskId | None = None


_PAYMENTS = {
    State.SUBMITTING: Payment.UNCLEAR,
    State.AMBIGUOUS: Payment.UNCLEAR,
    State.SUBMITTED: Payment.PAID,
    State.FINISHED: Payment.PAID,
    State.SAVED: Payment.PAID,
}


def read_standings(journal: Path) -> Mapping[str, Standing]:
    """Return what a journal knows, by the ids of clips. Blocking.

    A clip that is missing has never been submitted; nor has any if there is no journal.

    Raises:
        JournalError: it cannot be read.
    """
    if not journal.exists():
        return {}
    with read_journal(journal) as store:
        return {
            entry.request.name: _standing(entry)
            for entry in store.entries(list(State))
            if entry.request.name is not None
        }


def _standing(entry: Entry) -> Standing:
    payment = _PAYMENTS.get(entry.state, Payment.NONE)
    return Standing(payment, entry.task_id if payment is Payment.PAID else None)
