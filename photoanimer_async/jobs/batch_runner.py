"""Whole batches: from photos, or from what an earlier run has left in its journal."""

import os
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Iterable,
    Sequence,
)
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import TypeVar

from attrs import field, frozen

from photoanimer_async.errors import InvalidPhotoError, InvalidRequestError, JournalError
from photoanimer_async.jobs.account import Account
from photoanimer_async.jobs.batch import Batch, Begin, UnderWay, request_of, requests_of
from photoanimer_async.jobs.budget import Budget
from photoanimer_async.jobs.deduplication import Deduplicated
from photoanimer_async.jobs.job import Terms
from photoanimer_async.jobs.journal import Entry, Journal
from photoanimer_async.jobs.journal.planning import Planning
from photoanimer_async.jobs.lifecycle import State
from photoanimer_async.jobs.photo_preparer import Intake
from photoanimer_async.jobs.pipeline import Pipeline
from photoanimer_async.jobs.progress import ProgressHook
from photoanimer_async.jobs.publisher import Publisher
from photoanimer_async.models import AnimationOptions, AnimationRequest, Location, Outcome, Photo
from photoanimer_async.polling.policies import AdaptivePolling
from photoanimer_async.polling.saved_durations import persisted
from photoanimer_async.storage.result_store import ResultStore, result_store

Photos = Iterable[Photo | AnimationRequest] | AsyncIterable[Photo | AnimationRequest]

_T = TypeVar("_T")

_UNFINISHED = (
    State.PLANNED,
    State.SUBMITTED,
    State.FINISHED,
    State.FAILED,
    State.AMBIGUOUS,
)


@frozen(kw_only=True)
class BatchOptions:
    """How a batch is run; see `PhotoAnimerClient.animate_many`.

    Raises:
        InvalidRequestError: a number that is out of range.
    """

    in_flight: int
    save_to: Location | None = None
    timeout: float | None = None
    on_progress: ProgressHook | None = None
    max_seconds: float | None = None
    retry_failed: bool = False
    resubmit_ambiguous: float = 0.0
    intake: Intake = field(factory=Intake)

    def __attrs_post_init__(self) -> None:
        if self.in_flight < 1:
            raise InvalidRequestError(f"in_flight must be at least 1, not {self.in_flight}")
        Budget(self.max_seconds)
        Budget(self.resubmit_ambiguous)


@frozen
class BatchRunner:
    """Runs batches for one client.

    Attributes:
        account: submits, waits and saves.
        publisher: gives local photos their URLs.
        beginning: photos that are got ready and submitted at once, at most.
        learner: what polling has learned is kept beside each journal; `None` if it does not
            learn, or is kept elsewhere.
        running: the batches under way, for whoever has to close them.
    """

    account: Account
    publisher: Publisher
    beginning: int
    learner: AdaptivePolling | None = None
    running: set["Batch[AnimationRequest] | Batch[Entry]"] = field(factory=set)

    async def close(self) -> None:
        """Ends all batches that are under way."""
        for batch in list(self.running):
            await batch.close()

    async def run(
        self,
        photos: Photos,
        options: AnimationOptions,
        how: BatchOptions,
        *,
        deduplicate: bool,
    ) -> AsyncGenerator[Outcome]:
        """Outcomes without a journal."""
        terms = _terms(how, None, Budget(how.max_seconds))
        pipeline = self._pipeline(terms)
        store = None if how.save_to is None else result_store(how.save_to)

        async def begin_new(index: int, request: AnimationRequest) -> Outcome | UnderWay:
            return await pipeline.begin(pipeline.journey(index, request), store)

        begin = Deduplicated(begin_new, how.intake.digest) if deduplicate else begin_new
        batch = self._batch(requests_of(photos, options), begin, how, terms)
        async with aclosing(self._outcomes(batch)) as outcomes:
            async for outcome in outcomes:
                yield outcome

    async def run_journaled(
        self,
        photos: Photos,
        options: AnimationOptions,
        how: BatchOptions,
        path: str | os.PathLike[str],
        *,
        deduplicate: bool,
    ) -> AsyncGenerator[Outcome]:
        """Outcomes with a journal: what it knows already is not paid for again."""
        store = None if how.save_to is None else result_store(how.save_to)
        async with self._opened(path, how) as (journal, terms):
            pipeline = self._pipeline(terms)
            planning = Planning(journal, how.save_to, how.intake.digest)
            if isinstance(photos, Sequence) and not deduplicate:
                await planning.plan_all([request_of(photo, options) for photo in photos])

            async def begin_planned(index: int, request: AnimationRequest) -> Outcome | UnderWay:
                try:
                    entry = await planning.entry(index, request)
                except InvalidPhotoError as error:
                    return Outcome(index, request, error=error)
                except JournalError as error:
                    terms.gate.close(error)
                    return Outcome(index, request, error=error)
                return await pipeline.begin(pipeline.journey(index, request, entry), store)

            begin = Deduplicated(begin_planned, how.intake.digest) if deduplicate else begin_planned
            batch = self._batch(requests_of(photos, options), begin, how, terms)
            async with aclosing(self._outcomes(batch)) as outcomes:
                async for outcome in outcomes:
                    yield outcome

    async def resume(
        self, path: str | os.PathLike[str], how: BatchOptions
    ) -> AsyncGenerator[Outcome]:
        """Outcomes of all photos of a journal that are not saved."""
        stores: dict[Location, ResultStore] = {}
        async with self._opened(path, how) as (journal, terms):
            pipeline = self._pipeline(terms)

            async def begin_left(index: int, entry: Entry) -> Outcome | UnderWay:
                place = how.save_to if how.save_to is not None else entry.folder
                if place is not None and place not in stores:
                    stores[place] = result_store(place)
                store = None if place is None else stores[place]
                return await pipeline.begin(pipeline.journey(index, entry.request, entry), store)

            batch = self._batch(journal.entries(*_UNFINISHED), begin_left, how, terms)
            async with aclosing(self._outcomes(batch)) as outcomes:
                async for outcome in outcomes:
                    yield outcome

    def _pipeline(self, terms: Terms) -> Pipeline:
        return Pipeline(self.account, self.publisher, terms)

    def _batch(
        self, items: AsyncGenerator[_T], begin: Begin[_T], how: BatchOptions, terms: Terms
    ) -> Batch[_T]:
        return Batch(
            items, begin, in_flight=how.in_flight, beginning=self.beginning, gate=terms.gate
        )

    @asynccontextmanager
    async def _opened(
        self, path: str | os.PathLike[str], how: BatchOptions
    ) -> AsyncIterator[tuple[Journal, Terms]]:
        """An open journal; what it has cost so far counts towards the limit."""
        async with AsyncExitStack() as stack:
            journal = await stack.enter_async_context(Journal(path, self.account.base_url))
            if self.learner is not None:
                beside = Path(path).with_suffix(".durations.json")
                await stack.enter_async_context(persisted(self.learner, beside))
            summary = await journal.summary()
            spent = summary.spent + summary.at_risk
            yield journal, _terms(how, journal, Budget(how.max_seconds, spent=spent))

    async def _outcomes(
        self, batch: "Batch[AnimationRequest] | Batch[Entry]"
    ) -> AsyncGenerator[Outcome]:
        self.running.add(batch)
        try:
            async with aclosing(batch.outcomes()) as outcomes:
                async for outcome in outcomes:
                    yield outcome
        finally:
            self.running.discard(batch)


def _terms(how: BatchOptions, journal: Journal | None, budget: Budget) -> Terms:
    return Terms(
        timeout=how.timeout,
        hook=how.on_progress,
        journal=journal,
        budget=budget,
        risk=Budget(how.resubmit_ambiguous),
        retry_failed=how.retry_failed,
        intake=how.intake,
    )
