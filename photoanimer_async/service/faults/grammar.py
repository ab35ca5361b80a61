"""The grammar of fault scripts, and the parser.

::

    script  = [rule] {(";" | newline) [rule]}
    rule    = subject [numbers] ["of" "task" [numbers]] ":" action
    subject = "submit" | "poll" | "balance" | "download" | "task" | "notification"
    numbers = "every" NUMBER | span {"," span}
    span    = NUMBER ["-" [NUMBER]]
    action  = keyword {value}

`ACTIONS` has the keywords of the actions that each subject can have, and `_VALUES` the class and
the values of each keyword. Values may come in any order.
"""

from math import inf
from typing import Any, Final

from photoanimer_async.service.faults.actions import (
    Action,
    Delay,
    Drip,
    Drop,
    Duplicate,
    Expired,
    Fail,
    Html,
    Refuse,
    Reset,
    Status,
    Takes,
    Timeout,
    Truncate,
)
from photoanimer_async.service.faults.script import ALL, Numbers, Rule, Subject
from photoanimer_async.service.faults.syntax import Tokens
from photoanimer_async.service.faults.values import (
    NUMBER,
    PERCENT,
    POLLS,
    SECONDS,
    TEXT,
    WHEN,
    WHOLE_SECONDS,
    Value,
)

_DAY: Final = (0, 86_400)
_CODES: Final = (1, 999_999_999)

_RETRY_AFTER: Final = Value(
    name="retry_after", notation=WHOLE_SECONDS, keyword="retry-after", limits=_DAY
)
_WHEN: Final = Value(name="when", notation=WHEN)
_DURATION: Final = Value(name="seconds", notation=SECONDS, limits=_DAY, required=True)

_VALUES: Final[dict[str, tuple[type[Action], tuple[Value, ...]]]] = {
    "status": (
        Status,
        (
            Value(name="status", notation=NUMBER, limits=(400, 599), required=True),
            _RETRY_AFTER,
            _WHEN,
        ),
    ),
    "refuse": (
        Refuse,
        (
            Value(name="code", notation=NUMBER, limits=_CODES, required=True),
            Value(name="message", notation=TEXT),
            Value(name="status", notation=NUMBER, keyword="status", limits=(200, 599)),
            _RETRY_AFTER,
        ),
    ),
    "html": (Html, (_WHEN,)),
    "reset": (Reset, (_WHEN,)),
    "timeout": (Timeout, (_WHEN,)),
    "delay": (Delay, (_DURATION,)),
    "drip": (Drip, (_DURATION,)),
    "truncate": (
        Truncate,
        (Value(name="percent", notation=PERCENT, limits=(0, 99), required=True),),
    ),
    "expired": (Expired, ()),
    "takes": (
        Takes,
        (
            Value(name="seconds", notation=SECONDS, limits=_DAY),
            Value(name="polls", notation=POLLS),
        ),
    ),
    "fail": (
        Fail,
        (
            Value(name="code", notation=NUMBER, limits=_CODES),
            Value(name="reason", notation=TEXT),
        ),
    ),
    "drop": (Drop, ()),
    "duplicate": (Duplicate, ()),
}

_ANY_RESPONSE: Final = (
    *("status", "refuse", "html", "reset", "timeout"),
    *("delay", "drip", "truncate"),
)
ACTIONS: Final[dict[Subject, tuple[str, ...]]] = {
    Subject.SUBMIT: _ANY_RESPONSE,
    Subject.POLL: _ANY_RESPONSE,
    Subject.BALANCE: _ANY_RESPONSE,
    Subject.DOWNLOAD: (*_ANY_RESPONSE, "expired"),
    Subject.TASK: ("takes", "fail"),
    Subject.NOTIFICATION: ("drop", "duplicate", "delay"),
}
"""The keywords of the actions that each subject can have."""

_WITH_TASK: Final = (Subject.POLL, Subject.DOWNLOAD, Subject.NOTIFICATION)
_END: Final = "a new rule after ; or the end"


def parse_script(script: str) -> tuple[Rule, ...]:
    """Return the rules of a script, in their order.

    Raises:
        ScriptError: the script cannot be parsed; the message gives the position, what was found
            there, and what is allowed.
    """
    tokens = Tokens(script)
    rules: list[Rule] = []
    while not tokens.at_last:
        if tokens.accept("end") is None:
            rules.append(_rule(tokens))
    return tuple(rules)


def _rule(tokens: Tokens) -> Rule:
    start = tokens.current
    subject = Subject(tokens.expect("word", tuple(Subject), *Subject).text.lower())
    numbers, tasks = _target(tokens, subject)
    action_start = tokens.current
    action = _action(tokens, subject)
    return Rule(
        subject,
        action,
        numbers,
        tasks,
        text=tokens.text_since(start),
        action_text=tokens.text_since(action_start),
    )


def _target(tokens: Tokens, subject: Subject) -> tuple[Numbers, Numbers | None]:
    found = _numbers(tokens)
    tasks: Numbers | None = None
    allowed = [":"] if found else ["a number", "every", ":"]
    if subject in _WITH_TASK:
        allowed.append("of task")
        if tokens.accept("word", "of"):
            tokens.expect("word", ["task"], "task")
            tasks = _numbers(tokens)
            allowed = [":"] if tasks else ["a number", "every", ":"]
            tasks = tasks or ALL
    tokens.expect("mark", allowed, ":")
    return found or ALL, tasks


def _numbers(tokens: Tokens) -> Numbers | None:
    if tokens.accept("word", "every"):
        step = tokens.expect("number", [NUMBER.description])
        if int(step.text) == 0:
            raise tokens.error("every 0 matches nothing; every 1 matches all", step)
        return Numbers(step=int(step.text))
    if tokens.current.kind != "number":
        return None
    spans = [_span(tokens)]
    while tokens.accept("mark", ","):
        spans.append(_span(tokens))
    return Numbers(tuple(spans))


def _span(tokens: Tokens) -> tuple[int, float]:
    start = tokens.expect("number", [NUMBER.description])
    first = last = int(start.text)
    if first == 0:
        raise tokens.error("0 matches nothing: numbers are counted from 1", start)
    if tokens.accept("mark", "-") is None:
        return first, last
    end = tokens.accept("number")
    if end is None:
        return first, inf
    last = int(end.text)
    if last < first:
        raise tokens.error(f"{first}-{last} matches nothing: the smaller number is first", start)
    return first, last


def _action(tokens: Tokens, subject: Subject) -> Action:
    keywords = ACTIONS[subject]
    start = tokens.expect("word", keywords, *keywords)
    kind, known_values = _VALUES[start.text.lower()]
    values = _read_values(tokens, known_values)
    try:
        return kind(**values)
    except ValueError as error:
        raise tokens.error(str(error), start) from None


def _read_values(tokens: Tokens, known: tuple[Value, ...]) -> dict[str, Any]:
    """Read the values that follow an action's keyword; return them by their names."""
    found: dict[str, Any] = {}
    left = list(known)
    while tokens.current.kind != "end":
        for value in left:
            read = value.read(tokens)
            if read is not None:
                found[value.name] = read
                left.remove(value)
                break
        else:
            break
    required = [str(value) for value in left if value.required]
    if required or tokens.current.kind != "end":
        raise tokens.unexpected(required or [*map(str, left), _END])
    return found
