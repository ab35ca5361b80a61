"""The table of what an answer to a submit means, and the ids of submits that were accepted."""

import json
import re
from pathlib import Path

import pytest

from photoanimer_async import ApiError, TaskId, UnexpectedResponseError
from photoanimer_async.api import submit_answers, wire
from photoanimer_async.api.submit_answers import Meaning, meaning_of

from ..support.answers import answer

REFUSED, FOR_NOW, NOT_KNOWN = Meaning.REFUSED, Meaning.REFUSED_FOR_NOW, Meaning.NOT_KNOWN
HTML = b"<html>oops</html>"
TASK = 471367831765061


def envelope(code: object, data: object = None, msg: str = "") -> bytes:
    return json.dumps({"code": code, "data": data, "msg": msg}).encode()


@pytest.mark.parametrize(
    ("body", "status", "meaning"),
    [
        (envelope(429), 200, FOR_NOW),
        (envelope(1), 429, FOR_NOW),
        (HTML, 429, FOR_NOW),
        (envelope(77, msg="Too many requests"), 200, FOR_NOW),
        (envelope(77, msg="QPS exceeded"), 400, FOR_NOW),
        (envelope(503), 200, FOR_NOW),
        (envelope(1), 503, FOR_NOW),
        (envelope(4003), 200, REFUSED),
        (envelope(4001), 500, REFUSED),
        (envelope(7001), 200, REFUSED),
        (envelope(9010), 502, REFUSED),
        (envelope(400), 200, REFUSED),
        (envelope(404), 200, REFUSED),
        (envelope(1), 404, REFUSED),
        (HTML, 403, REFUSED),
        (HTML, 418, REFUSED),
        (envelope(77, msg="who knows"), 200, REFUSED),
        (envelope(-1), 200, REFUSED),
        (envelope(408), 200, NOT_KNOWN),
        (HTML, 408, NOT_KNOWN),
        (envelope(500), 200, NOT_KNOWN),
        (envelope(502), 200, NOT_KNOWN),
        (envelope(504), 400, NOT_KNOWN),
        (envelope(1), 500, NOT_KNOWN),
        (envelope(500), 503, NOT_KNOWN),
        (HTML, 500, NOT_KNOWN),
        (HTML, 503, NOT_KNOWN),
        (b"", 504, NOT_KNOWN),
        (b"", 302, NOT_KNOWN),
        (HTML, 200, NOT_KNOWN),
        (b'{"code": 0, "da', 200, NOT_KNOWN),
        (envelope(0), 200, NOT_KNOWN),
        (envelope(0), 500, NOT_KNOWN),
    ],
)
def test_every_answer_without_a_task_has_one_meaning(
    body: bytes, status: int, meaning: Meaning
) -> None:
    with pytest.raises((ApiError, UnexpectedResponseError)) as caught:
        wire.parse_submit(answer(body, status))
    assert isinstance(caught.value, ApiError | UnexpectedResponseError)
    assert meaning_of(caught.value) is meaning


@pytest.mark.parametrize(
    ("body", "status", "task_id"),
    [
        (envelope(0, TASK), 201, TASK),
        (envelope(0, TASK), 500, TASK),
        (envelope(0, TASK), 404, TASK),
        (envelope(0, 7), 302, 7),
        (envelope(500, TASK), 200, TASK),
        (envelope(77, TASK), 502, TASK),
        (envelope(200, TASK, "success"), 200, TASK),
        (envelope(0, {"taskId": TASK}), 200, TASK),
        (envelope(0, {"id": str(TASK)}), 200, str(TASK)),
        (envelope(0, [TASK]), 200, TASK),
        (envelope("zero", TASK), 200, TASK),
        (envelope(None, str(TASK)), 200, str(TASK)),
        (b'{"data": 471367831765061}', 200, TASK),
        (b'{"taskId": "6f9619ff-8b86-d011-b42d-00c04fc964ff"}', 200, None),
        (b'{"code": 0, "data": 4.71367831765061E14}', 200, TASK),
        (b'{"code": 0, "data": 471367831765061, "msg": "caf', 200, TASK),
        (b'{"code":0,"msg":"\\x","data":"471367831765061"}', 200, str(TASK)),
        (b'callback({"code": 0, "data": 42});', 200, 42),
    ],
)
def test_a_task_id_that_can_be_read_is_returned_whatever_else_is_wrong(
    body: bytes, status: int, task_id: TaskId | None
) -> None:
    expected = task_id or "6f9619ff-8b86-d011-b42d-00c04fc964ff"
    assert wire.parse_submit(answer(body, status)) == expected


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (envelope(4001, TASK), 200),
        (envelope(429, TASK), 200),
        (envelope(1, TASK), 404),
        (envelope(77, 12), 200),
        (envelope(77, "a reason"), 200),
        (envelope(0, True), 200),
        (envelope(0, 1e300), 200),
        (b'{"data": 5}', 200),
        (b'{"code": 0, "data": 47136783176', 200),
        (b'{"code": 0, "data": "no such ta', 200),
        (b'<html>"data": 12, </html>', 502),
    ],
)
def test_refusals_and_other_numbers_are_no_task_ids(body: bytes, status: int) -> None:
    with pytest.raises((ApiError, UnexpectedResponseError)):
        wire.parse_submit(answer(body, status))


def test_the_page_shows_the_same_table() -> None:
    def rows(text: str) -> list[str]:
        lines = re.findall(r"^\|.*\|$", text, re.MULTILINE)
        return [re.sub(r"\s+", " ", line) for line in lines if not line.startswith("|--")]

    page = Path(submit_answers.__file__).with_name("README.md").read_text()
    assert submit_answers.__doc__ is not None
    assert set(rows(submit_answers.__doc__)) <= set(rows(page))
