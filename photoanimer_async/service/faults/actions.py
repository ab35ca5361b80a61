"""What can go wrong: the actions of a fault script.

Each action's attributes carry the notation they have in a script, in the order in which they
are written; a value that is the default is left out.
"""

from collections.abc import Callable
from typing import Any, Final

from attrs import NOTHING, Attribute, field, fields, frozen
from attrs.validators import and_, instance_of, optional

from photoanimer_async.service.faults.syntax import (
    NUMBER,
    PERCENT,
    POLLS,
    SECONDS,
    TEXT,
    WHEN,
    WHOLE_SECONDS,
    Notation,
    When,
)

_DAY: Final = 86_400
_LARGEST: Final = 999_999_999


def _written(notation: Notation, *, after: str = "") -> dict[str, object]:
    """How an attribute is written: in this notation, behind this word if there is one."""
    return {"notation": notation, "word": after}


def _between(lowest: float, highest: float) -> Callable[[Any, "Attribute[Any]", float], None]:
    def check(_: object, attribute: "Attribute[Any]", value: float) -> None:
        if not lowest <= value <= highest:
            allowed = f"{lowest:g} to {highest:g}"
            raise ValueError(f"{attribute.name} is {value:g}; allowed is {allowed}")

    return check


def _to_milliseconds(value: float) -> float:
    return round(value, 3)


def _to_optional_milliseconds(value: float | None) -> float | None:
    return None if value is None else _to_milliseconds(value)


def _http_error() -> Any:
    return field(validator=[instance_of(int), _between(400, 599)], metadata=_written(NUMBER))


def _retry_after() -> Any:
    return field(
        default=None,
        validator=optional(and_(instance_of(int), _between(0, _DAY))),
        metadata=_written(WHOLE_SECONDS, after="retry-after"),
    )


def _duration() -> Any:
    return field(
        converter=_to_milliseconds, validator=[_between(0, _DAY)], metadata=_written(SECONDS)
    )


@frozen
class Status:
    """An HTTP error without an envelope, as proxies send it.

    Attributes:
        status: 400 to 599.
        retry_after: the header `Retry-After`, in whole seconds.
        when: before the service acts, or after it has.
    """

    status: int = _http_error()
    retry_after: int | None = _retry_after()
    when: When = field(default=When.BEFORE, converter=When, metadata=_written(WHEN))


@frozen
class Refuse:
    """An error in an envelope; the service does not act.

    Attributes:
        code: the envelope's `code`, not 0.
        message: its `msg`; by default what the code means.
        status: the HTTP status.
        retry_after: the header `Retry-After`, in whole seconds.
    """

    code: int = field(
        validator=[instance_of(int), _between(1, _LARGEST)], metadata=_written(NUMBER)
    )
    message: str | None = field(
        default=None, validator=optional(instance_of(str)), metadata=_written(TEXT)
    )
    status: int = field(
        default=200,
        validator=[instance_of(int), _between(200, 599)],
        metadata=_written(NUMBER, after="status"),
    )
    retry_after: int | None = _retry_after()


@frozen
class Html:
    """A page of HTML with HTTP status 200, as captive portals and some proxies send it."""

    when: When = field(default=When.BEFORE, converter=When, metadata=_written(WHEN))


@frozen
class Reset:
    """The connection is reset instead of an answer."""

    when: When = field(default=When.BEFORE, converter=When, metadata=_written(WHEN))


@frozen
class Timeout:
    """No answer ever: the connection stays open until the caller gives up."""

    when: When = field(default=When.BEFORE, converter=When, metadata=_written(WHEN))


@frozen
class Delay:
    """The answer, or the notification, comes so many seconds late."""

    seconds: float = _duration()


@frozen
class Drip:
    """The body comes piece by piece, for so many seconds in all."""

    seconds: float = _duration()


@frozen
class Truncate:
    """The connection ends after so many per cent of the body that was announced."""

    percent: int = field(validator=[instance_of(int), _between(0, 99)], metadata=_written(PERCENT))


@frozen
class Expired:
    """The link to a result does not hold any more: HTTP status 403, as stores of files send it."""


@frozen
class Takes:
    """How long a task is processed.

    Attributes:
        seconds: at least so long.
        polls: until it was looked at so often: a duration that does not depend on time.
    """

    seconds: float | None = field(
        default=None,
        converter=_to_optional_milliseconds,
        validator=optional(_between(0, _DAY)),
        metadata=_written(SECONDS),
    )
    polls: int | None = field(
        default=None,
        validator=optional(and_(instance_of(int), _between(0, _LARGEST))),
        metadata=_written(POLLS),
    )

    def __attrs_post_init__(self) -> None:
        if (self.seconds is None) == (self.polls is None):
            raise ValueError("takes needs either seconds or polls: takes 2s, takes 3 polls")


@frozen
class Fail:
    """The task ends with status 2.

    Attributes:
        code: its `failCode`; by default the one for a photo without a face.
        reason: its `failReason`; by default what the code means.
    """

    code: int = field(
        default=7001, validator=[instance_of(int), _between(1, _LARGEST)], metadata=_written(NUMBER)
    )
    reason: str | None = field(
        default=None, validator=optional(instance_of(str)), metadata=_written(TEXT)
    )


@frozen
class Drop:
    """The notification is never sent."""


@frozen
class Duplicate:
    """The notification is sent twice."""


Answering = Status | Refuse | Html | Reset | Timeout | Delay | Drip | Truncate | Expired
Delivering = Drop | Duplicate | Delay
Action = Answering | Delivering | Takes | Fail


def keyword(kind: type[Action]) -> str:
    """The word that an action starts with in a script."""
    return kind.__name__.lower()


def parameters(kind: type[Action]) -> tuple["Attribute[Any]", ...]:
    """An action's attributes, in the order in which they are written."""
    found: tuple[Attribute[Any], ...] = fields(kind)
    return found


def is_required(parameter: "Attribute[Any]") -> bool:
    """Whether a script has to name this attribute."""
    return parameter.default is NOTHING


def written(action: Action) -> str:
    """The text of an action in a script."""
    words = [keyword(type(action))]
    for parameter in parameters(type(action)):
        value = getattr(action, parameter.name)
        if value != parameter.default:
            words += [parameter.metadata["word"], parameter.metadata["notation"].write(value)]
    return " ".join(word for word in words if word)
