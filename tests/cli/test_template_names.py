"""The templates' names, and results that are named by them."""

from typing import get_args

from photoanimer_async import AnimationOptions, AnimationRequest, Template
from photoanimer_async.cli.earlier_photos import EarlierPhoto, source_of
from photoanimer_async.cli.template_names import TEMPLATES, TemplateName, name_by_expression
from photoanimer_async.jobs.lifecycle import State

from ..support.command_line import CommandLine
from .conftest import png


def request(photo: str, template: int, name: str | None = None) -> AnimationRequest:
    return AnimationRequest(photo, AnimationOptions(template=template), name)


def test_each_template_has_a_number_and_a_name() -> None:
    assert {*get_args(TemplateName)} == {*TEMPLATES}
    assert TEMPLATES["3"] is TEMPLATES["laughter"] is Template.T3
    assert len(TEMPLATES) == 12


def test_the_help_lists_the_names(photoanimer: CommandLine) -> None:
    shown = photoanimer("animate", "--help").stdout
    assert all(template.expression in shown for template in Template)


class TestNames:
    def test_are_the_photos_if_each_has_one_expression(self) -> None:
        requests = [request("a.jpg", 2), request("b.jpg", 3), request("b.jpg", 3)]
        assert name_by_expression(requests) == requests

    def test_have_the_expression_if_a_photo_has_several(self) -> None:
        url = "https://x.example/anna.jpg?sig=1"
        requests = [request("a.jpg", 2), request("./a.jpg", 5), request(url, 1), request(url, 3)]
        named = name_by_expression([*requests, request("a.jpg", 0, "Hello")])
        assert [one.name for one in named] == [
            "a-wink", "a-kiss", "anna-looking-around", "anna-laughter", "Hello"
        ]  # fmt: skip

    def test_have_the_expression_if_an_earlier_batch_had_another(self) -> None:
        earlier = [EarlierPhoto(source_of("a.jpg"), 2, State.FAILED)]
        assert name_by_expression([request("a.jpg", 2)], earlier)[0].name is None
        assert name_by_expression([request("a.jpg", 5)], earlier)[0].name == "a-kiss"


def test_one_photo_with_one_expression_after_another(connected: CommandLine) -> None:
    (connected.folder / "anna.png").write_bytes(png())
    for template in ("wink", "laughter", "5", "wink"):
        assert connected("animate", "anna.png", "--template", template).returncode == 0
    names = {path.name for path in (connected.folder / "animated").glob("*.mp4")}
    assert names == {"anna.mp4", "anna-laughter.mp4", "anna-kiss.mp4"}


def test_a_manifest_takes_names(connected: CommandLine) -> None:
    (connected.folder / "anna.png").write_bytes(png())
    (connected.folder / "list.csv").write_text("photo,template\nanna.png,Kiss\nanna.png,0\n")
    assert connected("animate", "--manifest", "list.csv").returncode == 0
    names = {path.name for path in (connected.folder / "animated").glob("*.mp4")}
    assert names == {"anna-kiss.mp4", "anna-talking.mp4"}
