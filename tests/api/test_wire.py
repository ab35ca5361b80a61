"""The API page's samples, word for word, and what may come instead."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async import (
    AnimationOptions,
    ApiError,
    AuthenticationError,
    InsufficientCreditsError,
    InvalidRequestError,
    PhotoAnimerError,
    RateLimitedError,
    RefusedRequestError,
    ServiceUnavailableError,
    TaskStatus,
    UnexpectedResponseError,
)
from photoanimer_async.api import wire
from photoanimer_async.api.wire import Answer

SUBMITTED = b'{"code": 0, "data": 123456, "msg": null, "time": 1615368038661}'
FINISHED = b"""{"code": 0, "data": {"taskId": 123456, "status": 1,
  "resultUrl": "http://xxxxxxxxxxx.mp4", "gifUrl": "http://xxxxxxxxxxx.gif"},
  "msg": null, "time": 1615368038661}"""


def answer(body: bytes, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, named, body, received_at=1_700_000_000.0)


def data(value: object) -> Answer:
    return answer(json.dumps({"code": 0, "data": value, "msg": "", "time": 1}).encode())


# --- the page ---


def test_submit_of_the_page() -> None:
    request = wire.build_submit("http://host/face.jpg", AnimationOptions(template=1))
    assert request.path == "/faceDriven/submitTaskByUrl"
    assert request.params == {"imageUrl": "http://host/face.jpg", "templateId": "1"}
    assert wire.parse_submit(answer(SUBMITTED)) == 123456


def test_submit_with_voice_and_gif() -> None:
    options = AnimationOptions(template=0, output_format="gif", voice_url="http://host/a.mp3")
    assert wire.build_submit("http://host/face.jpg", options).params == {
        "imageUrl": "http://host/face.jpg",
        "templateId": "0",
        "voiceUrl": "http://host/a.mp3",
        "outputFormat": "gif",
    }


def test_task_info_of_the_page() -> None:
    request = wire.build_get_task_info(123456)
    assert (request.path, request.params) == ("/faceDriven/getTaskInfo", {"taskId": "123456"})
    info = wire.parse_get_task_info(answer(FINISHED), 123456)
    assert info.task_id == 123456
    assert info.status is TaskStatus.FINISHED
    assert info.result_url == "http://xxxxxxxxxxx.mp4"
    assert info.gif_url == "http://xxxxxxxxxxx.gif"


def test_balance_with_and_without_video_seconds() -> None:
    balance = wire.parse_get_balance(
        data(
            {
                "monthBalance": 3.5,
                "imageBalance": 10,
                "videoBalance": 250.75,
                "monthStartDate": "2020-01-01 00:00:00",
                "monthExpireDate": "2020-02-01 00:00:00",
            }
        )
    )
    assert (balance.video, balance.month, balance.image) == (250.75, 3.5, 10.0)
    assert balance.month_expire == "2020-02-01 00:00:00"
    assert wire.parse_get_balance(data({"monthBalance": 1})).video is None


# --- task ids ---


@given(st.one_of(st.integers(min_value=0), st.uuids().map(str), st.integers(2**53).map(str)))
def test_a_task_id_comes_through_unchanged(task_id: int | str) -> None:
    assert wire.parse_submit(data(task_id)) == task_id
    info = wire.parse_get_task_info(data({"taskId": task_id, "status": 0}), task_id)
    assert info.task_id == task_id


def test_a_number_is_the_same_task_as_its_text() -> None:
    info = wire.parse_get_task_info(data({"taskId": 123456, "status": 0}), "123456")
    assert info.task_id == "123456"


@pytest.mark.parametrize("task_id", [None, "", True, 1.5, [], {"taskId": 1}])
def test_what_is_no_task_id_is_an_error_that_names_the_place(task_id: object) -> None:
    with pytest.raises(UnexpectedResponseError, match=r"\$\.data"):
        wire.parse_submit(data(task_id))


@pytest.mark.parametrize("task_id", ["", True, 1.5, None])
def test_what_is_no_task_id_is_not_asked_for(task_id: object) -> None:
    with pytest.raises(InvalidRequestError, match="task_id"):
        wire.build_get_task_info(task_id)  # type: ignore[arg-type] # that is the point


def test_an_answer_about_another_task_is_not_taken() -> None:
    with pytest.raises(UnexpectedResponseError, match="about task 2, not 1"):
        wire.parse_get_task_info(data({"taskId": 2, "status": 0}), 1)


# --- status ---


@pytest.mark.parametrize("status", [0, 3, -1, 99, "3"])
def test_a_status_that_is_neither_1_nor_2_is_pending(status: int) -> None:
    info = wire.parse_get_task_info(data({"taskId": 1, "status": status, "waitNumber": 4}), 1)
    assert info.status is TaskStatus.PROCESSING
    assert not info.ended
    assert info.raw["waitNumber"] == 4


def test_a_failed_task_keeps_its_reason() -> None:
    failed = {
        "taskId": 1,
        "status": 2,
        "failCode": 7001,
        "failReason": "no face in http://h/a?sig=1",
    }
    info = wire.parse_get_task_info(data(failed), 1)
    assert (info.status, info.fail_code) == (TaskStatus.FAILED, 7001)
    assert info.fail_reason == "no face in http://h/a?…"


def test_the_web_variant_names_its_link_otherwise() -> None:
    info = wire.parse_get_task_info(data({"status": 1, "previewUrl": "https://h/v.mp4"}), 7)
    assert (info.task_id, info.result_url) == (7, "https://h/v.mp4")


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (None, r"@ \$\.data"),
        ([], r"@ \$\.data"),
        ("text", r"@ \$\.data"),
        ({"taskId": 1}, r"required field missing @ \$\.data\.status"),
        ({"taskId": 1, "status": None}, r"@ \$\.data\.status"),
        ({"taskId": 1, "status": True}, r"@ \$\.data\.status"),
        ({"taskId": 1, "status": 1}, r"no link @ \$\.data\.resultUrl"),
        ({"taskId": 1, "status": 1, "resultUrl": None}, r"no link @ \$\.data\.resultUrl"),
        ({"taskId": 1, "status": 1, "resultUrl": ""}, r"no link @ \$\.data\.resultUrl"),
        ({"taskId": 1, "status": 1, "resultUrl": "file:///etc"}, r"@ \$\.data\.resultUrl"),
        ({"taskId": 1, "status": 1, "resultUrl": 5}, r"@ \$\.data\.resultUrl"),
    ],
)
def test_a_wrong_field_is_named_by_its_path(value: object, place: str) -> None:
    with pytest.raises(UnexpectedResponseError, match=place):
        wire.parse_get_task_info(data(value), 1)


# --- errors of the service ---


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
def test_errors_are_told_apart(code: int, msg: str, status: int, kind: type[ApiError]) -> None:
    body = json.dumps({"code": code, "data": None, "msg": msg, "requestId": "ab12"}).encode()
    with pytest.raises(kind) as caught:
        wire.parse_submit(answer(body, status))
    assert type(caught.value) is kind
    assert caught.value.code == code
    assert caught.value.message == msg
    assert caught.value.request_id == "ab12"
    assert caught.value.http_status == status


@pytest.mark.parametrize("body", [b"<html>", b"", b"{}", b'{"error": "x"}'])
def test_an_http_error_without_an_envelope_is_told_by_its_status(body: bytes) -> None:
    with pytest.raises(AuthenticationError) as caught:
        wire.parse_submit(answer(body, 401))
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
def test_what_is_no_envelope_is_an_unexpected_response(body: bytes, status: int) -> None:
    with pytest.raises(UnexpectedResponseError) as caught:
        wire.parse_submit(answer(body, status, content_type="text/html; charset=utf-8"))
    assert caught.value.http_status == status


def test_a_redirect_is_told_without_its_query() -> None:
    moved = answer(b"", 302, location="https://elsewhere.example/login?token=s3cret")
    with pytest.raises(UnexpectedResponseError, match=r"elsewhere\.example/login") as caught:
        wire.parse_submit(moved)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("999999999999", 86_400.0),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
        ("Tue, 14 Nov 2023 22:13:30", 10.0),
        ("Tue, 14 Nov 2000 00:00:00 GMT", 0.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("²", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(value: str, seconds: float | None) -> None:
    limited = answer(b"", 429, retry_after=value)
    assert wire.retry_after(limited) == seconds


@pytest.mark.parametrize("url", ["", "face.jpg", "ftp://host/a.jpg", "file:///a.jpg", None, 5])
def test_only_http_urls_go_out(url: object) -> None:
    with pytest.raises(InvalidRequestError, match="image_url"):
        wire.build_submit(url, AnimationOptions())  # type: ignore[arg-type] # that is the point


# --- anything at all ---

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.text() | st.sampled_from(["code", "data", "status", "taskId", "resultUrl", "msg"]),
            inner,
        )
    ),
)


@given(_json.map(lambda v: json.dumps(v).encode()) | st.binary(), st.integers(200, 599))
def test_any_answer_is_a_value_or_an_error_of_ours(body: bytes, status: int) -> None:
    for parse in (
        wire.parse_submit,
        wire.parse_get_balance,
        lambda a: wire.parse_get_task_info(a, 1),
    ):
        with contextlib.suppress(PhotoAnimerError):
            parse(answer(body, status))
