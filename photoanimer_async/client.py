"""The client: one connection pool, one poll scheduler, and the calls of the API."""

import os
import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp

from photoanimer_async.api.calls import Api
from photoanimer_async.api.rate_limits import RateLimiter
from photoanimer_async.api.retry import RetryPolicy
from photoanimer_async.api.transport import Credentials, Transport
from photoanimer_async.errors import InvalidRequestError, PhotoAnimerError, TaskFailedError
from photoanimer_async.jobs.account import Account
from photoanimer_async.jobs.batch_runner import BatchOptions, BatchRunner, Photos
from photoanimer_async.jobs.job import Journey, Terms
from photoanimer_async.jobs.lifecycle import State
from photoanimer_async.jobs.pending import PendingAnimations
from photoanimer_async.jobs.photo_preparer import Intake
from photoanimer_async.jobs.pipeline import Pipeline
from photoanimer_async.jobs.progress import ProgressHook
from photoanimer_async.jobs.publisher import Publisher
from photoanimer_async.jobs.submission import OwnUrl, PhotoSubmission
from photoanimer_async.models import (
    Animation,
    AnimationOptions,
    AnimationRequest,
    Balance,
    Location,
    Outcome,
    Photo,
    TaskId,
    TaskInfo,
    TaskStatus,
)
from photoanimer_async.notifications import NotificationDispatcher, NotificationReceiver
from photoanimer_async.photos.preparation import Preparation
from photoanimer_async.polling.notified import NotifiedPolling
from photoanimer_async.polling.policies import AdaptivePolling, PollPolicy
from photoanimer_async.polling.saved_durations import persisted
from photoanimer_async.polling.scheduler import PollScheduler
from photoanimer_async.storage.default_host import DefaultImageHost, chosen_host
from photoanimer_async.storage.image_host import ImageHost
from photoanimer_async.storage.result_folder import FileDestination
from photoanimer_async.storage.result_store import Destination, parse_location, result_store

_LocationT = TypeVar("_LocationT", bound=Location)

DEFAULT_BASE_URL = "https://www.cutout.pro/api/v1"


class PhotoAnimerClient:
    """A Photo Animer account, from asyncio.

    To be used as a context manager, once per application; safe for any number of concurrent
    callers on one event loop.

    Args:
        api_key: the account's key; by default from the environment, `PHOTOANIMER_API_KEY`.
        base_url: the service, with its path; by default from `PHOTOANIMER_BASE_URL`, else
            `https://www.cutout.pro/api/v1`.
        session: an aiohttp session to use. It is never closed here. For submits its own
            middlewares are not applied, since one that repeats requests would pay twice.
        concurrency: what is under way at once of one kind (photos being published, submits,
            polls), at most.
        submit_rate: submits a second, at most; `None` for no limit; or a `RateLimiter`, for
            instance one that is shared with other processes.
        host: what gives local photos a URL: an image host, or the URL of a part of an object
            store (`s3://bucket/prefix`, see `ObjectStoreHost`); by default from
            `PHOTOANIMER_HOST`, else they are served from this process, which only a service
            on this machine can reach.
        poll: when to look at a task next; by default it learns how long tasks take.
        poll_rate: polls a second, at most, likewise.
        durations_file: a file in which measured task durations are saved for the next run;
            created if missing.
            By default a batch with a journal keeps it beside that: `batch.durations.json`
            beside `batch.db`.
        receiver: where the service's notifications come in. Polling then is slow, as long as
            they do.
        max_pending: calls of `animate` and `submit` under way at once, at most; those beyond
            get a `TooManyPendingError`. Batches are bounded by `in_flight` instead.
        retry: how often and how patiently a failed call is tried again, where it may be.
        timeout: seconds for one request.
        trace_configs: aiohttp's trace hooks for the session that is made here; see
            `photoanimer_async.api.telemetry`.

    Raises:
        InvalidRequestError: no key, or a value that is not allowed.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        session: aiohttp.ClientSession | None = None,
        concurrency: int = 64,
        submit_rate: float | RateLimiter | None = None,
        host: ImageHost | str | None = None,
        poll: PollPolicy | None = None,
        poll_rate: float | RateLimiter | None = None,
        durations_file: str | os.PathLike[str] | None = None,
        receiver: NotificationReceiver | None = None,
        max_pending: int = 10_000,
        retry: RetryPolicy | None = None,
        timeout: float = 60.0,
        trace_configs: Sequence[aiohttp.TraceConfig] = (),
    ) -> None:
        if concurrency < 1:
            raise InvalidRequestError(f"concurrency must be at least 1, not {concurrency}")
        key = api_key or os.environ.get("PHOTOANIMER_API_KEY")
        if not key:
            raise InvalidRequestError("no API key: pass api_key= or set PHOTOANIMER_API_KEY")
        where = base_url or os.environ.get("PHOTOANIMER_BASE_URL") or DEFAULT_BASE_URL
        self._transport = Transport(
            Credentials(where, key), session=session, timeout=timeout, trace_configs=trace_configs
        )
        self._host = chosen_host(host, where)
        self._publisher = Publisher(self._host, concurrency)
        self._concurrency = concurrency
        rng = Random()  # noqa: S311 - jitter, no secret
        poll_limiter = None if isinstance(poll_rate, int | float) else poll_rate
        self._api = Api(
            self._transport,
            concurrency=concurrency,
            submit_rate=submit_rate,
            poll_limiter=poll_limiter,
            retry=retry or RetryPolicy(),
            rng=rng,
        )
        self._preparation: Preparation | None = None
        self._poll = poll or AdaptivePolling()
        learner = self._poll if isinstance(self._poll, AdaptivePolling) else None
        if durations_file is not None and learner is None:
            raise InvalidRequestError("durations_file needs an AdaptivePolling policy")
        self._durations_file = None if durations_file is None else Path(durations_file)
        self._receiver = receiver
        notified_polling = NotifiedPolling(self._poll)
        self._scheduler = PollScheduler(
            self._api.look,
            concurrency=concurrency,
            # A rate as a number is the scheduler's own, so that it can choose whose turn it is.
            rate=poll_rate if isinstance(poll_rate, int | float) else None,
            policy=self._poll if receiver is None else notified_polling,
            retry=retry,
            rng=rng,
        )
        self._dispatcher = NotificationDispatcher(
            notified_polling,
            time.monotonic,
            lambda task_id, within: self._scheduler.notify(task_id, within=within),
        )
        self._account = Account(self._transport, self._api, self._scheduler)
        self._runner = BatchRunner(
            self._account,
            self._publisher,
            beginning=2 * concurrency,
            learner=learner if durations_file is None else None,
        )
        self._pending = PendingAnimations(max_pending)
        self._plain = Terms()
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._plain = Terms()  # those of the last time are closed
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._transport)
            if self._durations_file is not None and isinstance(self._poll, AdaptivePolling):
                await stack.enter_async_context(persisted(self._poll, self._durations_file))
            stack.push_async_callback(self._pending.cancel)
            await stack.enter_async_context(self._scheduler)
            if self._receiver is not None:
                await stack.enter_async_context(self._receiver.listening(self._dispatcher.dispatch))
            stack.push_async_callback(self._runner.close)
            stack.push_async_callback(self._pending.settle)
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._open.aclose()

    @property
    def base_url(self) -> str:
        """Where the service is."""
        return self._transport.base_url

    @property
    def takes_files(self) -> bool:
        """Whether photos that are files or content can be given a URL that the service reaches.

        Not so without a `host` of one's own, if the service is on another machine.
        """
        return not isinstance(self._host, DefaultImageHost) or self._host.reaches_service

    # --- the API's calls ---

    async def submit(
        self,
        image_url: str,
        template: int = 1,
        output_format: str = "mp4",
        voice_url: str | None = None,
    ) -> TaskId:
        """Submits an image; this costs video seconds (API page, Interface 1).

        It is sent once. It is sent again only if it provably never arrived (no connection) or
        was refused for a passing reason (429, 503). If the caller is cancelled while it is
        under way, its answer is taken in all the same; see `pending`.

        Args:
            image_url: http or https URL of a face photo; sent exactly as it is.
            template: the expression, 0 to 5.
            output_format: `mp4`, or `gif` for a GIF beside the video.
            voice_url: URL of a sound for the mouth to follow; template 0 only.

        Raises:
            InvalidRequestError: an argument that the API page does not allow.
            ApiError: the service refused; `AuthenticationError`, `InsufficientCreditsError`,
                `RateLimitedError` where they can be told apart.
            NotSentError: there is no connection to the service.
            AmbiguousSubmitError: it left, and nobody knows whether it was accepted.
            TooManyPendingError: `max_pending` calls are under way.
        """
        options = AnimationOptions(
            template=template, output_format=output_format, voice_url=voice_url
        )
        journey = Journey(0, AnimationRequest(image_url, options), self._plain)
        submission = PhotoSubmission(journey, OwnUrl(image_url), options)
        return await self._pending.see_through(journey, self._account.submit(submission))

    async def get_task_info(self, task_id: TaskId) -> TaskInfo:
        """How far a task is, now (API page, Interface 3).

        Raises:
            ApiError: the service refused.
            TransportError, UnexpectedResponseError: no usable answer, also when asked again.
        """
        return await self._api.get_task_info(task_id)

    async def get_balance(self) -> Balance:
        """What is left on the account.

        Raises:
            ApiError: the service refused.
            TransportError, UnexpectedResponseError: no usable answer, also when asked again.
        """
        return await self._api.get_balance()

    # --- until the end ---

    async def wait(self, task_id: TaskId, *, timeout: float | None = None) -> TaskInfo:
        """Waits until a task has finished.

        Args:
            task_id: the task.
            timeout: seconds; `None` for as long as it takes.

        Returns:
            The finished task, with the links to its result.

        Raises:
            TaskFailedError: it ended with status 2.
            WaitTimeoutError: it had not ended by then. It goes on, and can be waited for again.
            PhotoAnimerError: it can not be asked for.
        """
        info = await self._scheduler.wait(task_id, timeout=timeout)
        if info.status is TaskStatus.FAILED:
            raise TaskFailedError(info)
        return info

    async def wait_all(
        self, task_ids: Iterable[TaskId], *, timeout: float | None = None
    ) -> dict[TaskId, TaskInfo | PhotoAnimerError]:
        """Waits until all tasks have ended; see `PollScheduler.wait_all`.

        Args:
            task_ids: the tasks; a hundred thousand are fine.
            timeout: seconds, one deadline for all of them together.

        Returns:
            For each task its info, with status 1 or 2, or why there is none.
        """
        return await self._scheduler.wait_all(task_ids, timeout=timeout)

    def notify(self, task_id: TaskId) -> None:
        """Asks for a task at once if it is waited for: something told that it has ended.

        A `receiver` does so by itself; this is for notifications that come another way.
        """
        self._scheduler.notify(task_id)

    async def download(
        self,
        info: TaskInfo,
        destination: str | os.PathLike[str],
        *,
        output_format: str = "mp4",
    ) -> Path:
        """Saves the result of a finished task. Nothing is ever overwritten.

        A link that has expired is asked for again, once.

        Args:
            info: what `wait` gave.
            destination: the file. Its suffix becomes that of what there is to save.
            output_format: `mp4`, or `gif` for the GIF if there is one.

        Returns:
            Where the result is: a numbered name if the destination was taken.

        Raises:
            TaskFailedError: there is no result.
            DownloadError: it is not there any more, or can not be written.
        """
        return await self.download_to(
            info, FileDestination(Path(destination)), output_format=output_format
        )

    async def download_to(
        self, info: TaskInfo, destination: Destination[_LocationT], *, output_format: str = "mp4"
    ) -> _LocationT:
        """`download` to a destination, which a `ResultStore` gives.

        Raises:
            PhotoAnimerError: as `download`.
        """
        return await self._account.save(info, destination, output_format)

    async def animate(
        self,
        photo: Photo,
        template: int = 1,
        output_format: str = "mp4",
        voice_url: str | None = None,
        *,
        save_to: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        prepare: bool = False,
        check_urls: bool = False,
        on_progress: ProgressHook | None = None,
    ) -> Animation:
        """Brings one photo to life: submit, wait, and download where `save_to` says.

        If the caller is cancelled before the submit leaves, nothing is sent. If it is later,
        the animation goes on without the caller, to its saved result: `on_progress` tells the
        task's id, it stands in `pending`, and `attach` gets back to it.

        Args:
            photo: URL, path or content.
            template: the expression, 0 to 5.
            output_format: `mp4`, or `gif`.
            voice_url: URL of a sound for the mouth to follow; template 0 only.
            save_to: a folder for the result, which is named after the photo; made if missing.
                Or the URL of a part of an object store: `s3://bucket/prefix`, `gs://`, `az://`.
            timeout: seconds to wait for the task.
            prepare: whether a photo that is no URL is made fit: turned upright, converted from
                HEIC, AVIF or TIFF, shrunk to the limits, and freed of metadata (place, device).
                A photo that needs nothing of that stays as it is. Needs Pillow, which the extra
                `prepare` installs; HEIC needs the extra `heic`.
            check_urls: whether the host of a photo's URL is asked, with a HEAD from this
                process, if the photo is there and is what the service takes.
            on_progress: is told of every step.

        Raises:
            TooManyPendingError: `max_pending` calls are under way.
            PhotoAnimerError: whatever kept the result away.
        """
        options = AnimationOptions(
            template=template, output_format=output_format, voice_url=voice_url
        )
        intake = self._intake(prepare=prepare, check_urls=check_urls)
        terms = Terms(timeout=timeout, hook=on_progress, intake=intake)
        pipeline = Pipeline(self._account, self._publisher, terms)
        store = None if save_to is None else result_store(parse_location(save_to))
        journey = pipeline.journey(0, AnimationRequest(photo, options))
        outcome = await self._pending.see_through(journey, pipeline.take(journey, store))
        return outcome.unwrap()

    async def attach(
        self,
        task_id: TaskId,
        output_format: str = "mp4",
        *,
        save_to: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        on_progress: ProgressHook | None = None,
    ) -> Animation:
        """Gets back to a task that is paid for: waits, and downloads where `save_to` says.

        The task may be that of an `animate` whose caller was cancelled, in this process or in
        an earlier one, or of a `submit`. Nothing is paid, and being cancelled loses nothing.

        Args:
            task_id: the task.
            output_format: `mp4`, or `gif` for the GIF if there is one.
            save_to: where the result goes, named after the task; see `animate`. By default it
                is where `animate` was told to save it, if it is this client's.
            timeout: seconds to wait for the task.
            on_progress: is told of every step from here on; its photo is the task's id.

        Raises:
            TaskFailedError: it ended with status 2.
            WaitTimeoutError: it had not ended by then.
            PhotoAnimerError: it can not be asked for, or its result not be saved.
        """
        if save_to is None:
            earlier = await self._pending.join(task_id, timeout)
            if earlier is not None:
                return earlier.unwrap()
        options = AnimationOptions(output_format=output_format)
        terms = Terms(timeout=timeout, hook=on_progress)
        pipeline = Pipeline(self._account, self._publisher, terms)
        store = None if save_to is None else result_store(parse_location(save_to))
        journey = pipeline.journey(0, AnimationRequest(str(task_id), options, str(task_id)))
        journey.state, journey.task_id = State.SUBMITTED, task_id
        return (await pipeline.take(journey, store)).unwrap()

    @property
    def pending(self) -> Mapping[TaskId, AnimationRequest]:
        """What was paid for by an `animate` or `submit` whose caller was cancelled.

        The latest thousand, by task id; `attach` takes one away.
        """
        return self._pending.left()

    def animate_many(
        self,
        photos: Photos,
        template: int = 1,
        output_format: str = "mp4",
        voice_url: str | None = None,
        *,
        save_to: str | os.PathLike[str] | None = None,
        journal: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        in_flight: int | None = None,
        max_seconds: float | None = None,
        deduplicate: bool = False,
        prepare: bool = False,
        check_urls: bool = False,
        retry_failed: bool = False,
        resubmit_ambiguous: float = 0.0,
        on_progress: ProgressHook | None = None,
    ) -> AsyncGenerator[Outcome]:
        """Brings many photos to life; yields one `Outcome` for each, as it ends.

        Photos are pulled as there is room for them, so that a generator of a million is never
        held in memory. The failure of one touches no other. Leaving the loop early closes the
        batch: submits under way get 10 s for their answers, the rest is cancelled, and tasks
        that were already submitted go on at the service.

        With a journal, the same call goes on where an earlier one was stopped or killed:
        photos are known by content and options. What was submitted is waited for, what was
        not saved is downloaded, what was saved is not done again (its outcome tells where).

        Args:
            photos: URLs, paths, contents, or `AnimationRequest`s with options of their own.
            template: the expression, 0 to 5.
            output_format: `mp4`, or `gif`.
            voice_url: URL of a sound for the mouths to follow; template 0 only.
            save_to: a folder for the results, each named after its photo; made if missing. Or
                the URL of a part of an object store: `s3://bucket/prefix`, `gs://`, `az://`.
            journal: a file in which every step is written down before the next one is taken;
                made if missing.
            timeout: seconds to wait for one task.
            in_flight: photos held at once, at most; by default 4 x `concurrency`.
            max_seconds: video seconds that may be spent; with a journal, by all runs that it
                has seen, and with what may have been charged.
            deduplicate: whether photos with the same content and options share one task.
            prepare: whether photos are made fit; see `animate`. They are known by what they were
                before.
            check_urls: whether photos' URLs are looked at; see `animate`.
            retry_failed: whether what failed in an earlier run is paid for again.
            resubmit_ambiguous: video seconds that may be spent on photos that may have been
                charged in an earlier run. Those that were provably accepted are left out.
            on_progress: is told of every step of every photo.

        Raises:
            InvalidRequestError: an argument that the API page does not allow.
            AuthenticationError, InsufficientCreditsError, BudgetExceededError: no more submits
                are accepted, or may be made; raised after the outcomes of all that was under
                way. Photos whose turn had not come have a `NotSubmittedError`.
            JournalError: the journal can not be used; `JournalInUseError` if another process
                is at work with it.
        """
        options = AnimationOptions(
            template=template, output_format=output_format, voice_url=voice_url
        )
        how = self._batch_options(
            in_flight,
            save_to=save_to,
            timeout=timeout,
            on_progress=on_progress,
            max_seconds=max_seconds,
            retry_failed=retry_failed,
            resubmit_ambiguous=resubmit_ambiguous,
            intake=self._intake(prepare=prepare, check_urls=check_urls),
        )
        if journal is None:
            return self._runner.run(photos, options, how, deduplicate=deduplicate)
        return self._runner.run_journaled(photos, options, how, journal, deduplicate=deduplicate)

    def resume(
        self,
        journal: str | os.PathLike[str],
        *,
        save_to: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        in_flight: int | None = None,
        max_seconds: float | None = None,
        prepare: bool = False,
        check_urls: bool = False,
        retry_failed: bool = False,
        resubmit_ambiguous: float = 0.0,
        on_progress: ProgressHook | None = None,
    ) -> AsyncGenerator[Outcome]:
        """Goes on with what a journal holds; yields one `Outcome` for each photo not saved.

        Args:
            journal: the file.
            save_to: where results go, see `animate_many`; by default each where it was to go.
            timeout: see `animate_many`, as are the others.
            in_flight: likewise.
            max_seconds: likewise.
            prepare: likewise.
            check_urls: likewise.
            retry_failed: likewise.
            resubmit_ambiguous: likewise.
            on_progress: likewise.

        Raises:
            PhotoAnimerError: as `animate_many`.
        """
        how = self._batch_options(
            in_flight,
            save_to=save_to,
            timeout=timeout,
            on_progress=on_progress,
            max_seconds=max_seconds,
            retry_failed=retry_failed,
            resubmit_ambiguous=resubmit_ambiguous,
            intake=self._intake(prepare=prepare, check_urls=check_urls),
        )
        return self._runner.resume(journal, how)

    def _intake(self, *, prepare: bool, check_urls: bool) -> Intake:
        if prepare and self._preparation is None:
            self._preparation = Preparation()
        return Intake(
            self._preparation if prepare else None, self._account.check_url if check_urls else None
        )

    def _batch_options(
        self, in_flight: int | None, save_to: str | os.PathLike[str] | None, **how: Any
    ) -> BatchOptions:
        bound = in_flight if in_flight is not None else 4 * self._concurrency
        place = None if save_to is None else parse_location(save_to)
        return BatchOptions(in_flight=bound, save_to=place, **how)
