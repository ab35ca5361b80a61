"""An answer is the data of its envelope, or the error that it means."""

import json
import re

import pytest
from attrs import frozen

from photoanimer_async import (
    ApiError,
    AuthenticationError,
    InsufficientCreditsError,
    InvalidRequestError,
    RateLimitedError,
    RefusedRequestError,
    ServiceUnavailableError,
    UnexpectedResponseError,
)
from photoanimer_async.api.answers import (
    Answer,
    Id,
    Link,
    Number,
    Text,
    envelope_data,
    read_fields,
    require_task_id,
)

from ..support.answers import answer, data


def test_success_returns_the_data() -> None:
    assert envelope_data(data([1, "a"])) == [1, "a"]


@pytest.mark.parametrize(
    ("code", "msg", "status", "kind"),
    [
        (4003, "sign in", 200, AuthenticationError),
        (1100, "", 200, AuthenticationError),
        (4001, "", 200, InsufficientCreditsError),
        (77, "Insufficient credits, please top up", 200, InsufficientCreditsError),
        (7002, "", 200, RefusedRequestError),
        (40004, "no such task", 200, RefusedRequestError),
        (77, "who knows", 200, ApiError),
        (77, "", 401, AuthenticationError),
        (77, "", 402, InsufficientCreditsError),
        (77, "", 422, RefusedRequestError),
        (77, "", 429, RateLimitedError),
        (77, "", 503, ServiceUnavailableError),
        (0, "", 404, RefusedRequestError),
    ],
)
def test_codes_and_statuses_choose_the_error(
    code: int, msg: str, status: int, kind: type[ApiError]
) -> None:
    body = json.dumps({"code": code, "data": None, "msg": msg, "requestId": "ab12"}).encode()
    with pytest.raises(kind) as caught:
        envelope_data(answer(body, status))
    assert type(caught.value) is kind
    assert caught.value.code == code
    assert caught.value.message == msg
    assert caught.value.request_id == "ab12"
    assert caught.value.http_status == status


def test_the_id_of_a_request_shows_no_secret() -> None:
    request_id = "abcd1234 http://h/a.png?sig=s3cret"
    body = json.dumps({"code": 77, "data": None, "msg": "", "requestId": request_id}).encode()
    with pytest.raises(ApiError) as caught:
        envelope_data(Answer("test", 200, {}, body, received_at=0.0, secret="abcd1234"))
    assert caught.value.request_id == "... http://h/a.png?…"
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("body", [b"<html>", b"", b"{}", b'{"error": "x"}'])
def test_without_an_envelope_the_status_chooses_the_error(body: bytes) -> None:
    with pytest.raises(AuthenticationError) as caught:
        envelope_data(answer(body, 401))
    assert caught.value.code is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502 Bad Gateway</html>",
        b'{"code": 0, "data": 1234',
        b"[]",
        b"null",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"data": 1}',
        b'{"code": "ok", "data": 1}',
        b'{"code": 1.5, "data": 1}',
    ],
)
@pytest.mark.parametrize("status", [200, 502])
def test_other_bodies_are_unexpected(body: bytes, status: int) -> None:
    with pytest.raises(UnexpectedResponseError) as caught:
        envelope_data(answer(body, status, content_type="text/html; charset=utf-8"))
    assert caught.value.http_status == status


def test_a_redirect_is_unexpected_and_shown_without_its_query() -> None:
    moved = answer(b"", 302, location="https://elsewhere.example/login?token=s3cret")
    with pytest.raises(UnexpectedResponseError, match=r"elsewhere\.example/login") as caught:
        envelope_data(moved)
    assert "s3cret" not in str(caught.value)


def test_errors_omit_the_api_key_and_queries() -> None:
    body = b'{"code": 77, "msg": "key abcd1234 may not fetch http://h/a.jpg?sig=1"}'
    with pytest.raises(ApiError) as caught:
        envelope_data(Answer("test", 200, {}, body, received_at=0.0, secret="abcd1234"))
    assert caught.value.message == "key ... may not fetch http://h/a.jpg?…"


def test_errors_carry_retry_after() -> None:
    with pytest.raises(RateLimitedError) as limited:
        envelope_data(answer(b"", 429, retry_after="7"))
    with pytest.raises(UnexpectedResponseError) as down:
        envelope_data(answer(b"<html>", 503, retry_after="8"))
    assert (limited.value.retry_after, down.value.retry_after) == (7.0, 8.0)


# --- jSON values are read strictly, and a wrong one is named by its path ---


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
    found = read_fields(answer(b"{}"), value, Fields, "$")
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
        ([], "expected an object, not [] @ $.data"),
        ("number", "expected an object, not 'number' @ $.data"),
        (None, "expected an object, not None @ $.data"),
    ],
)
def test_faults_name_their_paths(value: object, fault: str) -> None:
    with pytest.raises(UnexpectedResponseError, match=re.escape(fault)):
        read_fields(answer(b"{}"), value, Fields, "$.data")


@pytest.mark.parametrize("task_id", ["", True, 1.5, None])
def test_a_task_id_of_another_type_is_refused(task_id: object) -> None:
    with pytest.raises(InvalidRequestError, match="task_id"):
        require_task_id(task_id)
