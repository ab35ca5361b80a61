"""One photo the whole way: check, publish, submit, wait, download.

The way is a straight line, and each step on it is an event of `core.lifecycle`, so that what
is reported (and written down) can only be what the table of transitions allows.
"""

import time
from pathlib import Path
from typing import Protocol

from attrs import define, evolve

from photoanimer_async.core.lifecycle import Event, State, apply
from photoanimer_async.errors import (
    AmbiguousSubmitError,
    PhotoAnimerError,
    RateLimitedError,
    ServiceUnavailableError,
    TaskFailedError,
    TransportError,
)
from photoanimer_async.hosting import ImageHost, published
from photoanimer_async.models import (
    Animation,
    AnimationOptions,
    AnimationRequest,
    Outcome,
    OutputFormat,
    Photo,
    TaskId,
    TaskInfo,
)
from photoanimer_async.photos import check_photo
from photoanimer_async.progress import ProgressEvent, ProgressHook, report
from photoanimer_async.result_files import ResultFolder


class Service(Protocol):
    """What the way needs of the client."""

    async def submit_photo(self, image_url: str, options: AnimationOptions, photo: Photo) -> TaskId:
        """Sends the submit, once."""
        ...

    async def wait(self, task_id: TaskId, *, timeout: float | None) -> TaskInfo:
        """Waits for the task's end; raises `TaskFailedError` on status 2."""
        ...

    async def download(
        self, info: TaskInfo, destination: Path, *, output_format: OutputFormat
    ) -> Path:
        """Saves the result."""
        ...


@define
class _Way:
    """How far one photo is, told to the hook at each step."""

    index: int
    request: AnimationRequest
    hook: ProgressHook | None
    state: State = State.PLANNED
    task_id: TaskId | None = None

    def begins(self) -> None:
        self._tell(None)

    def goes_on(self, event: Event) -> None:
        self.state = apply(self.state, event)
        self._tell(None)

    def ends(self, error: PhotoAnimerError) -> None:
        event = _event_of(self.state, error)
        if event is not None:
            self.state = apply(self.state, event)
        self._tell(error)

    def _tell(self, error: PhotoAnimerError | None) -> None:
        report(
            self.hook,
            ProgressEvent(self.index, self.request.photo, self.state, self.task_id, error),
        )


class Pipeline:
    """Takes photos the whole way.

    Args:
        service: submits and waits.
        host: gives local photos a URL.
        timeout: seconds to wait for one task, from its submit.
        hook: is told of every step.
    """

    def __init__(
        self,
        service: Service,
        host: ImageHost,
        *,
        timeout: float | None,
        hook: ProgressHook | None,
    ) -> None:
        self._service = service
        self._host = host
        self._timeout = timeout
        self._hook = hook

    async def run(
        self, index: int, request: AnimationRequest, folder: ResultFolder | None
    ) -> Outcome:
        """The outcome for one photo. Whatever this package's errors say ends up in it.

        Args:
            index: the photo's place in the batch.
            request: the photo, and how to animate it.
            folder: where the result goes; `None` if it is not to be downloaded.
        """
        way = _Way(index, request, self._hook)
        way.begins()
        try:
            animation = await self._walk(way, folder)
        except PhotoAnimerError as error:
            way.ends(error)
            return Outcome(index, request, way.task_id, None, error)
        return Outcome(index, request, way.task_id, animation)

    async def _walk(self, way: _Way, folder: ResultFolder | None) -> Animation:
        await check_photo(way.request.photo)
        if folder is None:
            return await self._animate(way)
        suffix = f".{way.request.options.output_format.value}"
        async with folder.claim(way.request.photo, suffix, name=way.request.name) as destination:
            animation = await self._animate(way)
            path = await self._service.download(
                animation.info, destination, output_format=way.request.options.output_format
            )
        way.goes_on(Event.SAVE)
        return evolve(animation, path=path)

    async def _animate(self, way: _Way) -> Animation:
        photo, options = way.request.photo, way.request.options
        async with published(self._host, photo) as image_url:
            way.goes_on(Event.SUBMIT)
            way.task_id = await self._service.submit_photo(image_url, options, photo)
            way.goes_on(Event.ACCEPT)
            accepted = time.monotonic()
            info = await self._service.wait(way.task_id, timeout=self._timeout)
        way.goes_on(Event.FINISH)
        return Animation(way.task_id, info, None, time.monotonic() - accepted)


def _event_of(state: State, error: PhotoAnimerError) -> Event | None:
    """What an error means for a photo in this state; `None` where the photo stays there."""
    match state, error:
        case State.SUBMITTING, AmbiguousSubmitError():
            return Event.LOSE
        case State.SUBMITTING, TransportError() | RateLimitedError() | ServiceUnavailableError():
            return Event.DEFER
        case ((State.PLANNED | State.SUBMITTING), _):
            return Event.REFUSE
        case State.SUBMITTED, TaskFailedError():
            return Event.FAIL
        case _:
            return None
