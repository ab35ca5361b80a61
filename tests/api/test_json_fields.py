"""JSON values are read strictly, and a wrong one is named by its path."""

import re

import pytest
from attrs import frozen

from photoanimer_async.api.json_fields import FieldError, Id, Link, Number, Text, structure


@frozen
class Fields:
    number: Number
    text: Text | None = None
    link: Link | None = None
    id: Id | None = None


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ({"number": 1}, Fields(Number(1))),
        ({"number": "-12", "unknown": []}, Fields(Number(-12))),
        ({"number": 1, "text": "a", "link": "http://h/", "id": "x"}, ("a", "http://h/", "x")),
        ({"number": 1, "text": None, "link": None, "id": None}, (None, None, None)),
        ({"number": 1, "text": "", "link": "", "id": 2**60}, ("", "", 2**60)),
    ],
)
def test_accepted_values(value: object, fields: object) -> None:
    found = structure(value, Fields, "$")
    assert fields in (found, (found.text, found.link, found.id))


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({}, "required field missing @ $.data.number"),
        ({"number": True}, "expected a whole number, not True @ $.data.number"),
        ({"number": "1.5"}, "expected a whole number, not '1.5' @ $.data.number"),
        ({"number": 1, "text": 5}, "expected a string, not 5 @ $.data.text"),
        ({"number": 1, "link": "ftp://h/"}, "expected an http or https URL"),
        ({"number": 1, "id": 1.5}, "expected a task id (number or string), not 1.5 @ $.data.id"),
        ({"number": None, "text": 5}, "@ $.data.number; expected a string, not 5 @ $.data.text"),
        ([], "@ $.data"),
    ],
)
def test_faults_name_their_paths(value: object, fault: str) -> None:
    with pytest.raises(FieldError, match=re.escape(fault)):
        structure(value, Fields, "$.data")
