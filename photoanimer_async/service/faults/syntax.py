"""The tokens of a fault script, and errors that point at one of them."""

import re
from collections.abc import Collection
from typing import Final

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
    """A fault script that cannot be parsed.

    The message gives the position, what was found there, and what is allowed there.
    """


@frozen
class Token:
    """A part of a script: its kind, its text, and its position."""

    kind: str
    text: str
    start: int


class Tokens:
    """The tokens of a script, read from left to right."""

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
        """The token to read next; the last one has the kind `end` and no text."""
        return self._tokens[self._next]

    @property
    def at_last(self) -> bool:
        """Whether all tokens but the last have been read."""
        return self._next == len(self._tokens) - 1

    def text_since(self, token: Token) -> str:
        """Return the script's text from a token up to the current one."""
        return self._script[token.start : self.current.start].strip()

    def accept(self, kind: str, *texts: str) -> Token | None:
        """Read the current token if it has this kind and one of these texts, if any are given."""
        token = self.current
        if token.kind != kind or (texts and token.text.lower() not in texts):
            return None
        if not self.at_last:
            self._next += 1
        return token

    def expect(self, kind: str, allowed: Collection[str], *texts: str) -> Token:
        """Read the current token as `accept` does; raise a `ScriptError` if it does not fit."""
        token = self.accept(kind, *texts)
        if token is None:
            raise self.unexpected(allowed)
        return token

    def unexpected(self, allowed: Collection[str]) -> ScriptError:
        """Return the error for a current token that does not fit."""
        token = self.current
        found = "a new rule" if token.kind == "end" and token.text else "the end"
        if token.kind != "end":
            found = printable(repr(token.text))
        are = "is" if len(allowed) == 1 else "are"
        return self.error(f"found {found}; allowed {are}: {', '.join(allowed)}", token)

    def error(self, message: str, token: Token) -> ScriptError:
        """Return the error for a token, with its line and a mark below it."""
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
