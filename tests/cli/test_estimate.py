"""`photoanimer estimate`."""

from ..support.command_line import CommandLine
from .conftest import png


def test_the_template_sets_the_price(photoanimer: CommandLine) -> None:
    for name in ("a.png", "b.png"):
        (photoanimer.folder / name).write_bytes(png())
    done = photoanimer("estimate", "a.png", "b.png", "--template", "2")
    assert (done.returncode, done.stdout) == (0, "4.26 video seconds for 2 photos\n")


def test_a_voice_is_assumed_to_cost_its_length(photoanimer: CommandLine) -> None:
    voice = ["--voice-url", "http://v.example/a.mp3"]
    assert "assumed" in photoanimer("estimate", "a.png", *voice).stdout
    known = photoanimer("estimate", "a.png", *voice, "--voice-seconds", "12.5")
    assert known.stdout.startswith("12.5 video seconds for 1 photo (a voice is assumed")


def test_photos_are_named_as_for_animate(photoanimer: CommandLine) -> None:
    (photoanimer.folder / "album/deep").mkdir(parents=True)
    (photoanimer.folder / "album/deep/a.png").write_bytes(png())
    (photoanimer.folder / "list.jsonl").write_text('{"photo": "b.png", "template": 2}\n')
    done = photoanimer("estimate", "album", "--recursive", "--manifest", "list.jsonl")
    assert (done.returncode, done.stdout) == (0, "9.26 video seconds for 2 photos\n")
