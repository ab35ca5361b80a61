"""Reading fault scripts.

::

    script  = [rule] {(";" | newline) [rule]}
    rule    = subject [numbers] ["of" "task" [numbers]] ":" action
    subject = "submit" | "poll" | "balance" | "download" | "task" | "notification"
    numbers = "every" NUMBER | span {"," span}
    span    = NUMBER ["-" [NUMBER]]
    action  = keyword {value}

`rules.ACTIONS` says which actions a subject has, and the actions' classes what their values
are; values may come in any order. The text of a rule is read to an equal rule.
"""

from typing import Any

from attrs import Attribute

from photoanimer_async.service.faults.actions import Action, is_required, keyword, parameters
from photoanimer_async.service.faults.rules import (
    ACTIONS,
    ALL,
    OF_A_TASK,
    Every,
    Numbers,
    Rule,
    Span,
    Spans,
    Subject,
)
from photoanimer_async.service.faults.syntax import NUMBER, Notation, ScriptError, Tokens

_END = "a new rule after ; or the end"


def parse_script(script: str) -> tuple[Rule, ...]:
    """The rules of a script, in their order.

    Raises:
        ScriptError: it is none; the text says where, what was found, and what is allowed.
    """
    tokens = Tokens(script)
    rules: list[Rule] = []
    while not tokens.at_last:
        if tokens.accept("end") is None:
            rules.append(_rule(tokens))
    return tuple(rules)


def _rule(tokens: Tokens) -> Rule:
    start = tokens.current
    word = tokens.expect("word", tuple(Subject), *Subject)
    subject = Subject(word.text.lower())
    numbers, of_task = _target(tokens, subject)
    action = _action(tokens, subject)
    try:
        return Rule(subject, action, numbers, of_task)
    except ValueError as error:
        raise tokens.error(str(error), start) from None


def _target(tokens: Tokens, subject: Subject) -> tuple[Numbers, Numbers | None]:
    found = _numbers(tokens)
    of_task: Numbers | None = None
    allowed = [":"] if found else ["a number", "every", ":"]
    if subject in OF_A_TASK:
        allowed.append("of task")
        if tokens.accept("word", "of"):
            tokens.expect("word", ["task"], "task")
            of_task = _numbers(tokens)
            allowed = [":"] if of_task else ["a number", "every", ":"]
            of_task = of_task or ALL
    tokens.expect("mark", allowed, ":")
    return found or ALL, of_task


def _numbers(tokens: Tokens) -> Numbers | None:
    start = tokens.current
    try:
        if tokens.accept("word", "every"):
            return Every(int(tokens.expect("number", [NUMBER.description]).text))
        if start.kind != "number":
            return None
        spans = [_span(tokens)]
        while tokens.accept("mark", ","):
            spans.append(_span(tokens))
        return Spans(tuple(spans))
    except ScriptError:
        raise
    except ValueError as error:
        raise tokens.error(str(error), start) from None


def _span(tokens: Tokens) -> Span:
    first = int(tokens.expect("number", [NUMBER.description]).text)
    if tokens.accept("mark", "-") is None:
        return Span(first, first)
    last = tokens.accept("number")
    return Span(first, None if last is None else int(last.text))


def _action(tokens: Tokens, subject: Subject) -> Action:
    kinds = {keyword(kind): kind for kind in ACTIONS[subject]}
    start = tokens.expect("word", kinds, *kinds)
    kind = kinds[start.text.lower()]
    values = _values(tokens, kind)
    try:
        return kind(**values)
    except ValueError as error:
        raise tokens.error(str(error), start) from None


def _values(tokens: Tokens, kind: type[Action]) -> dict[str, Any]:
    """The values that follow an action's keyword, by the names of its attributes."""
    values: dict[str, Any] = {}
    left = list(parameters(kind))
    while tokens.current.kind != "end":
        for parameter in left:
            value = _value(tokens, parameter)
            if value is not None:
                values[parameter.name] = value
                left.remove(parameter)
                break
        else:
            break
    required = [_described(parameter) for parameter in left if is_required(parameter)]
    if required or tokens.current.kind != "end":
        raise tokens.unexpected(required or [*map(_described, left), _END])
    return values


def _value(tokens: Tokens, parameter: "Attribute[Any]") -> Any:
    notation: Notation = parameter.metadata["notation"]
    word: str = parameter.metadata["word"]
    if not word:
        return notation.read(tokens)
    if tokens.accept("word", word) is None:
        return None
    value = notation.read(tokens)
    if value is None:
        raise tokens.unexpected([notation.description])
    return value


def _described(parameter: "Attribute[Any]") -> str:
    word: str = parameter.metadata["word"]
    notation: Notation = parameter.metadata["notation"]
    return f"{word} and {notation.description}" if word else notation.description
