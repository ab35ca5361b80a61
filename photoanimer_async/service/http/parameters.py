"""Parses the query of each interface, and explains what is wrong with it (API page)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from attrs import field, frozen
from multidict import MultiMapping

from photoanimer_async.redaction import printable, shown_url
from photoanimer_async.service.error_codes import (
    PARAMETER_INVALID,
    PARAMETER_MISSING,
    VOICE_NOT_ALLOWED,
    RequestRefusedError,
)

VIDEO_SECONDS: Final[Mapping[int, float]] = MappingProxyType(
    {0: 3.13, 1: 7.13, 2: 2.13, 3: 6.75, 4: 4.38, 5: 3.75}
)
"""Video seconds that a task costs, by template (API page, Price)."""


def highest_cost(template: int, longest_voice: float | None) -> float:
    """Return the most video seconds that a task may cost.

    Args:
        template: the expression, 0 to 5.
        longest_voice: seconds of the longest voice that is accepted, by whose length a task with
            a voice is charged; `None` for a task without one.
    """
    return max(VIDEO_SECONDS[template], longest_voice or 0.0)


SUBMIT_PARAMETERS: Final = frozenset({"imageUrl", "templateId", "voiceUrl", "outputFormat", "isHd"})
"""The query parameters of `submitTaskByUrl` (API page, Interface 1).

`isHd` is sent by the vendor's SDK; it is accepted and has no effect.
"""

SIGNED_PARAMETERS: Final = frozenset({"uid", "signExpireTime", "sign"})
"""The query parameters with which the vendor's SDK signs a request, in place of the key."""

_TEMPLATES: Final = {str(number): number for number in VIDEO_SECONDS}
_FORMATS: Final = {None: False, "mp4": False, "gif": True}
_LONGEST_TASK_ID: Final = 18


@frozen(kw_only=True)
class Submission:
    """The parameters of a submit.

    Attributes:
        image_url: the URL of the photo.
        template: the expression, 0 to 5.
        gif: whether a GIF is made in addition to the video.
        voice_url: the URL of a voice file for the mouth to follow.
    """

    image_url: str = field(repr=shown_url)
    template: int
    gif: bool = False
    voice_url: str | None = field(default=None, repr=False)


def parse_submission(query: MultiMapping[str]) -> Submission:
    """Parse the query of `submitTaskByUrl`.

    Parameters that the API page does not have are ignored, because some callers add their own.

    Raises:
        RequestRefusedError: with the parameter, what was found and what is allowed.
    """
    image_url = _required(query, "imageUrl", "an http or https URL")
    template = _template(query)
    gif = _gif(query)
    voice_url = _optional(query, "voiceUrl")
    if voice_url is not None and template != 0:
        raise RequestRefusedError(
            VOICE_NOT_ALLOWED, f"voiceUrl is given with templateId {template}; it goes with 0 only"
        )
    return Submission(image_url=image_url, template=template, gif=gif, voice_url=voice_url)


def parse_task_id(query: MultiMapping[str]) -> int:
    """Parse the query of `getTaskInfo`.

    Raises:
        RequestRefusedError: with the parameter, what was found and what is allowed.
    """
    text = _required(query, "taskId", "the number that submitTaskByUrl returned")
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_TASK_ID):
        raise RequestRefusedError(
            PARAMETER_INVALID,
            f"taskId is {shown_argument(text)!r}; "
            "allowed is the number that submitTaskByUrl returned",
        )
    return int(text)


def _template(query: MultiMapping[str]) -> int:
    allowed = ", ".join(_TEMPLATES)
    text = _required(query, "templateId", f"one of {allowed}")
    if text not in _TEMPLATES:
        raise RequestRefusedError(
            PARAMETER_INVALID, f"templateId is {shown_argument(text)!r}; allowed are {allowed}"
        )
    return _TEMPLATES[text]


def _gif(query: MultiMapping[str]) -> bool:
    text = _optional(query, "outputFormat")
    if text not in _FORMATS:
        raise RequestRefusedError(
            PARAMETER_INVALID,
            f"outputFormat is {shown_argument(text or '')!r}; "
            "allowed are gif and mp4, or none for mp4",
        )
    return _FORMATS[text]


def _required(query: MultiMapping[str], name: str, allowed: str) -> str:
    text = _optional(query, name)
    if text is None:
        found = "empty" if name in query else "missing"
        raise RequestRefusedError(PARAMETER_MISSING, f"{name} is {found}; it has to be {allowed}")
    return text


def _optional(query: MultiMapping[str], name: str) -> str | None:
    """Return the parameter's value; `None` if it is missing or empty.

    Some callers write a parameter into the URL and add it once more.
    """
    values = query.getall(name, ())
    if len(values) > 1 and (different := len(set(values))) > 1:
        raise RequestRefusedError(
            PARAMETER_INVALID, f"{name} is given with {different} different values"
        )
    return values[0] or None if values else None


def shown_argument(text: str) -> str:
    """Return a caller's value as one short line; of a URL, only the part that may be shown."""
    return shown_url(text) if "://" in text else printable(text.partition("?")[0])
