"""One photo from its file to its saved result: prepare, publish, submit, wait, download.

Each photo is one coroutine, `Pipeline.run`, alone or in a batch. Each step is an event of
`lifecycle`, so that what is reported and recorded can only be what the table of transitions
allows. A photo that an earlier run has begun continues from the state in its journal.

With a journal, the intent to submit is on disk before the submit leaves, and a task or a saved
file is on disk before it is reported. Failures are written without waiting: until they are on
disk the intent is what stands there, so that a crash in between makes the photo ambiguous.
"""

import asyncio
import logging
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

from attrs import evolve

from photoanimer_async.api.calls import ApiCalls
from photoanimer_async.api.request_queue import Turn
from photoanimer_async.api.retry import RetryPolicy, Verdict, repeating, verdict
from photoanimer_async.api.send_errors import is_unsent
from photoanimer_async.api.time_limits import TurnDeadline
from photoanimer_async.api.wire import Operation
from photoanimer_async.errors import (
    DownloadError,
    HostingError,
    NoAnswerError,
    NotSentError,
    PhotoAnimerError,
    TaskFailedError,
)
from photoanimer_async.jobs.budget import Reservation
from photoanimer_async.jobs.job import Job
from photoanimer_async.jobs.journal import Entry, Facts
from photoanimer_async.jobs.lifecycle import Event, State
from photoanimer_async.jobs.submission import (
    ENDS_BATCH,
    ambiguous_submit,
    close_gate,
    event_of,
    job_failure,
    reason_of,
    require_consent,
    reserve,
)
from photoanimer_async.models import (
    Animation,
    AnimationOptions,
    Location,
    Outcome,
    Photo,
    TaskId,
    TaskInfo,
    TaskStatus,
)
from photoanimer_async.photos.cancellation import ends_task
from photoanimer_async.photos.voice import check_voice
from photoanimer_async.polling.policies import kind_of
from photoanimer_async.polling.scheduler import PollScheduler
from photoanimer_async.redaction import is_url, printable, shown_error, shown_photo
from photoanimer_async.storage.image_host import ImageHost, evidence_of
from photoanimer_async.storage.result_downloader import ResultDownloader
from photoanimer_async.storage.result_store import Destination, ResultStore

_log = logging.getLogger(__name__)

_PAID = frozenset({State.SUBMITTED, State.FINISHED, State.SAVED})


class _Resources(defaultdict[str, AsyncExitStack]):
    """What a job holds until its end, by the names of those who clean it up."""

    async def close(self, photo: Photo) -> None:
        """Clean up as after a success; what this raises is logged, and costs no result.

        So the clean-up of an image host without `try` and `finally` runs too.
        """
        ending: BaseException | None = None
        for name, stack in reversed(self.items()):
            try:
                await stack.aclose()
            except BaseException as error:  # noqa: BLE001 - raised below, or logged
                if ends_task(error):
                    ending = error
                    continue
                fault = shown_error(error)
                _log.warning("%s: %s failed to clean up", shown_photo(photo), name, exc_info=fault)
        if ending is not None:
            raise ending


class Pipeline:
    """Runs jobs from the photo to the saved result; one for a client.

    Args:
        calls: the API's calls.
        scheduler: waits for tasks.
        host: gives local photos and voices their URLs.
        downloader: saves results.
        concurrency: photos being published (checked, uploaded) at once, at most.
        retry: how often, and after which waits, a submit is repeated where that is safe.
        rng: for jitter.
    """

    def __init__(
        self,
        calls: ApiCalls,
        scheduler: PollScheduler,
        host: ImageHost,
        downloader: ResultDownloader,
        *,
        concurrency: int,
        retry: RetryPolicy,
        rng: Random,
    ) -> None:
        self._calls = calls
        self._scheduler = scheduler
        self._host = host
        self._publishing = asyncio.Semaphore(concurrency)
        self._downloader = downloader
        self._submit_again = repeating(self._submit_once, Operation.SUBMIT, retry, rng)

    async def run(self, job: Job, store: ResultStore | None) -> Outcome:
        """Run a job to its end; every exception but a cancellation is in the outcome.

        Args:
            job: a new one.
            store: where the result goes; `None` if it is not to be downloaded.
        """
        if job.context.hook is not None:
            job.report_progress()
        try:
            resources = _Resources(AsyncExitStack)
            try:
                animation = await self._animate(job, store, resources)
            finally:
                await resources.close(job.request.photo)
            return Outcome(job.index, job.request, job.task_id, animation)
        except BaseException as error:
            if ends_task(error):
                self._keep_paid(job, store)
                raise
            failure = job_failure(job.request.photo, error)
        failure = close_gate(job.context.gate, job.state, failure)
        if not isinstance(failure, TaskFailedError):
            self._keep_paid(job, store)
        return await job.fail(failure)

    async def submit(self, job: Job, image_url: str) -> TaskId:
        """Submit a job whose photo has a URL, and return the id of its task.

        Raises:
            PhotoAnimerError: as `PhotoAnimerClient.submit`.
        """
        resources = _Resources(AsyncExitStack)
        try:
            return await self._submit(job, image_url, job.request.options, resources)
        except BaseException as error:
            if ends_task(error):
                raise
            failure = job_failure(image_url, error)
        raise failure

    async def _animate(
        self, job: Job, store: ResultStore | None, resources: _Resources
    ) -> Animation:
        started = time.monotonic()
        if job.state is State.SAVED and job.entry is not None:
            return await self._restore(job, job.entry, store, resources)
        if job.state in _PAID and job.task_id is not None:
            destination = await _claim(job, store, resources)
            return await self._finish(job, job.task_id, destination, started)
        if job.entry is not None:
            await require_consent(job, job.entry, resources["its journal"])
        options = job.request.options
        if options.voice is not None:
            await check_voice(options.voice)
        copies = resources["its prepared copy"]
        photo = await job.context.preparer.prepare(job.request.photo, copies)
        # Before the submit: shows that the result can be written, before it is paid for.
        destination = await _claim(job, store, resources)
        if options.voice is not None:
            voice_url = await self._publish(job, options.voice, resources)
            options = evolve(options, voice=None, voice_url=voice_url)
        task_id = await self._submit(job, photo, options, resources)
        return await self._finish(job, task_id, destination, started)

    async def _restore(
        self, job: Job, entry: Entry, store: ResultStore | None, resources: _Resources
    ) -> Animation:
        """Return what an earlier run has saved, downloaded again if it is no longer there."""
        task_id = "" if entry.task_id is None else entry.task_id
        if await asyncio.to_thread(entry.has_result):
            info = TaskInfo(task_id, TaskStatus.FINISHED)
            return _animation(task_id, info, entry.seconds or 0.0, entry.path)
        place = printable(str(entry.path))
        _log.warning("%s: is no longer there: it is downloaded again", place)
        try:
            destination = await _claim(job, store, resources)
            return await self._finish(job, task_id, destination, time.monotonic())
        except PhotoAnimerError as error:
            if isinstance(error, ENDS_BATCH):
                raise
            raise DownloadError(
                f"{place}: was saved by an earlier run, but is no longer there, and "
                f"cannot be downloaded again: {error}"
            ) from error

    async def _finish(
        self, job: Job, task_id: TaskId, destination: Destination[Location] | None, started: float
    ) -> Animation:
        """Wait for a task that is paid for, and save its result."""
        now = time.monotonic()
        timeout = job.context.timeout
        if timeout is not None and not job.context.in_batch:
            timeout = max(timeout - (now - started), 0.0)
        info = await self._scheduler.wait(task_id, timeout=timeout)
        if info.status is TaskStatus.FAILED:
            raise TaskFailedError(info)
        seconds = _seconds(job.entry, time.monotonic() - now)
        saved = await self._save(job, info, destination, seconds)
        return _animation(task_id, info, seconds, saved)

    def _keep_paid(self, job: Job, store: ResultStore | None) -> None:
        """Log, and keep, the task of a job that ends without its result."""
        unclaimed = job.context.unclaimed
        if unclaimed is None or job.task_id is None:
            return
        if job.state in {State.SUBMITTED, State.FINISHED}:
            unclaimed.add(job.task_id, job.request, store)
            _log.warning(
                "task %s has been paid for and its result is missing: attach to it by its id",
                job.task_id,
            )

    async def _publish(self, job: Job, photo: Photo, resources: _Resources) -> str:
        """Return a URL of a photo or voice until `resources` are closed: its own, if it is one.

        Each submit gets a new URL. If it is fetched, that submit has arrived; and its signature, if
        it has one, is not older than the wait for one turn.
        """
        if isinstance(photo, str) and is_url(photo):
            return photo
        try:
            async with self._publishing:
                published = resources["its image host"]
                url: object = await published.enter_async_context(self._host.publish(photo))
        except HostingError as error:
            if photo is job.request.photo or photo is job.request.options.voice:
                raise
            # A prepared copy; the user knows the original.
            text = str(error).replace(shown_photo(photo), shown_photo(job.request.photo))
            raise HostingError(text) from error
        if not isinstance(url, str):
            shown, kind = shown_photo(job.request.photo), type(url).__name__
            raise HostingError(f"{shown}: its image host gave no URL, but {kind}")
        return url

    async def _submit(
        self, job: Job, photo: Photo, options: AnimationOptions, resources: _Resources
    ) -> TaskId:
        """Submit a photo, again where that is safe, as long as the job may wait for its turn."""
        with TurnDeadline(self._calls.limits, job.context.timeout) as deadline:
            try:
                return await self._submit_once(job, photo, options, resources, deadline)
            except PhotoAnimerError as error:
                failure = error
            return await self._submit_again(failure, job, photo, options, resources, deadline)

    async def _submit_once(
        self,
        job: Job,
        photo: Photo,
        options: AnimationOptions,
        resources: _Resources,
        deadline: TurnDeadline,
    ) -> TaskId:
        image_url = await self._publish(job, photo, resources)
        # Before the place in the queue: waiting for the budget must not hold it up.
        budget = job.context.budget
        reservation = None if budget is None else await reserve(budget, options)
        try:
            with await self._calls.submit_turn(in_batch=job.context.in_batch) as turn:
                deadline.suspend()
                with job.context.gate:
                    await job.record_intent(image_url)
                    task_id = await self._send(job, image_url, options, reservation, turn)
        except PhotoAnimerError as error:
            if verdict(Operation.SUBMIT, error) is not Verdict.AMBIGUOUS:
                deadline.resume(error)
                raise
            ambiguous = ambiguous_submit(error, job.request.photo, image_url, options)
            within = job.context.evidence_seconds
            ambiguous.evidence = await evidence_of(self._host, image_url, within)
            raise ambiguous from error
        finally:
            if reservation is not None:
                reservation.release()
        self._scheduler.submitted(task_id, kind_of(options))
        return task_id

    async def _send(
        self,
        job: Job,
        image_url: str,
        options: AnimationOptions,
        reservation: Reservation | None,
        turn: Turn,
    ) -> TaskId:
        """Send a submit whose intent is recorded, and record what came of it."""
        try:
            task_id = await self._calls.submit(image_url, options)
        except PhotoAnimerError as error:
            self._record_failed_submit(job, reservation, error)
            raise
        except BaseException as error:
            # Cancelled, or failed by code that is not ours: it may have been sent.
            if is_unsent(error):
                unsent = NotSentError(f"not sent: {reason_of(error)}")
                self._record_failed_submit(job, reservation, unsent)
                raise
            lost = NoAnswerError(f"no answer: {reason_of(error)}")
            self._record_failed_submit(job, reservation, lost)
            _log.warning("%s: it may have been charged: %s", shown_photo(job.request.photo), lost)
            if ends_task(error):
                raise
            raise lost from error
        # Now, so that the next submit's intent is written in the same transaction.
        turn.end()
        await job.record_acceptance(task_id, reservation)
        return task_id

    def _record_failed_submit(
        self, job: Job, reservation: Reservation | None, error: PhotoAnimerError
    ) -> None:
        event, facts = event_of(error), Facts(error=str(error))
        if event is Event.DEFER:
            job.record_unsent(facts)
            return
        if event is Event.LOSE:
            job.commit(reservation)
        job.record_later(event, facts)

    async def _save(
        self, job: Job, info: TaskInfo, destination: Destination[Location] | None, seconds: float
    ) -> Location | None:
        if destination is None:
            if job.state is State.SUBMITTED:
                job.record_later(Event.FINISH, Facts(seconds=seconds))
                job.report_progress()
            return None
        # Before the download: a file that a crash leaves half written is found by its name.
        if job.state is State.SUBMITTED:
            facts = Facts(seconds=seconds, destination=destination.location)
            await job.record(Event.FINISH, facts)
        else:
            await job.annotate(Facts(destination=destination.location))
        saved = await self._downloader.save(info, destination, job.request.options.output_format)
        if job.state is State.SAVED:
            await job.annotate(Facts(path=saved))
        else:
            await job.record(Event.SAVE, Facts(path=saved))
        return saved


async def _claim(
    job: Job, store: ResultStore | None, resources: _Resources
) -> Destination[Location] | None:
    """Reserve the name of the job's result until `resources` are closed."""
    if store is None:
        return None
    request = job.request
    suffix = f".{request.options.output_format.value}"
    earlier = None if job.entry is None else job.entry.destination
    claim = store.claim(
        request.photo, suffix, name=request.name, earlier=earlier, paid=job.state in _PAID
    )
    return await resources["its result store"].enter_async_context(claim)


def _seconds(entry: Entry | None, waited: float) -> float:
    """Return the seconds from the submit to the end of the task, as far as they are known."""
    if entry is None or entry.state not in _PAID:
        return waited
    if entry.seconds is not None:
        return entry.seconds
    return max(waited, time.time() - (entry.submitted_at or time.time()))


def _animation(
    task_id: TaskId, info: TaskInfo, seconds: float, saved: Location | None
) -> Animation:
    if isinstance(saved, Path):
        return Animation(task_id, info, saved, seconds)
    return Animation(task_id, info, None, seconds, url=saved)
