"""Requests and results: frozen attrs classes that check their values when they are created.

Data flows from `AnimationRequest` (a photo and its `AnimationOptions`) over `TaskInfo` (the state
of a task) to `Animation` (a finished result) and, in a batch, `Outcome`. Every `repr` leaves out
photo contents and the queries of URLs.
"""

import base64
import os
from collections.abc import Mapping
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from typing import Any, Self, TypeAlias, TypeVar

from attrs import field, frozen
from attrs.converters import optional

from photoanimer_async.errors import InvalidPhotoError, InvalidRequestError, PhotoAnimerError
from photoanimer_async.redaction import (
    encodable,
    is_url,
    printable,
    safe_text,
    shown_photo,
    shown_url,
)

Photo: TypeAlias = str | os.PathLike[str] | bytes
"""A face photo: an http(s) URL, the path of a file, or the file's content. Text from outside the
program must be a `PhotoUrl`, since a plain string may be the path of any file."""


class PhotoUrl(str):
    """A photo that is an http(s) URL and nothing else, for text that comes from outside.

    A plain string may be a path: `animate(text)` with a visitor's text would read, and send out,
    any file of the server.

        await client.animate(PhotoUrl(form["photo"]))

    Raises:
        InvalidPhotoError: the text is not an http or https URL.
    """

    __slots__ = ()

    def __new__(cls, url: str) -> Self:  # noqa: D102 - see the class
        if not is_url(url):
            shown = printable(repr(url))
            raise InvalidPhotoError(f"{shown} is not an http or https URL", photo=shown)
        return super().__new__(cls, url)


TaskId: TypeAlias = int | str
"""A task's id, exactly as the service sent it: today a number of 15 digits."""

Location: TypeAlias = Path | str
"""Where results are saved: the path of a file or folder, or the URL of an object or prefix in an
object store."""

_E = TypeVar("_E", bound=Enum)

_MAX_NAME = 255
_MAX_SHOWN = 20 * 2**20


class TaskStatus(IntEnum):
    """The state of a task (API page, Interface 3).

    Any number other than 1 and 2 is read as `PROCESSING`, since other APIs of the vendor send
    more numbers for queued tasks. `TaskInfo.raw` keeps the number as it was sent.
    """

    PROCESSING = 0
    FINISHED = 1
    FAILED = 2


class Template(IntEnum):
    """An expression template, numbered 0 to 5 (API page, Interface 1).

    Template.T1.seconds  # 7.13
    Template.T3.expression  # "laughter"
    """

    __hash__ = int.__hash__  # that of enums is a function in Python

    T0 = 0
    T1 = 1
    T2 = 2
    T3 = 3
    T4 = 4
    T5 = 5

    @property
    def seconds(self) -> float:
        """Video seconds that one task with this template costs (API page, Price).

        A task with a voice may cost something else; see `AnimationOptions.voice_seconds`.
        """
        return _SECONDS[self]

    @property
    def expression(self) -> str:
        """This package's name for it, such as `laughter`; the API page gives numbers only."""
        return _EXPRESSIONS[self]


_EXPRESSIONS = {
    Template.T0: "talking",
    Template.T1: "looking-around",
    Template.T2: "wink",
    Template.T3: "laughter",
    Template.T4: "head-shake",
    Template.T5: "kiss",
}
_SECONDS = {
    Template.T0: 3.13,
    Template.T1: 7.13,
    Template.T2: 2.13,
    Template.T3: 6.75,
    Template.T4: 4.38,
    Template.T5: 3.75,
}


class OutputFormat(StrEnum):
    """The result's format: a video, or a video and a GIF (API page, Interface 1)."""

    __hash__ = str.__hash__  # as that of `Template`

    MP4 = "mp4"
    GIF = "gif"


def _one_of(kind: type[_E], name: str, value: object) -> _E:
    try:
        if isinstance(value, bool):
            raise ValueError  # noqa: TRY301, TRY004 - True equals 1, but is not a template
        return kind(value)
    except ValueError:
        allowed = ", ".join(str(member.value) for member in kind)
        raise InvalidRequestError(
            f"{name} is {printable(repr(value))}; allowed are {allowed}"
        ) from None


def require_file_name(name: str, path: Path) -> None:
    """Raise `InvalidRequestError` if no file can have this path, with the parameter's name."""
    try:
        can_exist = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        can_exist = False
    if not can_exist:
        raise InvalidRequestError(f"{name}: no file can have the name {printable(str(path))}")


def _to_template(value: object) -> Template | int:
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    if isinstance(number, int) and not isinstance(number, bool):
        if number in _TEMPLATES:
            return _TEMPLATES[number]
        if number > Template.T5:
            return number  # `AnimationOptions` needs its `seconds`
    return _one_of(Template, "template", number)


_TEMPLATES = {int(template): template for template in Template}


def _to_output_format(value: object) -> OutputFormat:
    if isinstance(value, str) and value in _OUTPUT_FORMATS:
        return _OUTPUT_FORMATS[value]
    return _one_of(OutputFormat, "output_format", value)


_OUTPUT_FORMATS: dict[str, OutputFormat] = {form: form for form in OutputFormat}


def _to_name(value: object) -> str:
    if not isinstance(value, str):
        raise InvalidRequestError(f"name is {printable(repr(value))}; it must be a string")
    return safe_text(value, mark="_", limit=_MAX_NAME)


def _shown_optional_url(url: str | None) -> str:
    return "None" if url is None else repr(shown_url(url))


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


@frozen(kw_only=True)
class AnimationOptions:
    """How to animate a photo.

        AnimationOptions(template=0, output_format="gif", voice="hello.mp3")

    Attributes:
        template: the expression, 0 to 5; numbers and numeric strings are converted. A higher
            number, which the API page does not list, needs `seconds`.
        output_format: `mp4`, or `gif` for a GIF in addition to the video.
        voice_url: http(s) URL of a sound that the mouth follows; template 0 only (API page).
        voice_seconds: the sound's length in seconds, to estimate the price; not sent.
        voice: path of a sound file instead of `voice_url`; published as a local photo is.
        seconds: video seconds that a submit costs; by default the API page's price.

    Raises:
        InvalidRequestError: a value that the API page does not allow.
    """

    template: Template | int = field(default=Template.T1, converter=_to_template)
    output_format: OutputFormat = field(default=OutputFormat.MP4, converter=_to_output_format)
    voice_url: str | None = field(default=None, repr=_shown_optional_url)
    voice_seconds: float | None = None
    voice: Path | None = field(default=None, converter=optional(Path))
    seconds: float | None = None

    def __attrs_post_init__(self) -> None:
        if self.seconds is not None and not 0 <= self.seconds < float("inf"):
            raise InvalidRequestError(
                f"seconds must be 0 or more, not {printable(repr(self.seconds))}"
            )
        if self.seconds is None and not isinstance(self.template, Template):
            raise InvalidRequestError(
                f"template is {self.template}; allowed are 0, 1, 2, 3, 4, 5, or a higher number "
                "with its price: AnimationOptions(template=..., seconds=...)"
            )
        if self.voice_url is not None and self.voice is not None:
            raise InvalidRequestError("voice and voice_url exclude each other: both name a sound")
        if self.voice_url is not None and self.voice_url != encodable(self.voice_url):
            raise InvalidRequestError(f"voice_url is malformed: {shown_url(self.voice_url)}")
        if self.voice is not None:
            require_file_name("voice", self.voice)
        if self.speaks and self.template is not Template.T0:
            name = "voice" if self.voice_url is None else "voice_url"
            raise InvalidRequestError(
                f"{name} goes with template 0 only, not with template {self.template:d}"
            )
        if self.voice_seconds is not None and not 0 < self.voice_seconds < float("inf"):
            raise InvalidRequestError(
                f"voice_seconds must be above 0, not {printable(repr(self.voice_seconds))}"
            )

    @property
    def speaks(self) -> bool:
        """Whether the mouth follows a sound, from a file or a URL."""
        return self.voice_url is not None or self.voice is not None


@frozen
class AnimationRequest:
    """One photo of a batch, with its own options.

        requests = [AnimationRequest("a.jpg", AnimationOptions(template=3), name="grandma")]
        client.animate_many(requests, save_to="out/")

    Attributes:
        photo: http(s) URL, path or content.
        options: how to animate it.
        name: the result's file name without suffix; `None` to name it after the photo. Control
            characters in it become `_`, and it is cut at 255 characters.
    """

    photo: Photo = field(repr=shown_photo)
    options: AnimationOptions = field(factory=AnimationOptions)
    name: str | None = field(default=None, converter=optional(_to_name))


def require_many(name: str, values: object) -> None:
    """Raise `InvalidRequestError` unless a parameter is an iterable of photos or of task ids.

    A string would be taken for an iterable of its letters.
    """
    is_one = isinstance(values, str | bytes | bytearray | os.PathLike | AnimationRequest)
    methods = ("__iter__", "__aiter__", "__getitem__")
    if is_one or not any(hasattr(values, method) for method in methods):
        hint = "; pass a list with it" if is_one else ""
        kind = type(values).__name__
        raise InvalidRequestError(f"{name} must be an iterable, such as a list, not {kind}{hint}")


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
    result_url: str | None = field(default=None, repr=_shown_optional_url)
    gif_url: str | None = field(default=None, repr=_shown_optional_url)
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
        if self.path is None:
            return None
        try:
            content = self.path.read_bytes() if self.path.stat().st_size <= _MAX_SHOWN else b""
        except OSError:
            return None
        if not content:
            return None
        data = base64.b64encode(content).decode()
        if self.path.suffix.lower() == ".gif":
            return f'<img src="data:image/gif;base64,{data}">'
        return f'<video controls loop src="data:video/mp4;base64,{data}"></video>'


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
