"""The values of the actions in a fault script: how each kind is written and read."""

import json
from collections.abc import Callable
from typing import Any, Final

from attrs import frozen

from photoanimer_async.service.faults.actions import When
from photoanimer_async.service.faults.syntax import Tokens


@frozen
class Notation:
    """How one kind of value is written in a script.

    Attributes:
        description: for error messages.
        read: reads a value from the tokens; returns `None`, and reads nothing, if the current
            token is of another kind.
    """

    description: str
    read: Callable[[Tokens], Any]


@frozen(kw_only=True)
class Value:
    """A value that an action can have in a script.

    Attributes:
        name: the attribute of the action's class.
        notation: how the value is written.
        keyword: the word in front of it, if it has one.
        limits: the smallest and largest value, for numbers.
        required: whether the action cannot do without it.
    """

    name: str
    notation: Notation
    keyword: str = ""
    limits: tuple[float, float] | None = None
    required: bool = False

    def __str__(self) -> str:
        description = self.notation.description
        return f"{self.keyword} and {description}" if self.keyword else description

    def read(self, tokens: Tokens) -> Any:
        """Read this value; return `None` if it is not there.

        Raises:
            ScriptError: the keyword is followed by another kind of value, or the value is out
                of its limits.
        """
        if self.keyword and tokens.accept("word", self.keyword) is None:
            return None
        start = tokens.current
        found = self.notation.read(tokens)
        if found is None and self.keyword:
            raise tokens.unexpected([self.notation.description])
        if found is not None and self.limits is not None:
            lowest, highest = self.limits
            if not lowest <= found <= highest:
                allowed = f"{lowest:g} to {highest:g}"
                raise tokens.error(f"{self.name} is {found:g}; allowed is {allowed}", start)
        return found


def _read_number(tokens: Tokens) -> int | None:
    token = tokens.accept("number")
    return None if token is None else int(token.text)


def _read_seconds(tokens: Tokens) -> float | None:
    token = tokens.accept("seconds")
    if token is None:
        return None
    if token.text.endswith("ms"):
        return float(token.text.removesuffix("ms")) / 1000
    return float(token.text.removesuffix("s"))


def _read_whole_seconds(tokens: Tokens) -> int | None:
    token = tokens.current
    seconds = _read_seconds(tokens)
    if seconds is not None and not seconds.is_integer():
        raise tokens.error(f"found {token.text}; allowed are {WHOLE_SECONDS.description}", token)
    return None if seconds is None else int(seconds)


def _read_polls(tokens: Tokens) -> int | None:
    polls = _read_number(tokens)
    if polls is not None:
        tokens.expect("word", ["polls"], "poll", "polls")
    return polls


def _read_percent(tokens: Tokens) -> int | None:
    token = tokens.accept("percent")
    return None if token is None else int(token.text.removesuffix("%"))


def _read_text(tokens: Tokens) -> str | None:
    token = tokens.accept("text")
    if token is None:
        return None
    try:
        text: str = json.loads(token.text)
    except ValueError as error:
        raise tokens.error(f"this is not a JSON string ({error})", token) from None
    return text


def _read_when(tokens: Tokens) -> When | None:
    token = tokens.accept("word", *(when.value for when in When))
    return None if token is None else When(token.text.lower())


NUMBER: Final = Notation("a whole number", _read_number)
SECONDS: Final = Notation("seconds such as 2s or 50ms", _read_seconds)
WHOLE_SECONDS: Final = Notation("whole seconds such as 2s", _read_whole_seconds)
POLLS: Final = Notation("polls such as 3 polls", _read_polls)
PERCENT: Final = Notation("a percentage such as 50%", _read_percent)
TEXT: Final = Notation('a text in "double quotes"', _read_text)
WHEN: Final = Notation("before, after", _read_when)
