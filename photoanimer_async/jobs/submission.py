"""One photo on its way to the service, over any number of attempts.

Each attempt has a URL of its own, told to nobody else. So a fetch of it proves that this very
attempt arrived: one that came for an earlier attempt, which was refused, does not count.
"""

import time
from typing import Protocol

from attrs import frozen

from photoanimer_async.api.calls import Send
from photoanimer_async.api.retry import Verdict, verdict
from photoanimer_async.api.wire import Operation
from photoanimer_async.errors import (
    AuthenticationError,
    InsufficientCreditsError,
    JournalError,
    PhotoAnimerError,
)
from photoanimer_async.jobs.job import Journey
from photoanimer_async.jobs.journal import Facts
from photoanimer_async.jobs.lifecycle import Event, State
from photoanimer_async.models import AnimationOptions, Photo, TaskId
from photoanimer_async.redaction import without_queries


class Urls(Protocol):
    """The URLs of one photo."""

    async def next_url(self) -> str:
        """The URL for the next attempt."""
        ...


@frozen
class OwnUrl:
    """The URL that a photo has already, for all attempts."""

    url: str

    async def next_url(self) -> str:
        """That URL."""
        return self.url


@frozen
class PhotoSubmission:
    """A photo of which each attempt is paid from the budget, and written down.

    Attributes:
        journey: how far the photo is.
        urls: its URLs.
        options: how to animate it; a voice in them has a URL.
    """

    journey: Journey
    urls: Urls
    options: AnimationOptions

    @property
    def photo(self) -> Photo:
        """The photo, as it was handed in."""
        return self.journey.request.photo

    async def next_url(self) -> str:
        """A URL for the next attempt, which is its alone.

        Raises:
            InvalidPhotoError, HostingError: see `ImageHost`.
        """
        return await self.urls.next_url()

    async def attempt(self, image_url: str, send: Send) -> TaskId:
        """Writes the intent down, sends, and writes down what came of it.

        Raises:
            NotSubmittedError: the batch takes no more submits.
            BudgetExceededError: it would cost more than may be spent.
            PhotoAnimerError: as `send`.
        """
        journey, budget = self.journey, self.journey.terms.budget
        with journey.gate.passing():
            cost = budget.reserve(self.options)
            try:
                await self._intend(image_url)
            except JournalError:
                budget.release(cost)
                raise
            try:
                journey.task_id = await send()
            except PhotoAnimerError as error:
                event = _event_of(error)
                if event is Event.LOSE:
                    budget.commit(cost)
                else:
                    budget.release(cost)
                journey.learns(event, Facts(error=str(error)))
                if event is Event.DEFER:
                    journey.tells()
                raise
            budget.commit(cost)
            await journey.goes_on(Event.ACCEPT, Facts(task_id=journey.task_id))
            return journey.task_id

    async def _intend(self, image_url: str) -> None:
        journey = self.journey
        if journey.state is not State.PLANNED:
            again = Event.RETRY if journey.state is State.FAILED else Event.RESUBMIT
            await journey.goes_on(again)
        # The signature in a URL is nobody's business, not even the journal's.
        published = None if image_url == self.photo else without_queries(image_url)
        await journey.goes_on(Event.SUBMIT, Facts(image_url=published, submitted_at=time.time()))


def _event_of(error: PhotoAnimerError) -> Event:
    """What the failure of one attempt means for the photo."""
    match verdict(Operation.SUBMIT, error):
        case Verdict.AMBIGUOUS:
            return Event.LOSE
        case Verdict.TRY_AGAIN:
            return Event.DEFER
        case Verdict.GIVE_UP:
            # Key and balance are the account's: nothing is wrong with the photo.
            passing = isinstance(error, AuthenticationError | InsufficientCreditsError)
            return Event.DEFER if passing else Event.REFUSE
