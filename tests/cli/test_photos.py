"""Photos as people have them: folders, lists, manifests, formats; and what would be sent."""

import io
import os
import re
import subprocess
from pathlib import Path

from PIL import Image

from .conftest import COMMAND, FACELESS, KEY, CommandLine, StubService, png


def tiff(width: int = 64, height: int = 48) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "tan").save(file, "TIFF")
    return file.getvalue()


def results(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix in {".mp4", ".gif"}}


def test_photos_are_prepared_unless_that_is_declined(connected: CommandLine) -> None:
    (connected.folder / "anna.tif").write_bytes(tiff())
    refused = connected("animate", "anna.tif", "--no-prepare", "--no-journal")
    assert refused.returncode == 1
    assert "anna.tif: is a TIFF; allowed are PNG, JPEG, BMP and WEBP" in refused.stdout
    done = connected("animate", "anna.tif")
    assert (done.returncode, done.stderr) == (0, "")
    assert results(connected.folder / "animated") == {"anna.mp4"}


def test_a_manifest_gives_each_photo_its_own_options(connected: CommandLine) -> None:
    (connected.folder / "album").mkdir()
    (connected.folder / "album/anna.png").write_bytes(png())
    (connected.folder / "album/list.csv").write_text(
        "photo,template,format,name\nanna.png,2,,\nanna.png,3,gif,Anna laughs.gif\n"
    )
    done = connected("animate", "--manifest", "album/list.csv", "--out", "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert results(connected.folder / "out") == {"anna.mp4", "Anna laughs.gif"}
    assert "8.88 video seconds spent" in connected("status", "out/photoanimer.journal").stdout


def test_a_fault_in_a_manifest_stops_all_before_anything_is_begun(connected: CommandLine) -> None:
    (connected.folder / "anna.png").write_bytes(png())
    (connected.folder / "list.csv").write_text("photo,template\nanna.png,1\nanna.png,9\n")
    done = connected("animate", "--manifest", "list.csv")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "photoanimer: list.csv line 3, column template: found '9'; allowed: 0, 1, 2, 3, 4, 5\n"
    )
    assert not (connected.folder / "animated").exists()


def test_a_list_on_standard_input(connected: CommandLine) -> None:
    (connected.folder / "two\nlines.png").write_bytes(png())
    (connected.folder / "b.png").write_bytes(png(b"another"))
    done = subprocess.run(
        ["bash", "-c", "find . -name '*.png' -print0 | photoanimer animate - --out out"],
        cwd=connected.folder,
        env=connected.environment | {"PATH": f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "2 of 2 finished" in done.stdout
    assert results(connected.folder / "out") == {"two_lines.mp4", "b.mp4"}


def test_hostile_files_get_a_line_each_and_the_batch_goes_on(connected: CommandLine) -> None:
    folder = connected.folder / "photos"
    (folder / "deep").mkdir(parents=True)
    (folder / "good.png").write_bytes(png())
    (folder / "deep/sky.png").write_bytes(png(FACELESS))
    (folder / "deep/round").symlink_to("..")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(folder / "pipe.jpg")
    for name in (b"two\nlines.jpg", b"tab\t\x1b[31mred.jpg", "👵🏽 '\".jpg".encode(), b"\xe9.jpg"):
        (folder / os.fsdecode(name)).write_bytes(b"no photo")
    done = connected("animate", "photos", "--recursive", "--out", "out")
    assert (done.returncode, done.stderr) == (1, "")
    assert results(connected.folder / "out") == {"good.mp4"}
    assert "1 of 8 finished" in done.stdout
    assert "is a pipe" in done.stdout
    assert "Too many levels of symbolic links" in done.stdout
    for shown in (r"two\nlines.jpg", r"tab\t\x1b[31mred.jpg", "👵🏽 '\".jpg", r"\udce9.jpg"):
        assert shown in done.stdout
    assert all(line.isprintable() for line in done.stdout.splitlines())


class TestDryRun:
    def test_shows_what_would_be_sent_and_sends_nothing(self, photoanimer: CommandLine) -> None:
        (photoanimer.folder / "anna.tif").write_bytes(tiff(5000, 2500))
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
            "1 can not be sent.",
            "Nothing was sent.",
        ]
        assert not (photoanimer.folder / "animated").exists()

    def test_leaves_out_what_is_paid_for(self, connected: CommandLine) -> None:
        for name, mark in (("anna.png", b""), ("sky.png", FACELESS)):
            (connected.folder / name).write_bytes(png(mark))
        connected("animate", "anna.png", "sky.png")
        (connected.folder / "new.png").write_bytes(png(b"new"))
        photos = ["anna.png", "sky.png", "new.png"]
        done = connected("animate", *photos, "--dry-run")
        assert "anna.png: saved already\n" in done.stdout
        assert "sky.png: failed in an earlier run; sent again only with --retry-failed" in (
            done.stdout
        )
        assert "7.13 video seconds for 1 photo.\n2 would not be sent again." in done.stdout
        again = connected("animate", *photos, "--dry-run", "--retry-failed")
        assert "14.26 video seconds for 2 photos" in again.stdout

    def test_may_ask_the_hosts_of_urls(self, photoanimer: CommandLine, stub: StubService) -> None:
        done = photoanimer("animate", f"{stub.origin}/gone.jpg", "--dry-run", "--check-urls")
        assert done.returncode == 0  # the stub takes no HEAD, from which nothing follows
        down = photoanimer("animate", "http://127.0.0.1:9/a.jpg", "--dry-run", "--check-urls")
        assert down.returncode == 1
        assert "its server does not answer: connection failed" in down.stdout
        assert KEY not in down.stdout


def test_estimate_takes_the_same_photos(photoanimer: CommandLine) -> None:
    (photoanimer.folder / "album/deep").mkdir(parents=True)
    (photoanimer.folder / "album/deep/a.png").write_bytes(png())
    (photoanimer.folder / "list.jsonl").write_text('{"photo": "b.png", "template": 2}\n')
    done = photoanimer("estimate", "album", "--recursive", "--manifest", "list.jsonl")
    assert (done.returncode, done.stdout) == (0, "9.26 video seconds for 2 photos\n")
