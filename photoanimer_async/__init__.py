"""Turn face photos into moving videos from asyncio.

    async with PhotoAnimerClient() as client:
        animation = await client.animate("grandma.jpg", template=1, save_to="out/")

The client speaks the Photo Animer API; `photoanimer_async.service` is a local service with the same
API. The names exported here are the stable public API.

Each name is imported when it is first used, so that a program loads only what it needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from photoanimer_async.api.rate_limits import RateLimiter
    from photoanimer_async.api.retry import RetryPolicy
    from photoanimer_async.client import DEFAULT_BASE_URL, PhotoAnimerClient
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
        MachineShortageError,
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
    from photoanimer_async.jobs.budget import Estimate, estimate
    from photoanimer_async.jobs.lifecycle import State
    from photoanimer_async.jobs.progress import ProgressEvent, ProgressHook
    from photoanimer_async.models import (
        Animation,
        AnimationOptions,
        AnimationRequest,
        Balance,
        Evidence,
        Outcome,
        OutputFormat,
        Photo,
        PhotoUrl,
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
    from photoanimer_async.photos.check import check_photo
    from photoanimer_async.polling.adaptive import AdaptivePolling
    from photoanimer_async.polling.policies import (
        ExponentialBackoff,
        FixedInterval,
        PollPolicy,
    )
    from photoanimer_async.polling.scheduler import PollScheduler
    from photoanimer_async.storage.image_host import ImageHost
    from photoanimer_async.storage.local_host import LocalImageHost
    from photoanimer_async.storage.object_store_host import ObjectStoreHost

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
    "MachineShortageError",
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
    "PhotoUrl",
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

_MODULE_OF = {
    "DEFAULT_BASE_URL": "client",
    "AdaptivePolling": "polling.adaptive",
    "AmbiguousSubmitError": "errors",
    "Animation": "models",
    "AnimationOptions": "models",
    "AnimationRequest": "models",
    "ApiError": "errors",
    "AuthenticationError": "errors",
    "Balance": "models",
    "BudgetExceededError": "errors",
    "DownloadError": "errors",
    "Estimate": "jobs.budget",
    "Evidence": "models",
    "ExponentialBackoff": "polling.policies",
    "FixedInterval": "polling.policies",
    "HostingError": "errors",
    "ImageHost": "storage.image_host",
    "InsufficientCreditsError": "errors",
    "InvalidNotificationError": "errors",
    "InvalidPhotoError": "errors",
    "InvalidRequestError": "errors",
    "JournalError": "errors",
    "JournalInUseError": "errors",
    "MachineShortageError": "errors",
    "LocalImageHost": "storage.local_host",
    "NoAnswerError": "errors",
    "NotSentError": "errors",
    "NotSubmittedError": "errors",
    "NotificationReceiver": "notifications",
    "ObjectStoreHost": "storage.object_store_host",
    "Outcome": "models",
    "OutputFormat": "models",
    "Photo": "models",
    "PhotoAnimerClient": "client",
    "PhotoAnimerError": "errors",
    "PhotoUrl": "models",
    "PollPolicy": "polling.policies",
    "PollScheduler": "polling.scheduler",
    "PreparationError": "errors",
    "ProgressEvent": "jobs.progress",
    "ProgressHook": "jobs.progress",
    "RateLimitedError": "errors",
    "RateLimiter": "api.rate_limits",
    "RefusedRequestError": "errors",
    "RetryPolicy": "api.retry",
    "ServiceUnavailableError": "errors",
    "State": "jobs.lifecycle",
    "TaskFailedError": "errors",
    "TaskId": "models",
    "TaskInfo": "models",
    "TaskNotification": "notifications",
    "TaskStatus": "models",
    "Template": "models",
    "TooManyPendingError": "errors",
    "TransportError": "errors",
    "UnexpectedResponseError": "errors",
    "WaitTimeoutError": "errors",
    "check_photo": "photos.check",
    "estimate": "jobs.budget",
    "parse_notification": "notifications",
}
"""The module that defines each public name."""


if not TYPE_CHECKING:  # a type checker would accept any name otherwise

    def __getattr__(name: str) -> object:
        if name in _MODULE_OF:
            module = import_module(f"{__name__}.{_MODULE_OF[name]}")
            return globals().setdefault(name, getattr(module, name))
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
