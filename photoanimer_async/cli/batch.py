"""A batch with somebody watching."""

from collections.abc import Iterator, Sequence
from contextlib import aclosing
from pathlib import Path

from rich.console import Console

from photoanimer_async.cli.ledger import Ending, Ledger
from photoanimer_async.cli.progress import ProgressView, progress_view
from photoanimer_async.client import PhotoAnimerClient
from photoanimer_async.core.lifecycle import State
from photoanimer_async.errors import (
    AuthenticationError,
    InsufficientCreditsError,
    InvalidPhotoError,
)
from photoanimer_async.models import AnimationRequest, Outcome
from photoanimer_async.progress import ProgressEvent
from photoanimer_async.redaction import shown_photo


class WatchedBatch:
    """Animates photos and shows how it goes.

    Once the service refuses the key, or the balance is used up, no more photos are begun.

    Args:
        console: where to show it.
        requests: the photos.
        refused: what was named as a photo and is none.
        out: folder for the results.
    """

    def __init__(
        self,
        console: Console,
        requests: Sequence[AnimationRequest],
        *,
        refused: Sequence[InvalidPhotoError] = (),
        out: Path,
    ) -> None:
        self.ledger = Ledger(total=len(requests) + len(refused))
        self.outcomes: list[Outcome] = []
        self._console = console
        self._requests = requests
        self._refused = refused
        self._out = out
        self._exhausted = False

    async def run(self, client: PhotoAnimerClient) -> None:
        """Runs it to its end; the ledger then tells what became of each photo."""
        with progress_view(self._console, self.ledger) as view:
            for error in self._refused:
                self._end(view, None, Ending(error.photo, error=error))
            batch = client.animate_many(
                self._feed(),
                save_to=self._out,
                on_progress=lambda event: self._progress(view, event),
            )
            async with aclosing(batch) as outcomes:
                async for outcome in outcomes:
                    self.outcomes.append(outcome)
                    self._end(view, outcome.index, _ending(outcome))
                    if isinstance(outcome.error, AuthenticationError | InsufficientCreditsError):
                        self._exhausted = True

    def _feed(self) -> Iterator[AnimationRequest]:
        for request in self._requests:
            if self._exhausted:
                return
            yield request

    def _progress(self, view: ProgressView, event: ProgressEvent) -> None:
        name = _name(self._requests[event.index])
        match event.state:
            case State.SUBMITTING:
                self.ledger.submitting(event.index, name)
            case State.SUBMITTED if event.task_id is not None and event.error is None:
                self.ledger.accepted(event.index, name, event.task_id)
                view.accepted(name, event.task_id)

    def _end(self, view: ProgressView, index: int | None, ending: Ending) -> None:
        self.ledger.ended(index, ending)
        view.ended(ending)


def _name(request: AnimationRequest) -> str:
    return request.name or shown_photo(request.photo)


def _ending(outcome: Outcome) -> Ending:
    name = _name(outcome.request)
    if outcome.animation is None:
        return Ending(name, outcome.task_id, error=outcome.error)
    return Ending(name, outcome.task_id, outcome.animation.path, outcome.animation.seconds)
