"""The script language: what is written is read as the same, and what is none is explained."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async.testing import (
    Delay,
    Drip,
    Drop,
    Duplicate,
    Every,
    Expired,
    Fail,
    Html,
    Refuse,
    Reset,
    Rule,
    ScriptError,
    Span,
    Spans,
    Status,
    Subject,
    Takes,
    Timeout,
    Truncate,
    When,
    parse_script,
)

counts = st.integers(1, 999_999_999)
seconds = st.floats(0, 86_400)
retry_after = st.none() | st.integers(0, 86_400)
when = st.sampled_from(When)
texts = st.none() | st.text()

answering = st.one_of(
    st.builds(Status, st.integers(400, 599), retry_after, when),
    st.builds(Refuse, counts, texts, st.integers(200, 599), retry_after),
    st.builds(Html, when),
    st.builds(Reset, when),
    st.builds(Timeout, when),
    st.builds(Delay, seconds),
    st.builds(Drip, seconds),
    st.builds(Truncate, st.integers(0, 99)),
)
delivering = st.one_of(st.builds(Drop), st.builds(Duplicate), st.builds(Delay, seconds))
of_tasks = st.one_of(
    st.builds(lambda polls: Takes(polls=polls), counts),
    st.builds(Takes, seconds),
    st.builds(Fail, counts, texts),
)
spans = st.one_of(
    st.builds(Span, counts),
    st.tuples(counts, counts).map(lambda ends: Span(min(ends), max(ends))),
)
numbers = st.one_of(
    st.builds(Every, counts),
    st.lists(spans, min_size=1, max_size=4).map(lambda found: Spans(tuple(found))),
)
tasks = st.none() | numbers
rules = st.one_of(
    st.builds(Rule, st.sampled_from(["submit", "balance"]), answering, numbers),
    st.builds(Rule, st.just("poll"), answering, numbers, tasks),
    st.builds(Rule, st.just("download"), answering | st.builds(Expired), numbers, tasks),
    st.builds(Rule, st.just("notification"), delivering, numbers, tasks),
    st.builds(Rule, st.just("task"), of_tasks, numbers),
)


@given(st.lists(rules, max_size=5), st.sampled_from([";", "\n", " ; ", ";\n\n;"]))
def test_what_is_written_is_read_as_the_same(written: list[Rule], separator: str) -> None:
    assert parse_script(separator.join(map(str, written))) == tuple(written)


@given(st.text() | st.text(alphabet='submitpoltakrs :;,-0123456789%"\n.'))
def test_whatever_is_written_is_a_script_or_a_script_error(script: str) -> None:
    try:
        read = parse_script(script)
    except ScriptError:
        return
    assert parse_script("; ".join(map(str, read))) == read


@pytest.mark.parametrize(
    ("script", "rule"),
    [
        ("submit 3: reset after", Rule(Subject.SUBMIT, Reset(When.AFTER), 3)),
        ("SUBMIT 3 : Reset AFTER", Rule("submit", Reset("after"), 3)),
        ("submit 1: status 429 retry-after 2s", Rule("submit", Status(429, retry_after=2), 1)),
        ("submit 1: status 504 after", Rule("submit", Status(504, when="after"), 1)),
        ("submit: status after retry-after 2s 504", Rule("submit", Status(504, 2, "after"))),
        ("poll every 20: html", Rule("poll", Html(), Every(20))),
        ("poll 2-: timeout", Rule("poll", Timeout(), Spans((Span(2),)))),
        ("poll 1,3-4: drip 50ms", Rule("poll", Drip(0.05), Spans((Span(1, 1), Span(3, 4))))),
        ("poll 1 of task 2: delay 1.5s", Rule("poll", Delay(1.5), 1, of_task=2)),
        ("download of task every 2: expired", Rule("download", Expired(), of_task=Every(2))),
        ("download of task: truncate 50%", Rule("download", Truncate(50), of_task=Every())),
        ("task 2: takes 3 polls", Rule("task", Takes(polls=3), 2)),
        ("task 2: takes 1 poll", Rule("task", Takes(polls=1), 2)),
        ("task: takes 2s", Rule("task", Takes(2))),
        ('task 2: fail 9010 "no \\"ad\\""', Rule("task", Fail(9010, 'no "ad"'), 2)),
        ("task 2: fail", Rule("task", Fail(7001), 2)),
        ("balance: refuse 4003 status 401", Rule("balance", Refuse(4003, status=401))),
        ("notification 1: duplicate", Rule("notification", Duplicate(), 1)),
        ("notification of task 1: drop", Rule("notification", Drop(), of_task=1)),
    ],
)
def test_examples(script: str, rule: Rule) -> None:
    assert parse_script(script) == (rule,)


@pytest.mark.parametrize(
    ("script", "place", "problem"),
    [
        ("submti 3: reset", "column 1", "found 'submti'; allowed are: submit, poll, balance"),
        ("submit x: reset", "column 8", "found 'x'; allowed are: a number, every, :"),
        ("submit 3 reset", "column 10", "found 'reset'; allowed is: :"),
        ("submit 3", "column 9", "found the end; allowed is: :"),
        ("submit; poll: html", "column 7", "found a new rule; allowed are: a number, every, :"),
        ("submit 0: reset", "column 8", "0 is none of them: they are counted from 1"),
        ("poll every 0: reset", "column 6", "every 0 is none of them; every 1 is all of them"),
        ("submit 5-3: html", "column 8", "5-3 holds nothing: the smaller number is first"),
        ("submit of task 3: html", "column 8", "found 'of'; allowed are: a number, every, :"),
        ("poll of tsk 3: html", "column 9", "found 'tsk'; allowed is: task"),
        ("poll 3rd: html", "column 6", "found '3rd'; allowed are: a number, every, :, of task"),
        ("submit 3: restart after", "column 11", "found 'restart'; allowed are: status, refuse"),
        ("submit: expired", "column 9", "found 'expired'; allowed are: status, refuse, html"),
        ("task 1: html", "column 9", "found 'html'; allowed are: takes, fail"),
        ("submit: status", "column 15", "found the end; allowed is: a whole number"),
        ("submit: status 200", "column 9", "status is 200; allowed is 400 to 599"),
        ("submit: status 429 retry-after", "column 31", "allowed is: whole seconds such as 2s"),
        ("submit: status 429 retry-after 1.5s", "column 32", "found 1.5s; allowed are whole"),
        ("submit: delay 3", "column 15", "found '3'; allowed is: seconds such as 2s or 50ms"),
        ("submit: delay 90000s", "column 9", "seconds is 90000; allowed is 0 to 86400"),
        ("download: truncate 100%", "column 11", "percent is 100; allowed is 0 to 99"),
        ("submit: reset after 3", "column 21", "found '3'; allowed is: a new rule after ;"),
        ("submit: reset after before", "column 21", "found 'before'; allowed is: a new rule"),
        ("task 2: takes", "column 9", "takes needs either seconds or polls"),
        ("task 2: takes 2s 3 polls", "column 9", "takes needs either seconds or polls"),
        ("task 2: takes 3", "column 16", "found the end; allowed is: polls"),
        ('task 2: fail "\\q"', "column 14", "this is no text as JSON writes it"),
        ('task 2: fail "no end', "column 14", 'allowed are: a whole number, a text in "double'),
        ("submit: html;\n poll: htm", "line 2, column 8", "found 'htm'; allowed are: status"),
    ],
)
def test_what_is_none_is_explained(script: str, place: str, problem: str) -> None:
    with pytest.raises(ScriptError, match=f"^fault script, {place}: .*{re.escape(problem)}"):
        parse_script(script)


def test_the_mark_is_below_what_was_found() -> None:
    with pytest.raises(ScriptError) as error:
        parse_script("submit: html\nsubmit 3: restart after")
    assert str(error.value).splitlines()[1:] == [
        "  submit 3: restart after",
        "            ^",
    ]


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Rule("submit", Fail()), r"submit has no Fail\(.*; allowed are: Status, Refuse"),
        (lambda: Rule("submit", Html(), of_task=1), "of_task goes with poll, download, notif"),
        (lambda: Rule("upload", Html()), "'upload' is not a valid Subject"),
        (lambda: Rule("submit", Reset("later")), "'later' is not a valid When"),
        (lambda: Rule("submit", Html(), 0), "0 is none of them: they are counted from 1"),
        (Takes, "takes needs either seconds or polls"),
    ],
)
def test_rules_that_mean_nothing_are_refused(make: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        make()
