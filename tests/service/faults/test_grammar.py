"""The parser of fault scripts: which rules a text means, and which errors explain a wrong one."""

import json
import re
from itertools import product
from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async.service.faults import Rule, ScriptError, parse_script
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
    When,
)
from photoanimer_async.service.faults.grammar import ACTIONS
from photoanimer_async.service.faults.script import Numbers, Subject

from ...support.pages import page

Written = tuple[tuple[str, ...], Action]
"""An action's values as they are written, and the action."""


def only(number: int) -> Numbers:
    return Numbers(((number, number),))


counts = st.integers(1, 999_999_999)
when = st.sampled_from(When)
randoms = st.integers().map(Random)
milliseconds = st.integers(0, 86_400_000)
after = st.none() | st.integers(0, 86_400)
texts = st.none() | st.text()


def status(code: int, retry_after: int | None, when: When) -> Written:
    words = [f"{code}", when.value]
    if retry_after is not None:
        words.append(f"retry-after {retry_after}s")
    return tuple(words), Status(code, retry_after, when)


def refuse(code: int, message: str | None, status: int, retry_after: int | None) -> Written:
    words = [f"{code}", f"status {status}"]
    if message is not None:
        words.append(json.dumps(message))
    if retry_after is not None:
        words.append(f"retry-after {retry_after}s")
    return tuple(words), Refuse(code, message, status, retry_after)


def fail(code: int, reason: str | None) -> Written:
    words = [f"{code}"] if reason is None else [f"{code}", json.dumps(reason)]
    return tuple(words), Fail(code, reason)


actions = st.one_of(
    st.builds(status, st.integers(400, 599), after, when),
    st.builds(refuse, counts, texts, st.integers(200, 599), after),
    st.builds(lambda when: ((when.value,), Html(when)), when),
    st.builds(lambda when: ((when.value,), Reset(when)), when),
    st.builds(lambda when: ((when.value,), Timeout(when)), when),
    st.builds(lambda ms: ((f"{ms}ms",), Delay(ms / 1000)), milliseconds),
    st.builds(lambda ms: ((f"{ms / 1000:.3f}s",), Drip(ms / 1000)), milliseconds),
    st.builds(lambda share: ((f"{share}%",), Truncate(share)), st.integers(0, 99)),
)
task_actions = st.one_of(
    st.builds(lambda polls: ((f"{polls} polls",), Takes(polls=polls)), counts),
    st.builds(lambda ms: ((f"{ms}ms",), Takes(seconds=ms / 1000)), milliseconds),
    st.builds(fail, counts, texts),
)
notification_actions = st.one_of(
    st.just(((), Drop())),
    st.just(((), Duplicate())),
    st.builds(lambda ms: ((f"{ms}ms",), Delay(ms / 1000)), milliseconds),
)
spans = st.one_of(
    counts.map(lambda first: (f"{first}-", (first, inf))),
    counts.map(lambda number: (f"{number}", (number, number))),
    st.tuples(counts, counts).map(
        lambda ends: (f"{min(ends)}-{max(ends)}", (min(ends), max(ends)))
    ),
)
numbers = st.one_of(
    st.just(("", Numbers())),
    st.builds(lambda step: (f"every {step}", Numbers(step=step)), counts),
    st.lists(spans, min_size=1, max_size=4).map(
        lambda found: (",".join(text for text, _ in found), Numbers(tuple(s for _, s in found)))
    ),
)


def rule(
    subject: Subject,
    numbers: tuple[str, Numbers],
    tasks: tuple[str, Numbers] | None,
    action: Written,
    random: Random,
) -> tuple[str, Rule]:
    values, meant = action
    words = [subject.value, numbers[0], "" if tasks is None else f"of task {tasks[0]}"]
    target = " ".join(word for word in words if word).strip()
    written = " ".join([type(meant).__name__.lower(), *random.sample(values, len(values))])
    text = f"{target}: {written}"
    return text, Rule(subject, meant, numbers[1], None if tasks is None else tasks[1], text)


tasks = st.none() | numbers
rules = st.one_of(
    st.builds(
        rule,
        st.sampled_from([Subject.SUBMIT, Subject.BALANCE]),
        numbers,
        st.none(),
        actions,
        randoms,
    ),
    st.builds(
        rule, st.sampled_from([Subject.POLL, Subject.DOWNLOAD]), numbers, tasks, actions, randoms
    ),
    st.builds(rule, st.just(Subject.DOWNLOAD), numbers, tasks, st.just(((), Expired())), randoms),
    st.builds(rule, st.just(Subject.NOTIFICATION), numbers, tasks, notification_actions, randoms),
    st.builds(rule, st.just(Subject.TASK), numbers, st.none(), task_actions, randoms),
)


@given(st.lists(rules, max_size=5), st.sampled_from([";", "\n", " ; ", ";\n\n;"]))
def test_scripts_are_parsed_with_values_in_any_order(
    written: list[tuple[str, Rule]], separator: str
) -> None:
    found = parse_script(separator.join(text for text, _ in written))
    assert found == tuple(rule for _, rule in written)
    assert [str(rule) for rule in found] == [text for text, _ in written]


@given(st.text() | st.text(alphabet='submitpoltakrs :;,-0123456789%"\n.'))
def test_any_text_is_a_script_or_a_script_error(script: str) -> None:
    try:
        found = parse_script(script)
    except ScriptError:
        return
    assert parse_script("; ".join(map(str, found))) == found


@pytest.mark.parametrize(
    ("script", "rule"),
    [
        ("submit 3: reset after", Rule(Subject.SUBMIT, Reset(When.AFTER), only(3))),
        ("SUBMIT 3 : Reset AFTER", Rule(Subject.SUBMIT, Reset(When.AFTER), only(3))),
        (
            "submit 1: status 429 retry-after 2s",
            Rule(Subject.SUBMIT, Status(429, retry_after=2), only(1)),
        ),
        ("submit 1: status 504 after", Rule(Subject.SUBMIT, Status(504, when=When.AFTER), only(1))),
        (
            "submit: status after retry-after 2s 504",
            Rule(Subject.SUBMIT, Status(504, 2, When.AFTER)),
        ),
        ("poll every 20: html", Rule(Subject.POLL, Html(), Numbers(step=20))),
        ("poll 2-: timeout", Rule(Subject.POLL, Timeout(), Numbers(((2, inf),)))),
        ("poll 1,3-4: drip 50ms", Rule(Subject.POLL, Drip(0.05), Numbers(((1, 1), (3, 4))))),
        ("poll 1 of task 2: delay 1.5s", Rule(Subject.POLL, Delay(1.5), only(1), only(2))),
        (
            "download of task every 2: expired",
            Rule(Subject.DOWNLOAD, Expired(), tasks=Numbers(step=2)),
        ),
        ("download of task: truncate 50%", Rule(Subject.DOWNLOAD, Truncate(50), tasks=Numbers())),
        ("task 2: takes 3 polls", Rule(Subject.TASK, Takes(polls=3), only(2))),
        ("task 2: takes 1 poll", Rule(Subject.TASK, Takes(polls=1), only(2))),
        ("task: takes 2s", Rule(Subject.TASK, Takes(2))),
        ('task 2: fail 9010 "no \\"ad\\""', Rule(Subject.TASK, Fail(9010, 'no "ad"'), only(2))),
        ("task 2: fail", Rule(Subject.TASK, Fail(7001), only(2))),
        ("balance: refuse 4003 status 401", Rule(Subject.BALANCE, Refuse(4003, status=401))),
        ("notification 1: duplicate", Rule(Subject.NOTIFICATION, Duplicate(), only(1))),
        ("notification of task 1: drop", Rule(Subject.NOTIFICATION, Drop(), tasks=only(1))),
    ],
)
def test_rules_are_parsed(script: str, rule: Rule) -> None:
    assert parse_script(script) == (rule,)


@pytest.mark.parametrize(
    ("script", "place", "problem"),
    [
        ("submti 3: reset", "column 1", "found 'submti'; allowed are: submit, poll, balance"),
        ("submit x: reset", "column 8", "found 'x'; allowed are: a number, every, :"),
        ("submit 3 reset", "column 10", "found 'reset'; allowed is: :"),
        ("submit 3", "column 9", "found the end; allowed is: :"),
        ("submit; poll: html", "column 7", "found a new rule; allowed are: a number, every, :"),
        ("submit 0: reset", "column 8", "0 matches nothing: numbers are counted from 1"),
        ("poll every 0: reset", "column 12", "every 0 matches nothing; every 1 matches all"),
        ("submit 5-3: html", "column 8", "5-3 matches nothing: the smaller number is first"),
        ("submit of task 3: html", "column 8", "found 'of'; allowed are: a number, every, :"),
        ("poll of tsk 3: html", "column 9", "found 'tsk'; allowed is: task"),
        ("poll 3rd: html", "column 6", "found '3rd'; allowed are: a number, every, :, of task"),
        ("submit 3: restart after", "column 11", "found 'restart'; allowed are: status, refuse"),
        ("submit: expired", "column 9", "found 'expired'; allowed are: status, refuse, html"),
        ("task 1: html", "column 9", "found 'html'; allowed are: takes, fail"),
        ("submit: status", "column 15", "found the end; allowed is: a whole number"),
        ("submit: status 200", "column 16", "status is 200; allowed is 400 to 599"),
        ("submit: status 429 retry-after", "column 31", "allowed is: whole seconds such as 2s"),
        ("submit: status 429 retry-after 1.5s", "column 32", "found 1.5s; allowed are whole"),
        ("submit: delay 3", "column 15", "found '3'; allowed is: seconds such as 2s or 50ms"),
        ("submit: delay 90000s", "column 15", "seconds is 90000; allowed is 0 to 86400"),
        ("download: truncate 100%", "column 20", "percent is 100; allowed is 0 to 99"),
        ("submit: reset after 3", "column 21", "found '3'; allowed is: a new rule after ;"),
        ("submit: reset after before", "column 21", "found 'before'; allowed is: a new rule"),
        ("task 2: takes", "column 9", "takes needs either seconds or polls"),
        ("task 2: takes 2s 3 polls", "column 9", "takes needs either seconds or polls"),
        ("task 2: takes 3", "column 16", "found the end; allowed is: polls"),
        ('task 2: fail "\\q"', "column 14", "this is not a JSON string"),
        ('task 2: fail "no end', "column 14", 'allowed are: a whole number, a text in "double'),
        ("submit: html;\n poll: htm", "line 2, column 8", "found 'htm'; allowed are: status"),
    ],
)
def test_an_error_gives_the_position_and_what_is_allowed(
    script: str, place: str, problem: str
) -> None:
    with pytest.raises(ScriptError, match=f"^fault script, {place}: .*{re.escape(problem)}"):
        parse_script(script)


def test_an_error_shows_the_line_with_a_mark() -> None:
    with pytest.raises(ScriptError) as error:
        parse_script("submit: html\nsubmit 3: restart after")
    assert str(error.value).splitlines()[1:] == [
        "  submit 3: restart after",
        "            ^",
    ]


def test_the_page_for_tests_shows_every_action_of_every_subject() -> None:
    table = re.findall(
        r"^\| (`[a-z].*?) \| (`.*?) \|$", page("testing/README.md").text, re.MULTILINE
    )
    shown = set()
    for subjects, actions in table:
        for subject, action in product(
            re.findall(r"`(.+?)`", subjects), re.findall(r"`(.+?)`", actions)
        ):
            if subject in set(Subject):
                parse_script(f"{subject}: {action}")
                shown.add((subject, action.split()[0]))
    assert shown == {(subject, each) for subject, actions in ACTIONS.items() for each in actions}
