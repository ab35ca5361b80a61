"""`photoanimer animate --dry-run`."""

import re

from PIL import Image

from ..support.command_line import CommandLine
from ..support.pictures import saved
from ..support.stub_service import StubService
from .conftest import FACELESS, KEY, png


def test_it_shows_what_would_be_sent_and_sends_nothing(photoanimer: CommandLine) -> None:
    (photoanimer.folder / "anna.tif").write_bytes(saved(Image.new("RGB", (5000, 2500)), "TIFF"))
    (photoanimer.folder / "bert.png").write_bytes(png())
    (photoanimer.folder / "text.jpg").write_text("no photo")
    url = "http://127.0.0.1:9/a.jpg?sig=s3cret"
    done = photoanimer("animate", ".", url, "--dry-run", "--template", "2", "--gif")
    assert (done.returncode, done.stderr) == (1, "")
    assert re.sub(r"\d+ (KB|bytes)", r"N \1", done.stdout).splitlines() == [
        "anna.tif: prepared as JPEG 4096x2048, N KB; template 2, gif; 2.13 video seconds",
        "bert.png: PNG 16x16, N bytes; template 2, gif; 2.13 video seconds",
        "text.jpg: is text; allowed are PNG, JPEG, BMP, WEBP, HEIC, AVIF and TIFF",
        "http://127.0.0.1:9/a.jpg?…: template 2, gif; 2.13 video seconds",
        "",
        "Would be sent: 6.39 video seconds for 3 photos.",
        "1 cannot be sent.",
        "Nothing was sent.",
    ]
    assert not (photoanimer.folder / "animated").exists()


def test_it_leaves_out_what_is_paid_for(connected: CommandLine) -> None:
    for name, mark in (("anna.png", b""), ("sky.png", FACELESS)):
        (connected.folder / name).write_bytes(png(mark))
    connected("animate", "anna.png", "sky.png")
    (connected.folder / "new.png").write_bytes(png(b"new"))
    photos = ["anna.png", "sky.png", "new.png"]
    done = connected("animate", *photos, "--dry-run")
    assert "anna.png: saved already\n" in done.stdout
    assert "sky.png: failed in an earlier run; sent again only with --retry-failed" in done.stdout
    assert "7.13 video seconds for 1 photo.\n2 would not be sent again." in done.stdout
    again = connected("animate", *photos, "--dry-run", "--retry-failed")
    assert "14.26 video seconds for 2 photos" in again.stdout


def test_it_can_ask_the_hosts_of_urls(photoanimer: CommandLine, stub: StubService) -> None:
    url = f"{stub.base_url}/gone.jpg"
    done = photoanimer("animate", url, "--dry-run", "--check-urls")
    assert done.returncode == 1
    assert [request.method for request in stub.requests] == ["HEAD"]
    down = photoanimer("animate", "http://127.0.0.1:9/a.jpg", "--dry-run", "--check-urls")
    assert down.returncode == 1
    assert "http://127.0.0.1:9/a.jpg: its server does not answer" in down.stdout
    assert KEY not in down.stdout
