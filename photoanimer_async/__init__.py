"""Turn face photos into moving videos from asyncio.

    async with PhotoAnimerClient() as client:
        animation = await client.animate("grandma.jpg", template=1, save_to="out/")

The client speaks the Photo Animer API; `photoanimer_async.service` is a local service that
speaks the same API. What can be imported from here is what is kept stable.

Names are loaded when they are first used, so that a program that needs a few of them waits for
no more.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from photoanimer_async.client import DEFAULT_BASE_URL, PhotoAnimerClient
    from photoanimer_async.core.budget import Estimate, estimate
    from photoanimer_async.core.lifecycle import State
    from photoanimer_async.core.polling import (
        AdaptivePolling,
        ExponentialBackoff,
        FixedInterval,
        PollPolicy,
    )
    from photoanimer_async.core.retry import RetryPolicy
    from photoanimer_async.errors import (
        AmbiguousSubmitError,
        ApiError,
        AuthenticationError,
        BudgetExceededError,
        DownloadError,
        HostingError,
        InsufficientCreditsError,
        InvalidNotificationError,
        InvalidPhotoError,
        InvalidRequestError,
        JournalError,
        JournalInUseError,
        NoAnswerError,
        NotSentError,
        NotSubmittedError,
        PhotoAnimerError,
        PreparationError,
        RateLimitedError,
        RefusedRequestError,
        ServiceUnavailableError,
        TaskFailedError,
        TooManyPendingError,
        TransportError,
        UnexpectedResponseError,
        WaitTimeoutError,
    )
    from photoanimer_async.hosting import ImageHost, LocalImageHost, ObjectStoreHost
    from photoanimer_async.models import (
        Animation,
        AnimationOptions,
        AnimationRequest,
        Balance,
        Evidence,
        Outcome,
        OutputFormat,
        Photo,
        TaskId,
        TaskInfo,
        TaskStatus,
        Template,
    )
    from photoanimer_async.notifications import (
        NotificationReceiver,
        TaskNotification,
        parse_notification,
    )
    from photoanimer_async.photos import check_photo
    from photoanimer_async.progress import ProgressEvent, ProgressHook
    from photoanimer_async.rates import RateLimiter
    from photoanimer_async.scheduler import PollScheduler

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_BASE_URL",
    "AdaptivePolling",
    "AmbiguousSubmitError",
    "Animation",
    "AnimationOptions",
    "AnimationRequest",
    "ApiError",
    "AuthenticationError",
    "Balance",
    "BudgetExceededError",
    "DownloadError",
    "Estimate",
    "Evidence",
    "ExponentialBackoff",
    "FixedInterval",
    "HostingError",
    "ImageHost",
    "InsufficientCreditsError",
    "InvalidNotificationError",
    "InvalidPhotoError",
    "InvalidRequestError",
    "JournalError",
    "JournalInUseError",
    "LocalImageHost",
    "NoAnswerError",
    "NotSentError",
    "NotSubmittedError",
    "NotificationReceiver",
    "ObjectStoreHost",
    "Outcome",
    "OutputFormat",
    "Photo",
    "PhotoAnimerClient",
    "PhotoAnimerError",
    "PollPolicy",
    "PollScheduler",
    "PreparationError",
    "ProgressEvent",
    "ProgressHook",
    "RateLimitedError",
    "RateLimiter",
    "RefusedRequestError",
    "RetryPolicy",
    "ServiceUnavailableError",
    "State",
    "TaskFailedError",
    "TaskId",
    "TaskInfo",
    "TaskNotification",
    "TaskStatus",
    "Template",
    "TooManyPendingError",
    "TransportError",
    "UnexpectedResponseError",
    "WaitTimeoutError",
    "check_photo",
    "estimate",
    "parse_notification",
]

_HOMES = (
    "errors",
    "models",
    "progress",
    "photos",
    "core.budget",
    "core.lifecycle",
    "core.retry",
    "core.polling",
    "rates",
    "scheduler",
    "hosting",
    "notifications",
    "client",
)
"""Where the names are; each module needs at most those before it."""

if not TYPE_CHECKING:  # or a type checker would take any name for one that is there

    def __getattr__(name: str) -> object:
        if name in __all__:
            for home in _HOMES:
                found = vars(import_module(f"{__name__}.{home}"))
                if name in found:
                    return globals().setdefault(name, found[name])
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
