"""Whole batches: from photos, or from what an earlier run has left in its journal."""

import asyncio
import os
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Iterable,
    Sequence,
)
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, TypeVar

from attrs import evolve, field, frozen
from attrs.converters import optional

from photoanimer_async.jobs.batch import Batch, RunJob, request_of, requests_of
from photoanimer_async.jobs.budget import Budget
from photoanimer_async.jobs.deduplication import Deduplicated
from photoanimer_async.jobs.job import Job, JobContext
from photoanimer_async.jobs.journal import Entry
from photoanimer_async.jobs.lifecycle import DEFAULT_TIMEOUT
from photoanimer_async.jobs.pending import OpenState
from photoanimer_async.jobs.pipeline import Pipeline
from photoanimer_async.jobs.progress import ProgressHook
from photoanimer_async.jobs.submission import close_gate, job_failure
from photoanimer_async.jobs.unclaimed import UnclaimedTasks
from photoanimer_async.models import (
    AnimationOptions,
    AnimationRequest,
    Location,
    Outcome,
    Photo,
    require_count,
    require_many,
    require_seconds,
)
from photoanimer_async.photos.cancellation import ends_task
from photoanimer_async.photos.check import PhotoPreparers
from photoanimer_async.polling.adaptive import AdaptivePolling
from photoanimer_async.polling.saved_durations import persisted
from photoanimer_async.storage.result_store import ResultStore, parse_location, result_store

if TYPE_CHECKING:
    from photoanimer_async.jobs.journal import Journal
    from photoanimer_async.jobs.journal.planning import Planning

Photos: TypeAlias = Iterable[Photo | AnimationRequest] | AsyncIterable[Photo | AnimationRequest]

_T = TypeVar("_T")


class BatchOptions(TypedDict, total=False):
    """How a batch is run: the keywords of `animate_many` and `resume`."""

    save_to: str | os.PathLike[str] | None
    """A folder for the results, each named after its photo; made if missing. Or the URL of a
    part of an object store: `s3://bucket/prefix`, `gs://`, `az://`."""
    timeout: float | None
    """Seconds that a photo waits for its turn to be submitted, and again for the end of its task,
    by default an hour; `None` for no limit."""
    in_flight: int | None
    """Photos held at once, at most; by default 4 x `concurrency`."""
    max_seconds: float | None
    """Video seconds that may be spent; with a journal, by all of its runs together, counting
    what may have been charged."""
    prepare: bool
    """Whether photos are made fit; see `PhotoAnimerClient.animate`. Photos are identified by
    what they were before."""
    check_urls: bool
    """Whether photos' URLs are checked; see `PhotoAnimerClient.animate`."""
    retry_failed: bool
    """Whether to pay again for photos that failed in an earlier run."""
    resubmit_ambiguous: float
    """Video seconds that may be spent on photos that may have been charged in an earlier run.
    Those that were provably accepted are left out."""
    on_progress: ProgressHook | None
    """Called with every step of every photo."""


@frozen(kw_only=True)
class BatchSettings:
    """`BatchOptions` with their defaults, checked.

    Raises:
        InvalidRequestError: a value that is not allowed.
    """

    save_to: Location | None = field(default=None, converter=optional(parse_location))
    timeout: float | None = DEFAULT_TIMEOUT
    in_flight: int | None = None
    max_seconds: float | None = None
    prepare: bool = False
    check_urls: bool = False
    retry_failed: bool = False
    resubmit_ambiguous: float = 0.0
    on_progress: ProgressHook | None = None

    def __attrs_post_init__(self) -> None:
        require_seconds("timeout", self.timeout)
        if self.in_flight is not None:
            require_count("in_flight", self.in_flight)
        Budget(self.max_seconds)
        Budget(self.resubmit_ambiguous)


@frozen
class BatchRunner:
    """Runs the batches of one client.

    Attributes:
        pipeline: runs the jobs.
        state: whether batches may begin.
        preparers: check photos, or make them fit.
        unclaimed: keeps paid tasks of batches without a journal.
        base_url: the service, which a journal is bound to.
        in_flight: photos held at once by a batch that does not say how many.
        learner: learns how long tasks take; kept in a file beside each journal. `None` if the
            policy does not learn, or is kept elsewhere.
        running: the batches in progress.
    """

    pipeline: Pipeline
    state: OpenState
    preparers: PhotoPreparers
    unclaimed: UnclaimedTasks
    base_url: str
    in_flight: int
    learner: AdaptivePolling | None = None
    running: set[Batch[Any]] = field(factory=set)

    async def close(self) -> None:
        """Close all batches in progress, at the same time."""
        async with asyncio.TaskGroup() as closing:
            for batch in self.running:
                closing.create_task(batch.close())

    def animate(
        self,
        photos: Photos,
        options: AnimationOptions,
        settings: BatchSettings,
        journal_path: str | os.PathLike[str] | None,
        *,
        deduplicate: bool,
    ) -> AsyncGenerator[Outcome]:
        """Return the outcomes of photos; with a journal, nothing in it is paid for again.

        Raises:
            InvalidRequestError: `photos` is one photo, or what the settings ask for cannot be done
                on this machine.
        """
        require_many("photos", photos)
        context = self._context(settings)
        return self._animate(
            photos, options, settings, context, journal_path, deduplicate=deduplicate
        )

    def resume(
        self, journal_path: str | os.PathLike[str], settings: BatchSettings
    ) -> AsyncGenerator[Outcome]:
        """Return the outcomes of all photos of a journal that are not saved, or no longer there.

        Raises:
            InvalidRequestError: what the settings ask for cannot be done on this machine.
        """
        return self._resume(journal_path, settings, self._context(settings))

    async def _animate(
        self,
        photos: Photos,
        options: AnimationOptions,
        settings: BatchSettings,
        context: JobContext,
        journal_path: str | os.PathLike[str] | None,
        *,
        deduplicate: bool,
    ) -> AsyncGenerator[Outcome]:
        digest = context.preparer.digest
        store = None if settings.save_to is None else result_store(settings.save_to)
        self.state.require_open()
        async with AsyncExitStack() as stack:
            planning = None
            if journal_path is not None:
                context, journal = await self._open_journal(
                    context, journal_path, stack, create=True
                )
                planning = _planning(journal, settings.save_to, digest)
                if isinstance(photos, Sequence) and not deduplicate:
                    await planning.plan_all([request_of(photo, options) for photo in photos])

            async def failed(
                index: int, request: AnimationRequest, error: BaseException
            ) -> Outcome:
                return await _fail(Job(index, request, context), error)

            async def run_job(index: int, request: AnimationRequest) -> Outcome:
                try:
                    entry = None if planning is None else await planning.entry(index, request)
                except BaseException as error:
                    if ends_task(error):
                        raise
                    return await failed(index, request, error)
                return await self._run(Job(index, request, context, entry), store)

            run = Deduplicated(run_job, digest, failed) if deduplicate else run_job
            requests = requests_of(photos, options)
            async with aclosing(self._outcomes(requests, run, settings, context)) as outcomes:
                async for outcome in outcomes:
                    yield outcome

    async def _resume(
        self, journal_path: str | os.PathLike[str], settings: BatchSettings, context: JobContext
    ) -> AsyncGenerator[Outcome]:
        stores: dict[Location, ResultStore] = {}
        self.state.require_open()
        async with AsyncExitStack() as stack:
            context, journal = await self._open_journal(context, journal_path, stack, create=False)

            async def run_job(index: int, entry: Entry) -> Outcome:
                job = Job(index, entry.request, context, entry)
                location = settings.save_to if settings.save_to is not None else entry.folder
                try:
                    if location is not None and location not in stores:
                        stores[location] = result_store(location)
                except BaseException as error:
                    if ends_task(error):
                        raise
                    return await _fail(job, error)
                store = None if location is None else stores[location]
                return await self._run(job, store)

            entries = journal.unsaved()
            async with aclosing(self._outcomes(entries, run_job, settings, context)) as outcomes:
                async for outcome in outcomes:
                    yield outcome

    async def _run(self, job: Job, store: ResultStore | None) -> Outcome:
        """Run a job to its end, also if foreign code cancels the task in which it runs."""
        try:
            return await self.pipeline.run(job, store)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if job.context.gate.closed.is_set() or task is None:
                raise  # the batch ends
            while task.cancelling():
                task.uncancel()
            return await _fail(job, error)

    async def _outcomes(
        self,
        items: AsyncGenerator[_T],
        run_job: RunJob[_T],
        settings: BatchSettings,
        context: JobContext,
    ) -> AsyncGenerator[Outcome]:
        batch = Batch(
            items, run_job, in_flight=settings.in_flight or self.in_flight, gate=context.gate
        )
        self.running.add(batch)
        try:
            async with aclosing(batch.outcomes()) as outcomes:
                async for outcome in outcomes:
                    yield outcome
        finally:
            self.running.discard(batch)

    def _context(self, settings: BatchSettings) -> JobContext:
        return JobContext(
            timeout=settings.timeout,
            in_batch=True,
            hook=settings.on_progress,
            budget=None if settings.max_seconds is None else Budget(settings.max_seconds),
            risk=Budget(settings.resubmit_ambiguous),
            retry_failed=settings.retry_failed,
            unclaimed=self.unclaimed,
            preparer=self.preparers.choose(
                prepare=settings.prepare, check_urls=settings.check_urls
            ),
        )

    async def _open_journal(
        self,
        context: JobContext,
        path: str | os.PathLike[str],
        stack: AsyncExitStack,
        *,
        create: bool,
    ) -> "tuple[JobContext, Journal]":
        """Open a journal until the stack is closed; what it has spent counts to the limit."""
        from photoanimer_async.jobs.journal import Journal  # noqa: PLC0415 - needs SQLite

        journal = await stack.enter_async_context(Journal(path, self.base_url, create=create))
        if self.learner is not None:
            beside = Path(path).with_suffix(".durations.json")
            await stack.enter_async_context(persisted(self.learner, beside))
        summary = await journal.summary()
        budget = context.budget
        if budget is not None:
            budget = Budget(budget.limit, spent=summary.spent + summary.at_risk)
        return evolve(context, journal=journal, budget=budget, unclaimed=None), journal


def _planning(
    journal: "Journal", folder: Location | None, digest: Callable[[Photo], Awaitable[bytes]]
) -> "Planning":
    from photoanimer_async.jobs.journal.planning import Planning  # noqa: PLC0415 - needs SQLite

    return Planning(journal, folder, digest)


async def _fail(job: Job, error: BaseException) -> Outcome:
    """End a job outside of the pipeline."""
    failure = job_failure(job.request.photo, error)
    return await job.fail(close_gate(job.context.gate, job.state, failure))
