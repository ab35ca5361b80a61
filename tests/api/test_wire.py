"""The API page's samples, and the deviations that are accepted or refused."""

import contextlib
import json
from string import printable
from urllib.parse import parse_qsl, quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async import (
    AnimationOptions,
    ApiError,
    InvalidRequestError,
    PhotoAnimerError,
    TaskStatus,
    UnexpectedResponseError,
)
from photoanimer_async.api import wire
from photoanimer_async.api.answers import require_task_id

from ..support.answers import answer, data

SUBMITTED = b'{"code": 0, "data": 123456, "msg": null, "time": 1615368038661}'
ODD_NUMBERS = ["NaN", "Infinity", "-1", "100.5", "1e400", "true", '"50"', "[]", "9" * 300]
FINISHED = b"""{"code": 0, "data": {"taskId": 123456, "status": 1,
  "resultUrl": "http://xxxxxxxxxxx.mp4", "gifUrl": "http://xxxxxxxxxxx.gif"},
  "msg": null, "time": 1615368038661}"""


def test_the_submit_sample_of_the_api_page() -> None:
    request = wire.build_submit("http://host/face.jpg", AnimationOptions(template=1))
    assert request.path == "/faceDriven/submitTaskByUrl"
    assert request.query == "imageUrl=http%3A%2F%2Fhost%2Fface.jpg&templateId=1"
    assert wire.parse_submit(answer(SUBMITTED)) == 123456


def test_submit_with_voice_and_gif() -> None:
    options = AnimationOptions(template=0, output_format="gif", voice_url="http://host/a.mp3")
    assert dict(parse_qsl(wire.build_submit("http://host/face.jpg", options).query)) == {
        "imageUrl": "http://host/face.jpg",
        "templateId": "0",
        "voiceUrl": "http://host/a.mp3",
        "outputFormat": "gif",
    }


def test_the_task_info_sample_of_the_api_page() -> None:
    request = wire.build_get_task_info(123456)
    assert (request.path, request.query) == ("/faceDriven/getTaskInfo", "taskId=123456")
    info = wire.parse_get_task_info(answer(FINISHED), 123456)
    assert info.task_id == 123456
    assert info.status is TaskStatus.FINISHED
    assert info.result_url == "http://xxxxxxxxxxx.mp4"
    assert info.gif_url == "http://xxxxxxxxxxx.gif"


@pytest.mark.parametrize("wrong", [None, [], ["videoBalance"], "none", 5])
def test_a_balance_that_is_no_object_is_refused(wrong: object) -> None:
    with pytest.raises(UnexpectedResponseError, match=r"expected an object, not .* @ \$\.data"):
        wire.parse_get_balance(data(wrong))


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


@given(st.text() | st.text(printable))
def test_a_value_in_a_query_arrives_as_it_is(value: str) -> None:
    with contextlib.suppress(UnicodeEncodeError):  # half a surrogate pair is refused before
        assert wire.encoded(value) == quote(value, "")


# --- task ids ---


@given(st.one_of(st.integers(min_value=0), st.uuids().map(str), st.integers(2**53).map(str)))
def test_a_task_id_is_returned_unchanged(task_id: int | str) -> None:
    assert wire.parse_submit(data(task_id)) == task_id
    info = wire.parse_get_task_info(data({"taskId": task_id, "status": 0}), task_id)
    assert info.task_id == task_id


def test_a_task_id_may_be_its_number_as_a_string() -> None:
    info = wire.parse_get_task_info(data({"taskId": 123456, "status": 0}), "123456")
    assert info.task_id == "123456"


@pytest.mark.parametrize("task_id", [None, "", True, 1.5, [], {"task": 1}])
def test_an_answer_without_a_task_id_is_unexpected(task_id: object) -> None:
    with pytest.raises(UnexpectedResponseError, match=r"\$\.data"):
        wire.parse_submit(data(task_id))


def test_an_answer_about_another_task_is_unexpected() -> None:
    with pytest.raises(UnexpectedResponseError, match="about task 2, not 1"):
        wire.parse_get_task_info(data({"taskId": 2, "status": 0}), 1)


# --- status ---


@pytest.mark.parametrize(
    ("written", "read"),
    [("0", 0), ("99.5", 99.5), ("100", 100), *((odd, None) for odd in ODD_NUMBERS)],
)
def test_progress_is_a_number_from_0_to_100(written: str, read: float | None) -> None:
    body = f'{{"code": 0, "data": {{"status": 0, "percentage": {written}}}}}'.encode()
    assert wire.parse_get_task_info(answer(body), 1).percentage == read


@pytest.mark.parametrize("odd", ["NaN", "Infinity", "-1e400"])
def test_a_balance_that_is_no_number_is_not_known(odd: str) -> None:
    body = f'{{"code": 0, "data": {{"videoBalance": {odd}, "monthBalance": 5}}}}'.encode()
    balance = wire.parse_get_balance(answer(body))
    assert (balance.video, balance.month) == (None, 5)


@pytest.mark.parametrize("status", [0, 3, -1, 99, "3"])
def test_any_status_but_1_and_2_is_processing(status: int) -> None:
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


def test_the_link_may_be_named_preview_url() -> None:
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


@pytest.mark.parametrize("url", ["", "face.jpg", "ftp://host/a.jpg", "file:///a.jpg", None, 5])
def test_only_http_urls_are_sent(url: object) -> None:
    with pytest.raises(InvalidRequestError, match="image_url"):
        wire.build_submit(url, AnimationOptions())  # type: ignore[arg-type] # also other types


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
def test_any_answer_gives_a_value_or_an_error(body: bytes, status: int) -> None:
    for parse in (
        wire.parse_submit,
        wire.parse_get_balance,
        lambda a: wire.parse_get_task_info(a, 1),
    ):
        with contextlib.suppress(PhotoAnimerError):
            parse(answer(body, status))


# --- untrusted text ---

HALF = "\ud83d"
HOSTILE = f"no face {HALF}\x1b[2J\x00\n" + 10_000 * "x"


def test_texts_of_a_task_are_made_safe() -> None:
    failed = {"taskId": 1, "status": 2, "failCode": HOSTILE, "failReason": HOSTILE, HALF: [HALF]}
    info = wire.parse_get_task_info(data(failed), 1)
    for text in (info.fail_reason, info.fail_code):
        assert isinstance(text, str)
        assert text.isprintable()
        assert len(text) <= 1000
    assert info.raw["\ufffd"] == ["\ufffd"]
    json.dumps(info.raw, ensure_ascii=False).encode()


def test_an_api_error_is_one_safe_line() -> None:
    body = {"code": 4001, "data": None, "msg": HOSTILE, "requestId": HOSTILE}
    with pytest.raises(ApiError) as caught:
        wire.parse_submit(answer(json.dumps(body).encode()))
    for text in (str(caught.value), caught.value.message, caught.value.request_id or ""):
        assert text.isprintable()
        assert len(text) <= 1000


def test_an_answer_in_cesu_8_keeps_its_characters() -> None:
    info = wire.parse_get_task_info(
        answer(b'{"code": 0, "data": {"status": 2, "failReason": "\xed\xa0\xbd\xed\xb8\x80"}}'), 1
    )
    assert info.fail_reason == "\U0001f600"


@pytest.mark.parametrize("task_id", [HALF, "a\x00b", "a\r\nb", "\x1b[2J", "9" * 257, 10**256])
def test_an_id_that_cannot_be_sent_and_shown_is_none(task_id: object) -> None:
    with pytest.raises(UnexpectedResponseError, match="expected a task id") as caught:
        wire.parse_submit(data(task_id))
    assert str(caught.value).isprintable()
    with pytest.raises(InvalidRequestError, match="task_id is") as refused:
        require_task_id(task_id)
    assert str(refused.value).isprintable()


def test_a_link_with_white_space_around_it_is_taken() -> None:
    info = wire.parse_get_task_info(data({"status": 1, "resultUrl": " http://h/a.mp4\n"}), 1)
    assert info.result_url == "http://h/a.mp4"


def test_a_submit_of_a_url_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="image_url"):
        wire.build_submit(f"http://host/{HALF}.jpg", AnimationOptions())
