"""The client: the public calls. What they do is in `jobs` (photos), `api` (calls), `polling`."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar, Unpack

import aiohttp

from photoanimer_async.api.answers import require_task_id
from photoanimer_async.api.calls import ApiCalls
from photoanimer_async.api.rate_limits import RateLimiter
from photoanimer_async.api.retry import RetryPolicy
from photoanimer_async.api.task_errors import naming
from photoanimer_async.api.transport import Credentials, Transport
from photoanimer_async.errors import InvalidRequestError, PhotoAnimerError, TaskFailedError
from photoanimer_async.jobs.batch_runner import BatchOptions, BatchRunner, BatchSettings, Photos
from photoanimer_async.jobs.job import Job, JobContext
from photoanimer_async.jobs.lifecycle import DEFAULT_TIMEOUT, State
from photoanimer_async.jobs.pending import OpenState, PendingJobs
from photoanimer_async.jobs.pipeline import Pipeline
from photoanimer_async.jobs.progress import ProgressHook
from photoanimer_async.jobs.unclaimed import UnclaimedTasks
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
    require_count,
    require_many,
    require_seconds,
)
from photoanimer_async.notifications.dispatcher import NotificationDispatcher
from photoanimer_async.photos.check import PhotoPreparers
from photoanimer_async.polling.adaptive import AdaptivePolling
from photoanimer_async.polling.notified import NotifiedPolling
from photoanimer_async.polling.policies import PollPolicy, check_above_zero
from photoanimer_async.polling.saved_durations import persisted
from photoanimer_async.polling.scheduler import PollScheduler
from photoanimer_async.redaction import is_url, printable
from photoanimer_async.storage.default_host import NoImageHost, chosen_host
from photoanimer_async.storage.image_host import ImageHost, KeptOpen
from photoanimer_async.storage.result_downloader import PATIENCE_SECONDS, ResultDownloader
from photoanimer_async.storage.result_folder import FileDestination
from photoanimer_async.storage.result_store import Destination, result_target

if TYPE_CHECKING:
    from photoanimer_async.notifications.receiver import NotificationReceiver

_LocationT = TypeVar("_LocationT", bound=Location)

DEFAULT_BASE_URL = "https://www.cutout.pro/api/v1"


class PhotoAnimerClient:
    """A Photo Animer account, for asyncio.

    Use it as a context manager, once per application; it is safe for any number of concurrent
    callers on one event loop:

        async with PhotoAnimerClient() as client:
            animation = await client.animate("grandma.jpg", template=1, save_to="out/")

    Args:
        api_key: the account's key; by default the environment's `PHOTOANIMER_API_KEY`.
        base_url: the service, with its path; by default the environment's
            `PHOTOANIMER_BASE_URL`, else `https://www.cutout.pro/api/v1`.
        session: an aiohttp session to use; it is never closed here. Its middlewares are not
            applied to submits, since one that repeats requests would pay twice.
        concurrency: requests of one kind (photos being published, submits, polls) at once, at
            most.
        submit_rate: submits a second, at most; `None` for no limit; or a `RateLimiter`, for
            instance one that is shared with other processes.
        host: gives local photos a URL: an image host, or the URL of a part of an object store
            (`s3://bucket/prefix`, see `ObjectStoreHost`). By default the environment's
            `PHOTOANIMER_HOST`, else this process serves them, which only a service on this
            machine can reach.
        poll: when to poll a task; by default learned from how long tasks take.
        poll_rate: polls a second, at most; as `submit_rate`.
        durations_file: a file in which measured task durations are saved for the next run; made
            if missing.
            By default a batch with a journal keeps it beside the journal:
            `batch.durations.json` beside `batch.db`.
        receiver: receives the service's notifications; while they arrive, polling is slow.
        max_pending: calls of `animate` and `submit` at once, at most; further ones raise
            `TooManyPendingError`. Batches are bounded by `in_flight` instead.
        retry: how often, and after which waits, a failed call is repeated where that is safe.
        timeout: seconds for one request, from the moment it has a connection to the end of its
            answer. Waiting for a turn, for a free connection or for a name does not count.
        trace_configs: aiohttp's trace hooks for the session that is made here; see
            `photoanimer_async.api.telemetry`.
        proxy: URL of an http or https proxy for all requests, with `user:password@` if it needs
            them.
        trust_env: whether proxies are taken from the environment (`HTTPS_PROXY`, `HTTP_PROXY`,
            `NO_PROXY`) and passwords from `~/.netrc`.

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
        receiver: "NotificationReceiver | None" = None,
        max_pending: int = 10_000,
        retry: RetryPolicy | None = None,
        timeout: float = 60.0,
        trace_configs: Sequence[aiohttp.TraceConfig] = (),
        proxy: str | None = None,
        trust_env: bool = False,
    ) -> None:
        require_count("concurrency", concurrency)
        check_above_zero("timeout", timeout)
        credentials = _credentials(api_key, base_url)
        self._transport = Transport(
            credentials,
            session=session,
            timeout=timeout,
            trace_configs=trace_configs,
            proxy=proxy,
            trust_env=trust_env,
        )
        self._host = chosen_host(host, credentials.base_url)
        self._poll = poll or AdaptivePolling()
        self._durations_file = _durations_path(durations_file, self._poll)
        self._receiver = receiver
        self._state = OpenState()
        self._submit_context = JobContext()
        self._unclaimed = UnclaimedTasks()
        self._pending = PendingJobs(self._state, max_pending, self._unclaimed)
        self._preparers = PhotoPreparers(lambda: self._transport.session)
        self._open = AsyncExitStack()
        self._closing = asyncio.Lock()
        self._connect_parts(concurrency, submit_rate, poll_rate, retry)

    def _connect_parts(
        self,
        concurrency: int,
        submit_rate: float | RateLimiter | None,
        poll_rate: float | RateLimiter | None,
        retry: RetryPolicy | None,
    ) -> None:
        rng = Random()  # noqa: S311 - jitter, no secret
        retry_calls = retry or RetryPolicy()
        # A rate that is a number is kept by the scheduler, which then chooses what to poll.
        self._calls = ApiCalls(
            self._transport,
            concurrency=concurrency,
            submit_rate=submit_rate,
            poll_limiter=None if isinstance(poll_rate, int | float) else poll_rate,
            retry=retry_calls,
            rng=rng,
        )
        self._scheduler = PollScheduler(
            self._calls.poll_once,
            concurrency=concurrency,
            rate=poll_rate if isinstance(poll_rate, int | float) else None,
            pause=self._calls.queue.poll_pause,
            policy=self._poll if self._receiver is None else NotifiedPolling(self._poll),
            retry=retry,
            rng=rng,
        )
        self._dispatcher = NotificationDispatcher(
            time.monotonic,
            lambda task_id, within: self._scheduler.notify(task_id, within=within),
        )
        self._downloader = ResultDownloader(
            self._transport, self._poll_now, retry=retry_calls, rng=rng
        )
        self._pipeline = Pipeline(
            self._calls,
            self._scheduler,
            self._host,
            self._downloader,
            concurrency=concurrency,
            retry=retry_calls,
            rng=rng,
        )
        learner = self._poll if isinstance(self._poll, AdaptivePolling) else None
        self._runner = BatchRunner(
            self._pipeline,
            self._state,
            self._preparers,
            self._unclaimed,
            self._transport.base_url,
            in_flight=4 * concurrency,
            learner=learner if self._durations_file is None else None,
        )

    async def _poll_now(self, task_id: TaskId) -> TaskInfo:
        return await self._scheduler.wait(task_id, timeout=PATIENCE_SECONDS, at_once=True)

    async def __aenter__(self) -> Self:
        self._state.require_closed()
        self._closing = asyncio.Lock()  # of this event loop
        self._submit_context = JobContext()  # the gate of the last one was closed
        async with AsyncExitStack() as stack:
            stack.callback(self._state.close)
            await stack.enter_async_context(self._transport)
            if self._durations_file is not None and isinstance(self._poll, AdaptivePolling):
                await stack.enter_async_context(persisted(self._poll, self._durations_file))
            if isinstance(self._host, KeptOpen):
                await stack.enter_async_context(self._host.kept_open())
            await stack.enter_async_context(self._scheduler)
            # Before the scheduler ends: jobs that clean up by then must not be interrupted.
            stack.push_async_callback(self._pending.cancel)
            if self._receiver is not None:
                await stack.enter_async_context(self._receiver.listening(self._dispatcher.dispatch))
            stack.push_async_callback(self._runner.close)
            stack.push_async_callback(self._pending.drain)
            stack.callback(self._state.begin_closing)
            self._state.open()
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        async with self._closing:  # what closes it at the same time waits too
            await self._open.aclose()

    @property
    def base_url(self) -> str:
        """The service's URL, with its path."""
        return self._transport.base_url

    @contextmanager
    def _call_on(self, task_id: TaskId) -> Iterator[None]:
        """Begin a call on a task, which may be paid for: each of its errors names the task."""
        require_task_id(task_id)
        with naming(task_id):
            self._state.require_open()
            yield

    @property
    def takes_files(self) -> bool:
        """Whether photos that are files or content can be given a URL that the service reaches.

        False without a `host` of your own if the service is on another machine.
        """
        return not isinstance(self._host, NoImageHost)

    # --- the API's calls ---

    async def submit(
        self,
        image_url: str,
        template: int = 1,
        output_format: str = "mp4",
        voice_url: str | None = None,
    ) -> TaskId:
        """Submit an image; this costs video seconds (API page, Interface 1).

        It is sent once. It is sent again only if it provably never left (no connection) or was
        refused for a passing reason (429, 503). If the caller is cancelled after it has left,
        its answer is still read; see `pending`.

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
            AmbiguousSubmitError: it left, and whether it was accepted is not known.
            TooManyPendingError: `max_pending` calls are in progress.
        """
        _require_url(image_url)
        options = AnimationOptions(
            template=template, output_format=output_format, voice_url=voice_url
        )
        job = Job(0, AnimationRequest(image_url, options), self._submit_context)
        return await self._pending.run_detached(job, self._pipeline.submit(job, image_url))

    async def get_task_info(self, task_id: TaskId) -> TaskInfo:
        """Return the present state of a task (API page, Interface 3).

        Raises:
            ApiError: the service refused.
            TransportError, UnexpectedResponseError: no usable answer, after all retries.
        """
        with self._call_on(task_id):
            return await self._calls.get_task_info(task_id)

    async def get_balance(self) -> Balance:
        """Return what is left on the account.

        Raises:
            ApiError: the service refused.
            TransportError, UnexpectedResponseError: no usable answer, after all retries.
        """
        self._state.require_open()
        return await self._calls.get_balance()

    # --- until the end of a task ---

    async def wait(self, task_id: TaskId, *, timeout: float | None = DEFAULT_TIMEOUT) -> TaskInfo:
        """Wait until a task has finished.

        Args:
            task_id: the task.
            timeout: seconds, by default an hour; `None` for no limit.

        Returns:
            The finished task, with the links to its result.

        Raises:
            TaskFailedError: it ended with status 2.
            WaitTimeoutError: it had not ended by then; it can be waited for again.
            PhotoAnimerError: its state cannot be asked for.
        """
        with self._call_on(task_id):
            require_seconds("timeout", timeout)
            info = await self._scheduler.wait(task_id, timeout=timeout)
        if info.status is TaskStatus.FAILED:
            raise TaskFailedError(info)
        return info

    async def wait_all(
        self, task_ids: Iterable[TaskId], *, timeout: float | None = DEFAULT_TIMEOUT
    ) -> dict[TaskId, TaskInfo | PhotoAnimerError]:
        """Wait until all tasks have ended; see `PollScheduler.wait_all`.

        Args:
            task_ids: the tasks; a hundred thousand are fine.
            timeout: seconds, by default an hour, one deadline for all of them together; `None`
                for no limit.

        Returns:
            For each task its info, with status 1 or 2, or the error that ended the wait for it.
        """
        self._state.require_open()
        require_many("task_ids", task_ids)
        return await self._scheduler.wait_all(task_ids, timeout=timeout)

    def notify(self, task_id: TaskId) -> None:
        """Poll a task at once, if it is waited for: a hint that it has ended.

        A `receiver` does this by itself; this is for notifications that arrive another way.
        """
        self._scheduler.notify(task_id)

    async def download(
        self,
        info: TaskInfo,
        destination: str | os.PathLike[str],
        *,
        output_format: str = "mp4",
    ) -> Path:
        """Save the result of a finished task. Nothing is ever overwritten.

        While its link does not work, a new one is requested, for some minutes.

        Args:
            info: what `wait` returned.
            destination: the file. Its suffix becomes that of the result.
            output_format: `mp4`, or `gif` for the GIF if there is one.

        Returns:
            The file: a numbered name if `destination` existed.

        Raises:
            TaskFailedError: there is no result.
            DownloadError: it is gone, or cannot be written.
        """
        return await self.download_to(
            info, FileDestination(Path(destination)), output_format=output_format
        )

    async def download_to(
        self, info: TaskInfo, destination: Destination[_LocationT], *, output_format: str = "mp4"
    ) -> _LocationT:
        """Save a result to a `Destination` of a `ResultStore`; see `download`.

        Raises:
            PhotoAnimerError: as `download`.
        """
        with naming(info.task_id):
            self._state.require_open()
            return await self._downloader.save(info, destination, output_format)

    # --- from the photo to the result ---

    async def animate(
        self,
        photo: Photo,
        template: int = 1,
        output_format: str = "mp4",
        voice_url: str | None = None,
        *,
        save_to: str | os.PathLike[str] | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
        prepare: bool = False,
        check_urls: bool = False,
        on_progress: ProgressHook | None = None,
    ) -> Animation:
        """Animate one photo: submit it, wait, and download the result to `save_to`.

        If the caller is cancelled before the submit leaves, nothing is sent. If it is cancelled
        later, the job runs on without it, to the saved result: `on_progress` gets the task's
        id, `pending` lists it, and `attach` returns to it.

        Args:
            photo: URL, path or content. Text from outside your program must be a `PhotoUrl`:
                a plain string may be a path, so that any file here could be read and sent out.
            template: the expression, 0 to 5.
            output_format: `mp4`, or `gif`.
            voice_url: URL of a sound for the mouth to follow; template 0 only.
            save_to: a folder for the result, which is named after the photo; made if missing.
                Or the file itself, `out/grandma.mp4` (`.gif`), which gets a number if it exists.
                Or the URL of either in an object store: `s3://bucket/prefix`, `gs://`, `az://`.
            timeout: seconds for the wait for a turn, where the service limits the rate, and for
                the task, by default an hour; `None` for no limit.
            prepare: whether a photo that is no URL is made fit: turned upright, converted from
                HEIC, AVIF or TIFF, shrunk to the limits, and freed of metadata (place, device).
                A photo that needs none of that stays as it is. Needs the extra `prepare`
                (Pillow); HEIC needs the extra `heic`.
            check_urls: whether to ask the host of a photo's URL, with a HEAD request from this
                process, if the photo is there and is what the service takes.
            on_progress: called with every step.

        Raises:
            TooManyPendingError: `max_pending` calls are in progress.
            PhotoAnimerError: the step that failed, as its type says.
        """
        require_seconds("timeout", timeout)
        options = AnimationOptions(
            template=template, output_format=output_format, voice_url=voice_url
        )
        preparer = self._preparers.choose(prepare=prepare, check_urls=check_urls)
        store, name = result_target(save_to, options.output_format)
        request = AnimationRequest(photo, options, name)
        context = JobContext(
            timeout=timeout, hook=on_progress, preparer=preparer, unclaimed=self._unclaimed
        )
        job = Job(0, request, context)
        outcome = await self._pending.run_detached(job, self._pipeline.run(job, store))
        return outcome.unwrap()

    async def attach(
        self,
        task_id: TaskId,
        output_format: str = "mp4",
        *,
        save_to: str | os.PathLike[str] | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
        on_progress: ProgressHook | None = None,
    ) -> Animation:
        """Return to a task that is paid for: wait for it, and download the result to `save_to`.

        The task may be that of an `animate` whose caller was cancelled, in this process or in
        an earlier one, or of a `submit`. Nothing is paid; being cancelled loses nothing.

        Args:
            task_id: the task.
            output_format: `mp4`, or `gif` for the GIF if there is one.
            save_to: where the result goes, named after the task; see `animate`. By default
                where `animate` was to save it, if the job is this client's.
            timeout: seconds to wait for the task, by default an hour; `None` for no limit.
            on_progress: called with every step from here on; the event's photo is the task id.

        Raises:
            TaskFailedError: it ended with status 2.
            WaitTimeoutError: it had not ended by then.
            PhotoAnimerError: its state cannot be asked for, or its result cannot be saved.
        """
        with self._call_on(task_id):
            return await self._attach(task_id, output_format, save_to, timeout, on_progress)

    async def _attach(
        self,
        task_id: TaskId,
        output_format: str,
        save_to: str | os.PathLike[str] | None,
        timeout: float | None,
        on_progress: ProgressHook | None,
    ) -> Animation:
        require_seconds("timeout", timeout)
        options = AnimationOptions(output_format=output_format)
        store, name = result_target(save_to, options.output_format)
        request = AnimationRequest(str(task_id), options, name or str(task_id))
        if store is None:
            outcome = await self._pending.join(task_id, timeout)
            if outcome is not None:
                return outcome.unwrap()
            kept = self._unclaimed.get(task_id)
            if kept is not None and kept.store is not None:
                store, request = kept.store, kept.request
        context = JobContext(timeout=timeout, hook=on_progress)
        job = Job(0, request, context, state=State.SUBMITTED, task_id=task_id)
        animation = (await self._pipeline.run(job, store)).unwrap()
        self._unclaimed.pop(task_id)
        return animation

    @property
    def pending(self) -> Mapping[TaskId, AnimationRequest]:
        """What was paid for and has no result: by task id, the latest thousand.

        Tasks of an `animate` or `submit` whose caller was cancelled, of a job that failed after
        its submit, or of a batch without a journal that was left early. `attach` removes one.
        A photo that was passed in as bytes is not kept: it is empty here.
        """
        return self._pending.requests()

    def animate_many(
        self,
        photos: Photos,
        template: int = 1,
        output_format: str = "mp4",
        voice_url: str | None = None,
        *,
        journal: str | os.PathLike[str] | None = None,
        deduplicate: bool = False,
        **options: Unpack[BatchOptions],
    ) -> AsyncGenerator[Outcome]:
        """Animate many photos; yield one `Outcome` for each, as it ends.

            async for outcome in client.animate_many(photos, save_to="out/", journal="batch.db"):
                print(outcome.photo, outcome.animation or outcome.error)

        Photos are pulled as slots become free, so that a generator of a million is never held
        in memory. The failure of one affects no other. Leaving the loop early closes the batch:
        submits get 10 s for their answers, other work is cancelled, and the service finishes
        the tasks that were submitted.

        With a journal, the same call continues where an earlier one was stopped or killed.
        Photos are identified by content and options. What was submitted is waited for, what
        was not saved is downloaded, what was saved is not done again (its outcome says where).

        Args:
            photos: URLs, paths, contents, or `AnimationRequest`s with options of their own.
            template: the expression, 0 to 5.
            output_format: `mp4`, or `gif`.
            voice_url: URL of a sound for the mouths to follow; template 0 only.
            journal: a file in which every step is recorded before the next one is taken; made
                if missing.
            deduplicate: whether photos with the same content and options share one task.
            **options: see `BatchOptions`: `save_to`, `timeout`, `in_flight`, `max_seconds`,
                `prepare`, `check_urls`, `retry_failed`, `resubmit_ambiguous`, `on_progress`.

        Raises:
            InvalidRequestError: an argument that the API page does not allow.
            AuthenticationError, InsufficientCreditsError, BudgetExceededError: no more submits
                are accepted, or allowed; raised after the outcomes of all photos in flight.
                Photos that were not submitted have a `NotSubmittedError`.
            JournalError: the journal cannot be used; `JournalInUseError` if another process
                uses it.
        """
        animation = AnimationOptions(
            template=template, output_format=output_format, voice_url=voice_url
        )
        settings = BatchSettings(**options)
        return self._runner.animate(photos, animation, settings, journal, deduplicate=deduplicate)

    def resume(
        self, journal: str | os.PathLike[str], **options: Unpack[BatchOptions]
    ) -> AsyncGenerator[Outcome]:
        """Continue with what a journal holds; yield one `Outcome` for each photo not saved.

        Args:
            journal: the file.
            **options: see `BatchOptions`; without `save_to` each result goes where it was to go.

        Raises:
            PhotoAnimerError: as `animate_many`.
        """
        return self._runner.resume(journal, BatchSettings(**options))


def _require_url(image_url: object) -> None:
    # Before the pipeline, which would publish a path.
    if not isinstance(image_url, str) or not is_url(image_url):
        raise InvalidRequestError(
            f"image_url must be an http or https URL, not {printable(repr(image_url))}"
        )


def _credentials(api_key: str | None, base_url: str | None) -> Credentials:
    key = api_key or os.environ.get("PHOTOANIMER_API_KEY")
    if not key:
        raise InvalidRequestError("no API key: pass api_key= or set PHOTOANIMER_API_KEY")
    return Credentials(base_url or os.environ.get("PHOTOANIMER_BASE_URL") or DEFAULT_BASE_URL, key)


def _durations_path(file: str | os.PathLike[str] | None, policy: PollPolicy) -> Path | None:
    if file is None:
        return None
    if not isinstance(policy, AdaptivePolling):
        raise InvalidRequestError("durations_file needs an AdaptivePolling policy")
    return Path(file)
