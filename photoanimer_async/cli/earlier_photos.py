"""The photos that a journal has from earlier batches, compared with those of a command."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from attrs import frozen

from photoanimer_async.jobs.journal import read_journal
from photoanimer_async.jobs.lifecycle import State
from photoanimer_async.models import AnimationRequest, Photo
from photoanimer_async.redaction import is_url

_WITH_RESULT = frozenset({State.FINISHED, State.SAVED})


@frozen
class EarlierPhoto:
    """A photo of a journal.

    Attributes:
        source: see `source_of`.
        template: the template's number.
        state: how far it is.
    """

    source: str
    template: int
    state: State


def read_earlier(journal: Path | None) -> Sequence[EarlierPhoto]:
    """Return the photos of a journal, which need not exist.

    Raises:
        JournalError: it cannot be read.
    """
    if journal is None or not journal.exists():
        return []
    with read_journal(journal) as store:
        return [
            EarlierPhoto(source_of(photo), template, state)
            for photo, template, state in store.templates()
        ]


def source_of(photo: Photo) -> str:
    """Return what the same photo has in common in a command and in a journal."""
    name = os.fsdecode(photo)
    return name if is_url(name) else os.path.abspath(name)  # noqa: PTH100 - as the journal does


def count_to_render(requests: Iterable[AnimationRequest], earlier: Iterable[EarlierPhoto]) -> int:
    """Return how many photos are likely to need a render: those without a result so far."""
    done = {(one.source, one.template) for one in earlier if one.state in _WITH_RESULT}
    wanted = [(source_of(request.photo), request.options.template) for request in requests]
    return sum(one not in done for one in wanted)
