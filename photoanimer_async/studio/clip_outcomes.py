"""How a clip ends: its last stage, and what went wrong in words for people.

The exact error is for the log. The page shows what it means, and what to do next.
"""

import logging
import time

from attrs import evolve

from photoanimer_async import (
    AmbiguousSubmitError,
    Animation,
    AuthenticationError,
    DownloadError,
    Evidence,
    InsufficientCreditsError,
    InvalidPhotoError,
    MachineShortageError,
    NotSentError,
    NotSubmittedError,
    PhotoAnimerError,
    RateLimitedError,
    TaskFailedError,
    TaskId,
)
from photoanimer_async.photos.shortage import find_shortage
from photoanimer_async.studio.album import Clip, Stage
from photoanimer_async.studio.refusal_words import shortage_in_words

_log = logging.getLogger(__name__)

RESPONSE_LOST = (
    "The service's response was lost. It may have accepted and charged the task: check your "
    "account before you try again."
)
_RESPONSE_LOST_AFTER_FETCH = (
    "The service accepted the task, but its response was lost, so the video cannot be fetched "
    "from here: check your account."
)
_PAID = "Trying again costs nothing: this video is paid for."


def finished(clip: Clip, animation: Animation) -> Clip:
    """Return a clip that has its video."""
    video = None if animation.path is None else animation.path.name
    return evolve(
        clip,
        stage=Stage.DONE,
        video=video,
        error=None,
        task=None,
        stopping=False,
        ended=time.time(),
    )


def failed(clip: Clip, error: PhotoAnimerError, task: TaskId | None = None) -> Clip:
    """Return a clip that ended without its video.

    Args:
        clip: the clip.
        error: why.
        task: its task, if it has been paid for and has not failed.
    """
    _log.warning("clip %s: %s", clip.id, error)
    clip = evolve(clip, stopping=False, ended=time.time())
    if isinstance(error, AmbiguousSubmitError):
        fetched = error.evidence is Evidence.FETCHED
        text = _RESPONSE_LOST_AFTER_FETCH if fetched else RESPONSE_LOST
        return evolve(clip, stage=Stage.UNCLEAR, error=text, repeatable=not fetched)
    if isinstance(error, TaskFailedError):
        return evolve(clip, stage=Stage.FAILED, error=failure_text(error), task=None)
    task = task or error.task_id or clip.task
    text = failure_text(error)
    return evolve(
        clip, stage=Stage.FAILED, error=text if task is None else f"{text} {_PAID}", task=task
    )


def unclear(clip: Clip) -> Clip:
    """Return a clip of which only its journal knows that it may have been charged."""
    return evolve(clip, stage=Stage.UNCLEAR, error=RESPONSE_LOST, stopping=False)


def failure_text(error: PhotoAnimerError) -> str:
    """Return one or two sentences for the page."""
    match error:
        case TaskFailedError():
            text = error.info.fail_reason or (
                "The service gave no reason; often it has found no face"
            )
        case InvalidPhotoError():
            text = str(error).removeprefix(f"{error.photo}: ")
        case NotSubmittedError(__cause__=PhotoAnimerError() as cause):
            return f"Not sent. {failure_text(cause)}"
        case InsufficientCreditsError():
            text = "The account has too few video seconds; nothing was charged"
        case AuthenticationError():
            text = "The service does not accept the API key"
        case NotSentError():
            text = "The service could not be reached"
        case RateLimitedError():
            text = "The service is too busy at the moment"
        case DownloadError():
            text = "The video was made, but could not be fetched"
        case MachineShortageError():
            return shortage_in_words(find_shortage(error) or error)
        case _:
            text = str(error.args[0] if error.args else error)
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
