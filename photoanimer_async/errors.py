"""All errors of this package, under one root.

    PhotoAnimerError
    ├── InvalidRequestError (ValueError)       a value is not allowed; nothing was sent
    │   └── InvalidPhotoError                  the service would refuse the photo
    ├── PreparationError                       the photo could not be prepared; it may be valid
    ├── InvalidNotificationError (ValueError)  a posted body is not a notification
    ├── HostingError                           a local photo could not be given a URL
    ├── TransportError                         the service sent no answer
    │   ├── NotSentError                       no connection: nothing was sent
    │   └── NoAnswerError                      the request may have arrived; its answer is lost
    ├── UnexpectedResponseError                the answer does not follow the API page
    ├── ApiError                               the service answered with an error
    │   ├── AuthenticationError
    │   ├── InsufficientCreditsError
    │   ├── RateLimitedError
    │   ├── ServiceUnavailableError
    │   └── RefusedRequestError (InvalidRequestError)
    ├── AmbiguousSubmitError                   a submit may have been accepted and charged
    ├── TaskFailedError                        the task ended with status 2
    ├── WaitTimeoutError (TimeoutError)        the task did not end before the deadline
    ├── DownloadError                          the result exists but could not be saved
    ├── BudgetExceededError                    one more submit would exceed the spending limit
    ├── MachineShortageError                   this machine is short of disk, files or memory
    ├── NotSubmittedError                      the batch stopped before it submitted the photo
    ├── TooManyPendingError                    max_pending animations are already running
    └── JournalError                           the journal cannot be used
        └── JournalInUseError                  another process has locked the journal

A message names the photo, the task or the parameter. It never contains the API key, a token or
the query of a URL. Programs read the attributes; messages are for people.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from photoanimer_async.redaction import printable

if TYPE_CHECKING:
    from photoanimer_async.models import Evidence, Photo, TaskId, TaskInfo


class PhotoAnimerError(Exception):
    """The base class of every error that this package raises.

        try:
            animation = await client.animate("grandma.jpg", save_to="out/")
        except PhotoAnimerError as error:
            print(error)

    Errors can be pickled.

    Attributes:
        task_id: the task that was paid for before the error; `None` if none was. The text names
            it too. `client.attach(task_id)` returns to it.
    """

    task_id: "TaskId | None" = None
    _advice = " has been paid for: attach to it by its id"

    def __str__(self) -> str:
        text = super().__str__()
        if self.task_id is None or re.search(rf"task {re.escape(str(self.task_id))}\b", text):
            return text
        return f"{text} (task {self.task_id}{self._advice})"

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return _restored, (type(self), self.args, self.__dict__)


def _restored(
    kind: type[PhotoAnimerError], args: tuple[object, ...], attributes: dict[str, object]
) -> PhotoAnimerError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(attributes)
    return error


class InvalidRequestError(PhotoAnimerError, ValueError):
    """An argument has a value that is not allowed.

    Raised before anything is sent, so nothing was charged. Correct the value that the message
    names.
    """


class InvalidPhotoError(InvalidRequestError):
    """The service would refuse the photo.

    Raised when a photo is not found, is not a PNG, JPEG, BMP or WEBP, is damaged, or is too
    large or too small. Replace the photo, or pass `prepare=True` where the message suggests it.

    Attributes:
        photo: the photo's redacted URL, its path, or its size in bytes.
    """

    def __init__(self, message: str, *, photo: str) -> None:
        super().__init__(message)
        self.photo = photo


class PreparationError(PhotoAnimerError):
    """The photo could not be prepared or checked, for a reason outside the photo.

    Raised when the library that decodes its format is not installed, when there is no disk space
    for the converted copy, or when the server of the photo's URL does not answer. Nothing was
    submitted: remove the cause that the message names and run again.
    """


class InvalidNotificationError(PhotoAnimerError, ValueError):
    """A body is not a notification as the API page defines it (Interface 2).

    Raised by `parse_notification`; `NotificationReceiver` answers HTTP 400 in this case. Ignore
    the body: the task's state comes from `get_task_info`.
    """


class HostingError(PhotoAnimerError):
    """A local photo could not be given a URL that the service can fetch.

    Raised when an image host cannot be reached or refuses the upload, or when no host is
    configured for a service on another machine. Nothing was submitted for the photo.
    """


class TransportError(PhotoAnimerError):
    """The service sent no complete answer.

    See `NotSentError` and `NoAnswerError` for whether the request may have arrived.
    """


class NotSentError(TransportError):
    """No connection was made, so nothing was sent.

    Raised after the retries that `RetryPolicy` allows. Check `base_url` and the network; the
    call can be made again without risk of paying twice.

    Attributes:
        is_permanent: whether a setting has to be corrected first: the proxy does not accept its
            password, the service's certificate is not trusted, or the session is closed. Then
            there are no retries.
    """

    is_permanent: bool = False


class NoAnswerError(TransportError):
    """The request may have reached the service, but its answer was lost.

    Raised for a read (task info, balance) once retries are used up; call again. For a submit it
    is the `__cause__` of an `AmbiguousSubmitError`.
    """


class UnexpectedResponseError(PhotoAnimerError):
    """The answer does not follow the API page: HTML, a cut body, a missing field.

    Often a proxy answered, or `base_url` is wrong. The message names the place as a JSON path.

    Attributes:
        http_status: the HTTP status of the answer.
        retry_after: seconds from the `Retry-After` header, 0 to 86,400; `None` without one.
        body: the start of the answer's body, at most 500 characters, without secrets.
    """

    def __init__(
        self, message: str, *, http_status: int, retry_after: float | None = None, body: str = ""
    ) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.retry_after = retry_after
        self.body = body


class ApiError(PhotoAnimerError):
    """The service answered with an error.

    Raised as this class where the code is unknown, otherwise as one of its subclasses.

    Attributes:
        code: the envelope's `code`; `None` where the body was not an envelope.
        message: the envelope's `msg` without the API key and without queries of URLs; empty
            where there was none.
        request_id: the envelope's `requestId`, which newer APIs of the vendor send.
        http_status: the HTTP status of the answer (business errors come with 200).
        retry_after: seconds from the `Retry-After` header, 0 to 86,400; `None` without one.
        body: the start of the answer's body, at most 500 characters, without secrets; empty if
            the body was understood.
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
        body: str = "",
    ) -> None:
        text = f"code {code}" if code is not None else f"HTTP status {http_status}"
        if message:
            text += f": {printable(message)}"
        if request_id:
            text += f" (request {request_id})"
        if body:
            text += f", and a body that begins {printable(body)!r}"
        super().__init__(f"{operation}: the service answered with {text}")
        self.code = code
        self.message = message
        self.request_id = request_id
        self.http_status = http_status
        self.retry_after = retry_after
        self.body = body


class AuthenticationError(ApiError):
    """The service does not accept the API key. Check `api_key` and the account."""


class InsufficientCreditsError(ApiError):
    """The account has too few video seconds left.

    A batch stops submitting; top up the account, then resume the batch from its journal.
    """


class RateLimitedError(ApiError):
    """The service limits the rate of requests, and retries were refused too.

    Wait for `retry_after` seconds where it is set; lower `submit_rate`, `poll_rate` or
    `concurrency`.
    """


class ServiceUnavailableError(ApiError):
    """The service answered with an error envelope that it cannot serve now (HTTP 5xx).

    Call again later.
    """


class RefusedRequestError(ApiError, InvalidRequestError):
    """The service refuses this request or its photo.

    Raised for HTTP 400, 404, 413, 414, 415 and 422 and for the codes of unusable photos. Sending
    the same request again does not help.
    """

    _advice = ""  # a task that the service does not know may be a mistyped one


class AmbiguousSubmitError(PhotoAnimerError):
    """A submit was sent, and it is unknown whether the service accepted and charged it.

    This package never sends it again by itself, since that could pay for the same video twice.
    Check the account, then pass `resubmit_ambiguous` to submit such photos again.

    Attributes:
        photo: the photo as the caller passed it.
        image_url: the URL that was submitted for it.
        template: the template's number, 0 to 5.
        evidence: whether the service fetched the photo; `None` until the image host was asked.
    """

    def __init__(self, message: str, *, photo: "Photo", image_url: str, template: int) -> None:
        super().__init__(message)
        self.photo = photo
        self.image_url = image_url
        self.template = template
        self.evidence: Evidence | None = None


class TaskFailedError(PhotoAnimerError):
    """The task ended with status 2, for example because no person was detected (API page).

    Try another photo.

    Attributes:
        task_id: the task's id.
        info: the last getTaskInfo answer; `info.fail_code` and `info.fail_reason` where the
            service gives them.
    """

    def __init__(self, info: "TaskInfo") -> None:
        reason = info.fail_reason or "the service gives no reason; often no person was detected"
        code = f" (code {info.fail_code})" if info.fail_code is not None else ""
        super().__init__(f"task {info.task_id} failed: {reason}{code}")
        self.task_id = info.task_id
        self.info = info


class WaitTimeoutError(PhotoAnimerError, TimeoutError):
    """The task did not end before the deadline.

    The task has been paid for and keeps running: call `client.wait` or `client.attach` with its
    id again.

    Attributes:
        task_id: the task's id.
        timeout: the timeout in seconds.

    `__cause__` is the error of the last poll; `None` if there was none.
    """

    def __init__(
        self, task_id: "TaskId", timeout: float, last: PhotoAnimerError | None = None
    ) -> None:
        state = "had not ended" if last is None else f"could not be polled ({last})"
        super().__init__(
            f"task {task_id} {state} after {round(timeout, 2):g} s; "
            "it has been paid for: wait for it again by its id"
        )
        self.task_id = task_id
        self.timeout = timeout
        self.__cause__ = last


class DownloadError(PhotoAnimerError):
    """A finished result could not be downloaded or saved.

    The task has been paid for: attach to it again with `client.attach`, which also gets a new
    link.

    Attributes:
        expired: whether the result's link has expired, so that a new one is needed.
    """

    def __init__(self, message: str, *, expired: bool = False) -> None:
        super().__init__(message)
        self.expired = expired


class BudgetExceededError(PhotoAnimerError):
    """A submit was not sent, because it would exceed the batch's spending limit.

    Attributes:
        limit: video seconds that may be spent.
        used: video seconds spent, or reserved by submits in flight.
        cost: video seconds that the submit would cost.
    """

    def __init__(self, *, limit: float, used: float, cost: float) -> None:
        # To the hundredth: `g` alone rounds from 10,000 on.
        more, most, spent = (f"{round(each, 2):.15g}" for each in (cost, limit, used))
        super().__init__(
            f"{more} more video seconds would exceed the limit of {most}: "
            f"{spent} are spent or reserved"
        )
        self.limit = limit
        self.used = used
        self.cost = cost


class MachineShortageError(PhotoAnimerError):
    """This machine is short of disk space, open files or memory; nothing is wrong with a photo.

    A batch stops submitting, so that nothing is paid for that cannot be saved. Do what the message
    says and run the same batch again: with a journal, it finishes the rest and pays for nothing
    twice.
    """


class NotSubmittedError(PhotoAnimerError):
    """The batch stopped before it submitted this photo. Nothing is wrong with the photo.

    `__cause__` is the error that stopped the batch; `None` where the caller stopped it.
    """


class TooManyPendingError(PhotoAnimerError):
    """The client already runs `max_pending` animations. Nothing was sent.

    Try again later; a web app answers its visitor with HTTP 503.

    Attributes:
        limit: animations that may be pending at once.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"{limit} animations are pending, and max_pending allows no more: try again later"
        )
        self.limit = limit


class JournalError(PhotoAnimerError):
    """The journal cannot be read or written, or has the format of another version.

    Raised before anything is submitted that could not be recorded.
    """


class JournalInUseError(JournalError):
    """The journal is open, here or in another process. Wait until it is closed, or use another."""
