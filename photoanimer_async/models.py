"""What is asked for, and what comes back: frozen values, checked when they are made."""

import os
from collections.abc import Mapping
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from attrs import field, frozen
from attrs.converters import optional

from photoanimer_async.errors import InvalidRequestError, PhotoAnimerError
from photoanimer_async.redaction import printable, shown_photo, shown_url

Photo: TypeAlias = str | os.PathLike[str] | bytes
"""A face photo: an http(s) URL, the path of a file, or the file's content."""

TaskId: TypeAlias = int | str
"""A task's id, carried as the service gave it and never calculated with."""

Location: TypeAlias = Path | str
"""Where a result is, or is to be: a file, or the URL of an object in an object store. Of where
results go: a folder, or the URL of a part of an object store."""

_E = TypeVar("_E", bound=Enum)


class TaskStatus(IntEnum):
    """How far a task is (API page, Interface 3).

    The vendor's sibling APIs send other numbers for tasks in a queue: whatever is neither
    1 nor 2 is `PROCESSING` here, and stays as it came in `TaskInfo.raw`.
    """

    PROCESSING = 0
    FINISHED = 1
    FAILED = 2


class Template(IntEnum):
    """An expression template by its number, 0 to 5 (API page, Interface 1)."""

    T0 = 0
    T1 = 1
    T2 = 2
    T3 = 3
    T4 = 4
    T5 = 5

    @property
    def seconds(self) -> float:
        """The video seconds that one task with this template costs (API page, Price)."""
        return _SECONDS[self]


_SECONDS = {
    Template.T0: 3.13,
    Template.T1: 7.13,
    Template.T2: 2.13,
    Template.T3: 6.75,
    Template.T4: 4.38,
    Template.T5: 3.75,
}


class OutputFormat(StrEnum):
    """What to make of the photo: a video, or a video and a GIF (API page, Interface 1)."""

    MP4 = "mp4"
    GIF = "gif"


def _one_of(kind: type[_E], name: str, value: object) -> _E:
    try:
        if isinstance(value, bool):
            raise ValueError  # noqa: TRY301, TRY004 - True is no template, though it equals 1
        return kind(value)
    except ValueError:
        allowed = ", ".join(str(member.value) for member in kind)
        raise InvalidRequestError(
            f"{name} is {printable(repr(value))}; allowed are {allowed}"
        ) from None


def _to_template(value: object) -> Template:
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    return _one_of(Template, "template", number)


def _to_output_format(value: object) -> OutputFormat:
    return _one_of(OutputFormat, "output_format", value)


def _shown_optional_url(url: str | None) -> str:
    return "None" if url is None else repr(shown_url(url))


class Evidence(StrEnum):
    """What is known of a submit whose answer was lost, from the host of its photo.

    The URL of a published photo is made for one submit and told to nobody else, so that a
    fetch of it proves that this submit arrived. That it was not fetched proves less: once the
    photo has been withdrawn no video can come of it, but it may have been charged.
    """

    NONE = "nothing"
    """The host does not count fetches, or the URL is not one of its own."""
    FETCHED = "fetched"
    """The service fetched the photo: the submit arrived."""
    NOT_FETCHED = "not fetched"
    """The photo had not been fetched when it was withdrawn."""


@frozen(kw_only=True)
class AnimationOptions:
    """How a photo is to be animated.

    Attributes:
        template: the expression, 0 to 5.
        output_format: `mp4`, or `gif` for a GIF beside the video.
        voice_url: URL of a sound for the mouth to follow; template 0 only (API page).
        voice_seconds: how long that sound is, for reckoning what it costs; it is not sent.
        voice: path of a sound file in place of `voice_url`; it is given a URL as a local photo is.

    Raises:
        InvalidRequestError: a value that the API page does not allow.
    """

    template: Template = field(default=Template.T1, converter=_to_template)
    output_format: OutputFormat = field(default=OutputFormat.MP4, converter=_to_output_format)
    voice_url: str | None = field(default=None, repr=_shown_optional_url)
    voice_seconds: float | None = None
    voice: Path | None = field(default=None, converter=optional(Path))

    def __attrs_post_init__(self) -> None:
        if self.voice_url is not None and self.voice is not None:
            raise InvalidRequestError("voice and voice_url exclude each other: both name a sound")
        if self.speaks and self.template is not Template.T0:
            name = "voice" if self.voice_url is None else "voice_url"
            raise InvalidRequestError(
                f"{name} goes with template 0 only, not with template {self.template.value}"
            )
        if self.voice_seconds is not None and not 0 < self.voice_seconds < float("inf"):
            raise InvalidRequestError(
                f"voice_seconds must be above 0, not {printable(repr(self.voice_seconds))}"
            )

    @property
    def speaks(self) -> bool:
        """Whether the mouth follows a sound, wherever that is."""
        return self.voice_url is not None or self.voice is not None


@frozen
class AnimationRequest:
    """One photo of a batch with options of its own.

    Attributes:
        photo: URL, path or content.
        options: how to animate it.
        name: what to call the result, without a suffix; by default it is named after the photo.
    """

    photo: Photo = field(repr=shown_photo)
    options: AnimationOptions = field(factory=AnimationOptions)
    name: str | None = None


@frozen
class TaskInfo:
    """The service's answer to getTaskInfo (API page, Interface 3).

    Attributes:
        task_id: the task.
        status: how far it is.
        result_url: the video, once finished. Links expire: download at once.
        gif_url: the GIF, where one was asked for.
        fail_code: the service's number for why the task failed, where it gives one.
        fail_reason: the same in words.
        percentage: progress from 0 to 100, where the service gives it.
        raw: the answer's `data` as it came, with whatever else was in it.
    """

    task_id: TaskId
    status: TaskStatus
    result_url: str | None = field(default=None, repr=_shown_optional_url)
    gif_url: str | None = field(default=None, repr=_shown_optional_url)
    fail_code: int | str | None = None
    fail_reason: str | None = None
    percentage: float | None = None
    raw: Mapping[str, Any] = field(factory=dict, repr=False, eq=False)

    @property
    def ended(self) -> bool:
        """Whether the status is final: finished or failed."""
        return self.status is not TaskStatus.PROCESSING


@frozen
class Balance:
    """What is left on the account (`mySubscription`).

    Attributes:
        video: video seconds; `None` where the service leaves it out.
        month: credits of the monthly subscription.
        image: credits for images.
        month_start: when the month began, as the service writes it.
        month_expire: when the month ends.
    """

    video: float | None = None
    month: float | None = None
    image: float | None = None
    month_start: str | None = None
    month_expire: str | None = None


@frozen
class Animation:
    """A photo that came alive.

    Attributes:
        task_id: the task that made it.
        info: the service's last word on the task, with the links.
        path: the file that the result was saved as; `None` if it was not asked to be, or was
            saved to an object store.
        seconds: from the submit to the end of the task, as seen from here.
        url: the object that the result was saved as, such as `s3://bucket/grandma.mp4`.
    """

    task_id: TaskId
    info: TaskInfo
    path: Path | None
    seconds: float
    url: str | None = None

    @property
    def place(self) -> Location | None:
        """Where the result was saved: `path`, or else `url`."""
        return self.path if self.path is not None else self.url


@frozen
class Outcome:
    """How one photo of a batch ended: with an animation or with an error.

    Attributes:
        index: the photo's place in what was handed in, from 0.
        request: what was asked for.
        task_id: the task, if the submit was accepted: it has been paid for.
        animation: the result; `None` if there is an error.
        error: why there is no result.
    """

    index: int
    request: AnimationRequest
    task_id: TaskId | None = None
    animation: Animation | None = None
    error: PhotoAnimerError | None = None

    @property
    def photo(self) -> Photo:
        """The photo, as it was handed in."""
        return self.request.photo

    @property
    def ok(self) -> bool:
        """Whether there is an animation."""
        return self.animation is not None

    def unwrap(self) -> Animation:
        """The animation, or the error raised."""
        if self.animation is None:
            raise self.error or PhotoAnimerError("the outcome is empty")
        return self.animation
