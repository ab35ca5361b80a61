"""The words of a fault script: how it is cut into tokens, and how each kind of value is written.

A `Notation` reads a kind of value from the tokens and writes it, so that what is parsed and
what is printed come from one place. `rules` says which values an action has, and `grammar` in
which order everything comes.
"""

import json
import re
from collections.abc import Callable, Collection
from enum import Enum
from typing import Any, Final

from attrs import frozen

from photoanimer_async.redaction import printable

_TOKEN: Final = re.compile(
    r"""
      (?P<text>    "(?:[^"\\\n]|\\.)*" )
    | (?P<seconds> \d{1,9}(?:\.\d{1,9})?(?:ms|s)\b )
    | (?P<percent> \d{1,9}% )
    | (?P<number>  \d{1,9}\b(?!\.\d) )
    | (?P<word>    [A-Za-z]+(?:-[A-Za-z]+)*\b )
    | (?P<mark>    [:,-] )
    | (?P<end>     [;\n] )
    | (?P<unknown> [^\s:;,]+ )
    """,
    re.VERBOSE,
)


class ScriptError(ValueError):
    """A fault script that means nothing: where, what was found, and what is allowed there."""


class When(Enum):
    """Whether a fault strikes before the service acts on a request, or after it has."""

    BEFORE = "before"
    AFTER = "after"


@frozen
class Token:
    """A part of a script: its kind, its text, and where it starts."""

    kind: str
    text: str
    start: int


class Tokens:
    """A script, read from left to right."""

    def __init__(self, script: str) -> None:
        self._script = script
        self._tokens = [
            Token(found.lastgroup or "", found[0], found.start())
            for found in _TOKEN.finditer(script)
        ]
        self._tokens.append(Token("end", "", len(script)))
        self._next = 0

    @property
    def current(self) -> Token:
        """The token that is to be read next; the last one has the kind `end` and no text."""
        return self._tokens[self._next]

    @property
    def at_last(self) -> bool:
        """Whether nothing is left."""
        return self._next == len(self._tokens) - 1

    def accept(self, kind: str, *texts: str) -> Token | None:
        """The current token if it is of this kind and one of these texts, and a step on."""
        token = self.current
        if token.kind != kind or (texts and token.text.lower() not in texts):
            return None
        if not self.at_last:
            self._next += 1
        return token

    def expect(self, kind: str, allowed: Collection[str], *texts: str) -> Token:
        """Likewise, where nothing else will do."""
        token = self.accept(kind, *texts)
        if token is None:
            raise self.unexpected(allowed)
        return token

    def unexpected(self, allowed: Collection[str]) -> ScriptError:
        """The error for a current token that does not fit."""
        token = self.current
        found = "a new rule" if token.kind == "end" and token.text else "the end"
        if token.kind != "end":
            found = printable(repr(token.text))
        are = "is" if len(allowed) == 1 else "are"
        return self.error(f"found {found}; allowed {are}: {', '.join(allowed)}", token)

    def error(self, message: str, token: Token) -> ScriptError:
        """The error at a token, with its line and a mark below it."""
        before = self._script[: token.start]
        row = before.count("\n")
        column = token.start - (before.rfind("\n") + 1)
        line = self._script.split("\n")[row]
        place = (
            f"line {row + 1}, column {column + 1}"
            if "\n" in self._script
            else f"column {column + 1}"
        )
        return ScriptError(f"fault script, {place}: {message}\n  {line}\n  {' ' * column}^")


@frozen
class Notation:
    """How one kind of value is written in a script.

    Attributes:
        description: for error messages.
        read: takes the value from the tokens; `None`, and no step, if there is none.
        write: the text of a value.
    """

    description: str
    read: Callable[[Tokens], Any]
    write: Callable[[Any], str]


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


def _write_seconds(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"


def _read_whole_seconds(tokens: Tokens) -> int | None:
    token = tokens.current
    seconds = _read_seconds(tokens)
    if seconds is not None and not seconds.is_integer():
        raise tokens.error(f"found {token.text}; allowed are {WHOLE_SECONDS.description}", token)
    return None if seconds is None else int(seconds)


def _read_polls(tokens: Tokens) -> int | None:
    token = tokens.accept("number")
    if token is None:
        return None
    tokens.expect("word", ["polls"], "poll", "polls")
    return int(token.text)


def _write_polls(polls: int) -> str:
    return "1 poll" if polls == 1 else f"{polls} polls"


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
        raise tokens.error(f"this is no text as JSON writes it ({error})", token) from None
    return text


def _read_when(tokens: Tokens) -> When | None:
    token = tokens.accept("word", *(when.value for when in When))
    return None if token is None else When(token.text.lower())


NUMBER: Final = Notation("a whole number", _read_number, str)
SECONDS: Final = Notation("seconds such as 2s or 50ms", _read_seconds, _write_seconds)
WHOLE_SECONDS: Final = Notation("whole seconds such as 2s", _read_whole_seconds, _write_seconds)
POLLS: Final = Notation("polls such as 3 polls", _read_polls, _write_polls)
PERCENT: Final = Notation("a share such as 50%", _read_percent, lambda share: f"{share}%")
TEXT: Final = Notation(
    'a text in "double quotes"', _read_text, lambda text: json.dumps(text, ensure_ascii=False)
)
WHEN: Final = Notation("before, after", _read_when, lambda when: when.value)
