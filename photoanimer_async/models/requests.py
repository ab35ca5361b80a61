"""What is requested: photos, and how they are animated."""

import os
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from typing import Self, SupportsIndex, TypeAlias, TypeVar

from attrs import field, frozen
from attrs.converters import optional

from photoanimer_async.errors import InvalidPhotoError, InvalidRequestError
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


_E = TypeVar("_E", bound=Enum)

_MAX_NAME = 255


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


def shown_optional_url(url: str | None) -> str:
    """Return a URL, or `None`, as `repr` shows it."""
    return "None" if url is None else repr(shown_url(url))


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
    voice_url: str | None = field(default=None, repr=shown_optional_url)
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


def require_count(name: str, value: object) -> None:
    """Raise `InvalidRequestError` unless a parameter is a whole number of at least 1.

    A semaphore that counts 2.5 down never is at 0, and so limits nothing.
    """
    if not isinstance(value, SupportsIndex) or value.__index__() < 1:
        shown = printable(repr(value))
        raise InvalidRequestError(f"{name} must be at least 1, and a whole number, not {shown}")


def require_seconds(name: str, value: object) -> None:
    """Raise `InvalidRequestError` unless a parameter is `None` or a number of at least 0.

    NaN would disorder the timers of the event loop.
    """
    if value is not None and not (isinstance(value, int | float) and value >= 0):
        shown = printable(repr(value))
        raise InvalidRequestError(f"{name} must be 0 or more seconds, or None, not {shown}")
