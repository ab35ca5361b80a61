"""Requests check their values, and no model shows a secret in its repr."""

from pathlib import Path

import pytest

from photoanimer_async import (
    AnimationOptions,
    AnimationRequest,
    InvalidPhotoError,
    InvalidRequestError,
    Outcome,
    OutputFormat,
    PhotoUrl,
    ProgressEvent,
    State,
    TaskInfo,
    TaskStatus,
    Template,
)


def test_template_prices_are_those_of_the_api_page() -> None:
    assert [template.seconds for template in Template] == [3.13, 7.13, 2.13, 6.75, 4.38, 3.75]


def test_plain_values_become_enums() -> None:
    options = AnimationOptions(template="4", output_format="gif")
    assert options.template is Template.T4
    assert options.output_format is OutputFormat.GIF
    assert AnimationOptions() == AnimationOptions(template=Template.T1, output_format="mp4")


@pytest.mark.parametrize("template", [-1, 6, 1.5, None, False, "", "1.0", "\u00b2"])
def test_an_unknown_template_is_refused(template: object) -> None:
    with pytest.raises(InvalidRequestError, match="allowed are 0, 1, 2, 3, 4, 5"):
        AnimationOptions(template=template)


@pytest.mark.parametrize("output_format", ["MP4", "webm", None, 1])
def test_an_unknown_format_is_refused(output_format: object) -> None:
    with pytest.raises(InvalidRequestError, match="allowed are mp4, gif"):
        AnimationOptions(output_format=output_format)


def test_a_repr_omits_queries_of_urls() -> None:
    url = "https://u:pw@host/a.jpg?sig=s3cret#frag"
    request = AnimationRequest(
        url, AnimationOptions(template=0, voice_url="https://host/v.mp3?sig=s3cret")
    )
    values = [
        request,
        Outcome(0, request),
        TaskInfo(1, TaskStatus.FINISHED, url, url, raw={"resultUrl": url}),
        ProgressEvent(0, url, State.PLANNED),
    ]
    for value in values:
        assert "host/a.jpg" in repr(value)
        assert "s3cret" not in repr(value)
        assert "pw" not in repr(value)
        assert "frag" not in repr(value)


def test_a_repr_omits_photo_contents() -> None:
    assert repr(AnimationRequest(b"\x89PNG" * 1000)).count("PNG") == 0


@pytest.mark.parametrize("text", ["/etc/passwd", "photo.jpg", "", "file:///a", "ftp://h/a.jpg"])
def test_a_photo_url_is_nothing_but_a_url(text: str) -> None:
    with pytest.raises(InvalidPhotoError, match="not an http or https URL"):
        PhotoUrl(text)


def test_a_photo_url_is_the_text() -> None:
    assert PhotoUrl("https://h/a.jpg?x=%2F") == "https://h/a.jpg?x=%2F"


def test_a_template_beyond_the_page_needs_its_price() -> None:
    assert AnimationOptions(template=12, seconds=5.0).template == 12
    with pytest.raises(InvalidRequestError, match=r"template is 12.*seconds="):
        AnimationOptions(template=12)
    with pytest.raises(InvalidRequestError, match="seconds"):
        AnimationOptions(template=12, seconds=-1.0)


def test_a_name_is_made_safe() -> None:
    assert AnimationRequest("a.jpg", name="gran\x1b[2J\ud800ma").name == "gran_[2J_ma"
    assert len(AnimationRequest("a.jpg", name="x" * 9000).name or "") == 255
    with pytest.raises(InvalidRequestError, match="name is 5"):
        AnimationRequest("a.jpg", name=5)


def test_a_voice_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="voice_url is malformed"):
        AnimationOptions(template=0, voice_url="http://v.example/\ud800.mp3")
    for name in ("\ud800.mp3", "a\0.mp3"):
        with pytest.raises(InvalidRequestError, match="voice: no file can"):
            AnimationOptions(template=0, voice=Path(name))
