"""What came of a request: the state of a task, the account, a finished animation."""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any, TypeAlias

from attrs import field, frozen

from photoanimer_async.errors import PhotoAnimerError
from photoanimer_async.models.notebook_html import html_of
from photoanimer_async.models.requests import AnimationRequest, Photo, shown_optional_url

TaskId: TypeAlias = int | str
"""A task's id, exactly as the service sent it: today a number of 15 digits."""

Location: TypeAlias = Path | str
"""Where results are saved: the path of a file or folder, or the URL of an object or prefix in an
object store."""


class TaskStatus(IntEnum):
    """The state of a task (API page, Interface 3).

    Any number other than 1 and 2 is read as `PROCESSING`, since other APIs of the vendor send
    more numbers for queued tasks. `TaskInfo.raw` keeps the number as it was sent.
    """

    PROCESSING = 0
    FINISHED = 1
    FAILED = 2


class Evidence(StrEnum):
    """What the image host knows about a submit whose answer was lost.

    Each submit uses a URL of its own, so a fetch of that URL proves that the submit arrived. No
    fetch proves less: once the photo is withdrawn no video can be made from it, but the submit
    may still have been charged.
    """

    NONE = "nothing"
    """The host does not count fetches, or did not publish the URL."""
    FETCHED = "fetched"
    """The photo was fetched: the submit arrived."""
    NOT_FETCHED = "not fetched"
    """The photo was withdrawn before anybody fetched it."""


@frozen
class TaskInfo:
    """A task's state: the service's answer to getTaskInfo (API page, Interface 3).

    Attributes:
        task_id: the task's id.
        status: processing, finished or failed.
        result_url: link to the video once finished. Links expire: download at once.
        gif_url: link to the GIF, where one was requested.
        fail_code: the service's code for the failure, where it gives one.
        fail_reason: the service's text for the failure, where it gives one.
        percentage: progress from 0 to 100, where the service gives it.
        raw: the answer's `data` as it was sent, with all fields; only halves of surrogate pairs,
            which no file or database takes, are replaced by U+FFFD.
    """

    task_id: TaskId
    status: TaskStatus
    result_url: str | None = field(default=None, repr=shown_optional_url)
    gif_url: str | None = field(default=None, repr=shown_optional_url)
    fail_code: int | str | None = None
    fail_reason: str | None = None
    percentage: float | None = None
    raw: Mapping[str, Any] = field(factory=dict, repr=False, eq=False)

    @property
    def ended(self) -> bool:
        """Whether the task is finished or failed, so that its status no longer changes."""
        return self.status is not TaskStatus.PROCESSING


@frozen
class Balance:
    """What is left on the account: the service's answer to `mySubscription`.

    Every field is `None` where the service leaves it out.

    Attributes:
        video: video seconds.
        month: credits of the monthly subscription.
        image: credits for images.
        month_start: start of the month as the service writes it (`2020-01-01 00:00:00`).
        month_expire: end of the month, in the same form.
    """

    video: float | None = None
    month: float | None = None
    image: float | None = None
    month_start: str | None = None
    month_expire: str | None = None


@frozen
class Animation:
    """A finished animation.

        animation = await client.animate("grandma.jpg", save_to="out/")
        print(animation.path)

    Attributes:
        task_id: the id of the task that made it.
        info: the last getTaskInfo answer, with the links.
        path: the saved file; `None` without `save_to`, or with an object store.
        seconds: seconds between the submit and the end of the task, measured by this process.
        url: the saved object, such as `s3://bucket/grandma.mp4`; `None` with a folder.
    """

    task_id: TaskId
    info: TaskInfo
    path: Path | None
    seconds: float
    url: str | None = None

    @property
    def place(self) -> Location | None:
        """Where the result was saved: `path` or `url`; `None` if it was not saved."""
        return self.path if self.path is not None else self.url

    def _repr_html_(self) -> str | None:
        """Return the saved video or GIF as HTML, with which notebooks show the animation.

        The file is part of the HTML, so that a notebook shows it wherever it is opened. `None`,
        for which notebooks show the text, if there is no file, or one of more than 20 MB.
        """
        return None if self.path is None else html_of(self.path)


@frozen
class Outcome:
    """The result of one photo of a batch: an animation or an error.

        async for outcome in client.animate_many(photos, save_to="out/"):
            print(outcome.photo, outcome.animation or outcome.error)

    Attributes:
        index: the photo's position in the batch's input, from 0.
        request: the photo and its options.
        task_id: the task's id if the submit was accepted: the photo has been paid for.
        animation: the result; `None` if there is an error.
        error: why there is no result; `None` if there is one.
    """

    index: int
    request: AnimationRequest
    task_id: TaskId | None = None
    animation: Animation | None = None
    error: PhotoAnimerError | None = None

    @property
    def photo(self) -> Photo:
        """The photo as the caller passed it."""
        return self.request.photo

    @property
    def ok(self) -> bool:
        """Whether the photo was animated."""
        return self.animation is not None

    def unwrap(self) -> Animation:
        """Return the animation, or raise the error.

        Raises:
            PhotoAnimerError: the photo was not animated.
        """
        if self.animation is None:
            raise self.error or PhotoAnimerError("the outcome is empty")
        return self.animation
