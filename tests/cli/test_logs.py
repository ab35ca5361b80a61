"""The log of a service as JSON Lines."""

import json
import logging
import sys
from typing import Any

import pytest

from photoanimer_async.cli.logs import JsonLines, OneLine


def line(message: str, *args: object, error: bool = False) -> dict[str, Any]:
    info = sys.exc_info() if error else None
    record = logging.LogRecord("a.logger", logging.INFO, "path", 1, message, args, info)
    formatted = JsonLines().format(record)
    assert "\n" not in formatted
    parsed: dict[str, Any] = json.loads(formatted)
    return parsed


def test_values_keep_their_types() -> None:
    fields = line("task=%d event=accepted gif=%s how=%r at=%s", 7, True, 'a "b" c=d', None)
    assert fields.pop("time").endswith("+00:00")
    assert fields == {
        "level": "info",
        "logger": "a.logger",
        "task": 7,
        "event": "accepted",
        "gif": True,
        "how": 'a "b" c=d',
        "at": None,
    }


@pytest.mark.parametrize("message", ["started", "a=%s and more", "x=%s%s"])
def test_a_text_without_pairs_is_a_message(message: str) -> None:
    args = tuple(range(message.count("%")))
    assert line(message, *args)["message"] == message % args


@pytest.mark.parametrize(("text", "shown"), [("a\nb", "b"), ("", "ValueError")])
def test_a_warning_is_one_line_with_the_end_of_its_error(text: str, shown: str) -> None:
    error = ValueError(text)
    record = logging.LogRecord(
        "a", logging.WARNING, "path", 1, "%s failed", ("it",), (ValueError, error, None)
    )
    assert OneLine().format(record) == f"warning: it failed: {shown}"


def test_a_traceback_is_in_the_line() -> None:
    try:
        int("a\tb")
    except ValueError:
        fields = line("event=fault", error=True)
    assert fields["event"] == "fault"
    assert fields["traceback"].startswith("Traceback (most recent call last):\n")
