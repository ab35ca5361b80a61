"""`--json`: the events, as a program reads them, and the page that describes them."""

import json
import re
import signal
from typing import Any, get_args

import attrs
import pytest

from photoanimer_async.cli.json_report import Event, PhotoEvent

from ..support.command_line import CommandLine, Finished, rest_of
from ..support.pages import page
from ..support.stub_service import StubService, drop_connection
from .conftest import FACELESS, KEY, SLOW, Service, png


def events(done: Finished) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_animate_tells_each_step_and_a_summary(connected: CommandLine) -> None:
    folder = connected.folder / "photos"
    folder.mkdir()
    for name in ("anna.png", "b\n\udce9.png", "clip.mp4"):
        (folder / name).write_bytes(png(name.encode(errors="ignore")))
    (folder / "sky.png").write_bytes(png(FACELESS))
    done = connected("animate", "photos", "gone.png", "--out", "out", "--json")
    assert (done.returncode, done.stderr) == (1, "")
    first, *photos, summary = events(done)
    assert first == {"event": "skipped", "counts": {"video": 1}}
    by_photo = {(each["photo"], each["event"]): each for each in photos}
    anna = by_photo["photos/anna.png", "saved"]
    assert (anna["index"], anna["file"], anna["earlier"]) == (0, "out/anna.mp4", False)
    assert anna["task"] == by_photo["photos/anna.png", "submitted"]["task"]
    assert anna["seconds"] > 0
    assert ("photos/b\n\udce9.png", "saved") in by_photo
    sky = by_photo["photos/sky.png", "failed"]
    assert (sky["error"], sky["task"] is not None) == ("TaskFailedError", True)
    assert sky["reason"].startswith("no person's face was found")
    gone = by_photo["gone.png", "failed"]
    assert (gone["error"], gone["task"]) == ("InvalidPhotoError", None)
    counts = {name: summary[name] for name in ("photos", "saved", "failed", "remaining")}
    assert counts == {"photos": 4, "saved": 2, "failed": 2, "remaining": 0}
    assert (summary["event"], summary["interrupted"], summary["next"]) == ("summary", False, None)


def test_resume_and_status_tell_what_is_there(connected: CommandLine) -> None:
    (connected.folder / "anna.png").write_bytes(png())
    connected("animate", "anna.png", "--out", "out")
    photo, batch = events(connected("status", "out", "--json"))
    assert photo["photo"] == str(connected.folder / "anna.png")
    assert (photo["state"], photo["template"], photo["is_there"]) == ("saved", 1, True)
    assert photo["file"] == str(connected.folder / "out/anna.mp4")
    assert (batch["states"], batch["finished"], batch["spent"]) == ({"saved": 1}, True, 7.13)
    (connected.folder / "out/anna.mp4").unlink()
    photo, batch = events(connected("status", "out", "--json"))
    assert (photo["is_there"], batch["finished"]) == (False, False)
    *_, summary = events(connected("resume", "out", "--json"))
    assert (summary["photos"], summary["saved"]) == (1, 1)
    [summary] = events(connected("resume", "out", "--json"))
    assert (summary["event"], summary["photos"]) == ("summary", 0)


def test_an_interrupted_batch_names_the_command_that_goes_on(
    connected: CommandLine, service: Service
) -> None:
    (connected.folder / "anna.png").write_bytes(png(SLOW))
    process = connected.start("animate", "anna.png", "--json")
    assert process.stdout is not None
    task = json.loads(process.stdout.readline())["task"]
    process.send_signal(signal.SIGINT)
    printed, _ = rest_of(process)
    [summary] = [json.loads(line) for line in printed.splitlines()]
    assert (summary["interrupted"], summary["remaining"]) == (True, 1)
    assert summary["next"][1:] == ["resume", "animated/photoanimer.journal"]
    service.release()
    waited = events(connected("wait", str(task), "--json"))
    assert [each["event"] for each in waited] == ["saved", "summary"]
    assert (waited[0]["photo"], waited[0]["task"]) == (None, str(task))


def test_an_unclear_photo_is_reported_as_such(photoanimer: CommandLine, stub: StubService) -> None:
    stub.submit_script = [drop_connection]
    connection = ["--api-key", KEY, "--base-url", stub.base_url]
    photo = "http://x.example/a.png?sig=s3cret"
    done = photoanimer("animate", photo, *connection, "--json")
    unclear, summary = events(done)
    assert (unclear["event"], unclear["error"]) == ("unclear", "AmbiguousSubmitError")
    assert unclear["photo"] == "http://x.example/a.png?…"
    assert summary["unclear"] == 1
    assert "s3cret" not in done.stdout


def test_estimate_and_balance_are_one_event(connected: CommandLine) -> None:
    (connected.folder / "anna.png").write_bytes(png())
    [cost] = events(connected("estimate", "anna.png", "--template", "kiss", "--json"))
    assert cost["event"] == "estimate"
    assert (cost["photos"], cost["video_seconds"]) == (1, 3.75)
    [left] = events(connected("balance", "--json"))
    assert (left["event"], left["video"]) == ("balance", 123.5)


def test_much_is_not_spent_without_yes(connected: CommandLine) -> None:
    photos = [f"{number}.png" for number in range(15)]
    for photo in photos:
        (connected.folder / photo).write_bytes(png(photo.encode()))
    done = connected("animate", *photos, "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--yes" in done.stderr


@pytest.mark.parametrize("event", get_args(Event))
def test_the_page_describes_all_fields(event: type[Any]) -> None:
    names = [*get_args(attrs.fields(event).event.type)]
    rows = re.findall(r"^\| ([^|]+) \|([^|]*)\|", page("cli/README.md").text, re.MULTILINE)
    described = {name: row for names, row in rows for name in re.findall(r"`(\w+)`", names)}
    fields = {field.name for field in attrs.fields(event)} - {"event"}
    for name in names:
        assert {*re.findall(r"`(\w+)`", described[name])} >= fields, name


def test_each_result_has_an_event() -> None:
    assert {*get_args(attrs.fields(PhotoEvent).event.type)} == {
        "submitted", "saved", "failed", "unclear", "uncollected"
    }  # fmt: skip
