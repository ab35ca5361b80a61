"""A batch with somebody watching."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from rich.console import Console

from photoanimer_async.cli.progress_display import ProgressView, progress_view
from photoanimer_async.cli.tally import Ending, Ledger
from photoanimer_async.client import PhotoAnimerClient
from photoanimer_async.errors import (
    AuthenticationError,
    BudgetExceededError,
    InsufficientCreditsError,
    InvalidPhotoError,
    NotSubmittedError,
    PhotoAnimerError,
)
from photoanimer_async.jobs.lifecycle import State
from photoanimer_async.jobs.progress import ProgressEvent, ProgressHook
from photoanimer_async.models import AnimationRequest, Outcome
from photoanimer_async.redaction import shown_photo

Begin = Callable[[PhotoAnimerClient, ProgressHook], AsyncGenerator[Outcome]]
"""Begins a batch with a client; the hook is told of every step."""

_ENDS_ALL = (AuthenticationError, BudgetExceededError, InsufficientCreditsError)


class WatchedBatch:
    """Animates photos and shows how it goes.

    Args:
        console: where to show it.
        begin: what to watch.
        total: how many photos there are, without those that are refused.
        refused: what was named as a photo and is none.
        requests: the photos, where they have names of their own.
    """

    def __init__(
        self,
        console: Console,
        begin: Begin,
        total: int,
        *,
        refused: Sequence[InvalidPhotoError] = (),
        requests: Sequence[AnimationRequest] = (),
    ) -> None:
        self.ledger = Ledger(total=total + len(refused))
        self.outcomes: list[Outcome] = []
        self.stopped_by: PhotoAnimerError | None = None
        self._console = console
        self._begin = begin
        self._refused = refused
        self._requests = requests
        self._begun: set[int] = set()

    async def run(self, client: PhotoAnimerClient) -> None:
        """Runs it to its end; the ledger then tells what became of each photo."""
        with progress_view(self._console, self.ledger) as view:
            for error in self._refused:
                self._end(view, None, Ending(error.photo, error=error))
            batch = self._begin(client, lambda event: self._progress(view, event))
            try:
                async with aclosing(batch) as outcomes:
                    async for outcome in outcomes:
                        self._take(view, outcome)
            except _ENDS_ALL as error:
                self.stopped_by = error

    def _take(self, view: ProgressView, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        if not isinstance(outcome.error, (NotSubmittedError, *_ENDS_ALL)):
            self._end(view, outcome.index, self._ending(outcome))

    def _progress(self, view: ProgressView, event: ProgressEvent) -> None:
        if event.state in {State.SUBMITTING, State.SUBMITTED, State.FINISHED}:
            self._begun.add(event.index)
        name = self._requests[event.index].name if self._requests else None
        name = name or shown_photo(event.photo)
        match event.state:
            case State.SUBMITTING:
                self.ledger.submitting(event.index, name)
            case State.SUBMITTED if event.task_id is not None and event.error is None:
                self.ledger.accepted(event.index, name, event.task_id)
                view.accepted(name, event.task_id)

    def _end(self, view: ProgressView, index: int | None, ending: Ending) -> None:
        self.ledger.ended(index, ending)
        view.ended(ending)

    def _ending(self, outcome: Outcome) -> Ending:
        name = outcome.request.name or shown_photo(outcome.photo)
        animation = outcome.animation
        if animation is None:
            return Ending(name, outcome.task_id, error=outcome.error)
        if outcome.index not in self._begun:
            return Ending(name, outcome.task_id, animation.place, earlier=True)
        return Ending(name, outcome.task_id, animation.place, animation.seconds)
