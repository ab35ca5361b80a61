"""Progress of jobs: one hook, called with one frozen event."""

import logging
from collections.abc import Callable, Coroutine
from typing import TypeAlias

from attrs import field, frozen

from photoanimer_async.errors import PhotoAnimerError
from photoanimer_async.jobs.lifecycle import State
from photoanimer_async.models import Photo, TaskId
from photoanimer_async.photos.cancellation import ends_process
from photoanimer_async.redaction import shown_error, shown_photo

_log = logging.getLogger(__name__)


@frozen
class ProgressEvent:
    """A step of one photo's job.

    Attributes:
        index: the photo's place in the batch, from 0.
        photo: the photo, as it was passed in.
        state: how far its job is.
        task_id: its task, once the service has accepted it.
        error: why the job ended in this state; `None` otherwise.
    """

    index: int
    photo: Photo = field(repr=shown_photo)
    state: State
    task_id: TaskId | None = None
    error: PhotoAnimerError | None = None


ProgressHook: TypeAlias = Callable[[ProgressEvent], None]
"""Called on the event loop, a plain function; must not block. An exception that it raises is logged
and ignored."""


def report(hook: ProgressHook, event: ProgressEvent) -> None:
    """Call the hook; log what it raises, so that a faulty hook costs no result."""
    try:
        result: object = hook(event)  # type: ignore[func-returns-value] # see below
        if isinstance(result, Coroutine):
            result.close()
            _log.error("the progress hook is a coroutine function, which is never awaited")
    except BaseException as error:  # it is the user's code
        if ends_process(error):
            raise
        fault = shown_error(error)
        _log.exception("the progress hook failed at photo %d", event.index, exc_info=fault)
