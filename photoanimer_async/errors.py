"""Every error of this package, under one root.

    PhotoAnimerError
    ├── InvalidRequestError (ValueError)     what was asked for can not be sent; nothing was
    │   └── InvalidPhotoError                the photo is not one that the service takes
    ├── PreparationError                     a photo could not be got ready; it may be fine
    ├── InvalidNotificationError (ValueError)  what was posted is no notification
    ├── HostingError                         a local photo could not be given a URL
    ├── TransportError                       no answer came
    │   ├── NotSentError                     the connection was never made: nothing was sent
    │   └── NoAnswerError                    bytes may have left, the answer was lost
    ├── UnexpectedResponseError              an answer came that the API page does not allow
    ├── ApiError                             the service answered with an error of its own
    │   ├── AuthenticationError
    │   ├── InsufficientCreditsError
    │   ├── RateLimitedError
    │   ├── ServiceUnavailableError
    │   └── RefusedRequestError (InvalidRequestError)
    ├── AmbiguousSubmitError                 a submit may or may not have been accepted
    ├── TaskFailedError                      the task ended with status 2
    ├── WaitTimeoutError (TimeoutError)      the task had not ended by the deadline
    ├── DownloadError                        the result is there, but could not be saved
    ├── BudgetExceededError                  one more submit would pass the limit that was set
    ├── NotSubmittedError                    the batch stopped before it was this photo's turn
    ├── TooManyPendingError                  as much is under way as the client was allowed to
    └── JournalError                         the journal can not be used
        └── JournalInUseError                because another process is at work with it

Messages are written for the person who reads them. They name the photo, the task or the
parameter, and never hold the API key, a token, or the query of a URL. What a program needs
is in attributes.
"""

from typing import TYPE_CHECKING

from photoanimer_async.redaction import printable

if TYPE_CHECKING:
    from photoanimer_async.models import Evidence, Photo, TaskId, TaskInfo


class PhotoAnimerError(Exception):
    """The root of all errors that this package raises."""


class InvalidRequestError(PhotoAnimerError, ValueError):
    """What was asked for is not allowed. Raised before anything is sent."""


class InvalidPhotoError(InvalidRequestError):
    """A photo that the service would refuse.

    Attributes:
        photo: the photo's name, as far as it may be shown.
    """

    def __init__(self, message: str, *, photo: str) -> None:
        super().__init__(message)
        self.photo = photo


class PreparationError(PhotoAnimerError):
    """A photo could not be got ready, which need not be its own fault.

    A library to read it with is missing, or space for what was made of it; or its host, which
    was asked for it, does not answer.
    """


class InvalidNotificationError(PhotoAnimerError, ValueError):
    """What was posted to a receiver is no notification that the API page knows."""


class HostingError(PhotoAnimerError):
    """A local photo could not be given a URL that the service can fetch."""


class TransportError(PhotoAnimerError):
    """No answer came from the service."""


class NotSentError(TransportError):
    """The connection was never made, so that nothing was sent."""


class NoAnswerError(TransportError):
    """The request may have reached the service, but its answer was lost."""


class UnexpectedResponseError(PhotoAnimerError):
    """An answer that the API page does not allow: HTML, half a body, a missing field.

    Attributes:
        http_status: the status of the HTTP answer.
        retry_after: seconds that the service asks to be left alone, if it said so.
    """

    def __init__(self, message: str, *, http_status: int, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.retry_after = retry_after


class ApiError(PhotoAnimerError):
    """The service answered with an error of its own.

    Attributes:
        code: the envelope's `code`; `None` where the answer was no envelope.
        message: the envelope's `msg`; empty where there was none. Word for word, but for the
            API key and the queries of URLs, which are left out.
        request_id: the envelope's `requestId`, which the vendor's newer APIs send.
        http_status: the status of the HTTP answer (business errors come with 200).
        retry_after: seconds that the service asks to be left alone, if it said so.
    """

    def __init__(
        self,
        *,
        operation: str,
        code: int | None,
        message: str,
        http_status: int,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        said = f"code {code}" if code is not None else f"HTTP status {http_status}"
        if message:
            said += f": {printable(message)}"
        if request_id:
            said += f" (request {request_id})"
        super().__init__(f"{operation}: the service answered with {said}")
        self.code = code
        self.message = message
        self.request_id = request_id
        self.http_status = http_status
        self.retry_after = retry_after


class AuthenticationError(ApiError):
    """The API key was not accepted."""


class InsufficientCreditsError(ApiError):
    """The account has too few video seconds left."""


class RateLimitedError(ApiError):
    """Too many requests; `retry_after` says how long to wait, if the service did."""


class ServiceUnavailableError(ApiError):
    """The service says, in an envelope of its own, that it can not serve now (HTTP 5xx)."""


class RefusedRequestError(ApiError, InvalidRequestError):
    """The service found the request itself wrong (HTTP 400, 404, 413, 414, 415 or 422)."""


class AmbiguousSubmitError(PhotoAnimerError):
    """A submit left, and nobody knows whether the service accepted (and charged) it.

    It is never sent again by this package: doing so could pay for the same video twice.

    Attributes:
        photo: the photo, as it was handed in.
        image_url: the URL that was submitted for it.
        template: the template's number.
        evidence: what the image host saw of the service; set when it is known.
    """

    def __init__(self, message: str, *, photo: "Photo", image_url: str, template: int) -> None:
        super().__init__(message)
        self.photo = photo
        self.image_url = image_url
        self.template = template
        self.evidence: Evidence | None = None


class TaskFailedError(PhotoAnimerError):
    """The task ended with status 2, for instance because no person was found in the photo.

    Attributes:
        task_id: the task.
        info: the service's last word on it; `info.fail_code` and `info.fail_reason` where
            the service gives them.
    """

    def __init__(self, info: "TaskInfo") -> None:
        reason = info.fail_reason or "the service gives no reason; often no person was detected"
        code = f" (code {info.fail_code})" if info.fail_code is not None else ""
        super().__init__(f"task {info.task_id} failed: {reason}{code}")
        self.task_id = info.task_id
        self.info = info


class WaitTimeoutError(PhotoAnimerError, TimeoutError):
    """The task had not ended by the deadline. It goes on, and can be waited for again.

    Attributes:
        task_id: the task.
        timeout: seconds that were waited.
    """

    def __init__(self, task_id: "TaskId", timeout: float) -> None:
        super().__init__(
            f"task {task_id} was still processing after {timeout:g} s; "
            "it has been paid for: wait for it again by its id"
        )
        self.task_id = task_id
        self.timeout = timeout


class DownloadError(PhotoAnimerError):
    """A finished result could not be saved.

    Attributes:
        expired: whether the link no longer holds, so that a new one is to be asked for.
    """

    def __init__(self, message: str, *, expired: bool = False) -> None:
        super().__init__(message)
        self.expired = expired


class BudgetExceededError(PhotoAnimerError):
    """A submit was not made, as it would have passed the limit that was set.

    Attributes:
        limit: video seconds that may be spent.
        used: video seconds spent, or reserved by submits under way.
        cost: video seconds of the submit that was not made.
    """

    def __init__(self, *, limit: float, used: float, cost: float) -> None:
        super().__init__(
            f"{cost:g} more video seconds would pass the limit of {limit:g}: "
            f"{used:g} are spent or reserved"
        )
        self.limit = limit
        self.used = used
        self.cost = cost


class NotSubmittedError(PhotoAnimerError):
    """The batch stopped before it was this photo's turn. Nothing is wrong with the photo.

    What stopped it, if it was not the caller, is the error's `__cause__`.
    """


class TooManyPendingError(PhotoAnimerError):
    """So many animations are pending that no more are taken. Nothing was sent.

    A web app answers its visitor with HTTP 503.

    Attributes:
        limit: how many may be pending.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"{limit} animations are pending, and max_pending allows no more: try again later"
        )
        self.limit = limit


class JournalError(PhotoAnimerError):
    """The journal can not be read or written, or is none of this version."""


class JournalInUseError(JournalError):
    """Another process is at work with the journal. It may be free later."""
