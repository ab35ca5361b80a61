"""What `photoanimer animate` keeps, and `resume`, `status` and `estimate`."""

import os
import pty
import signal

from .conftest import FACELESS, KEY, SLOW, CommandLine, Service, StubService, png, rest_of
from .test_animate import read_until, start_and_submit

JOURNAL = "out/photoanimer.journal"


def test_the_same_command_again_does_nothing_twice(connected: CommandLine) -> None:
    (connected.folder / "anna.png").write_bytes(png())
    first = connected("animate", "anna.png", "--out", "out")
    assert "1 of 1 finished" in first.stdout
    (connected.folder / "bert.png").write_bytes(png(b"another"))
    again = connected("animate", "anna.png", "bert.png", "--out", "out")
    assert again.returncode == 0
    assert again.stdout.count("submitted  ") == 1
    assert f"there      anna.png -> {connected.folder}/out/anna.mp4" in again.stdout
    assert "2 of 2 finished" in again.stdout
    assert "1 of them were there already" in again.stdout
    names = {path.name for path in (connected.folder / "out").iterdir()}
    kept = {"photoanimer.journal", "photoanimer.durations.json"}
    assert names == {"anna.mp4", "bert.mp4", *kept}


def test_a_batch_that_was_killed_goes_on(connected: CommandLine, service: Service) -> None:
    (connected.folder / "anna.png").write_bytes(png(SLOW))
    process, task_id = start_and_submit(connected, "animate", "anna.png", "--out", "out")
    process.send_signal(signal.SIGKILL)
    rest_of(process)
    seen = connected("status", JOURNAL).stdout
    assert "1 submitted  paid for; the service works on them" in seen
    assert "7.13 video seconds spent" in seen
    service.release()
    done = connected("resume", JOURNAL)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"submitted  {connected.folder}/anna.png (task {task_id})" in done.stdout
    assert (connected.folder / "out/anna.mp4").read_bytes() == b"a video"
    assert "1 saved" in connected("status", JOURNAL).stdout


def test_a_batch_can_be_looked_at_but_not_joined_while_it_runs(
    connected: CommandLine, service: Service
) -> None:
    (connected.folder / "anna.png").write_bytes(png(SLOW))
    process, _ = start_and_submit(connected, "animate", "anna.png", "--out", "out")
    assert "1 in all" in connected("status", JOURNAL).stdout
    refused = connected("resume", JOURNAL)
    assert refused.returncode == 1
    assert f"process {process.pid} is at work with this journal" in refused.stderr
    service.release()
    rest_of(process)
    assert process.returncode == 0


def test_what_failed_is_told_and_paid_for_again_only_with_an_option(
    connected: CommandLine,
) -> None:
    (connected.folder / "sky.png").write_bytes(png(FACELESS))
    connected("animate", "sky.png", "--out", "out")
    seen = connected("status", JOURNAL).stdout
    assert "1 failed" in seen
    assert "no person's face was found" in seen
    again = connected("resume", JOURNAL)
    assert again.returncode == 1
    assert "submitted  " not in again.stdout
    assert "failed in an earlier run" in again.stdout
    paid = connected("resume", JOURNAL, "--retry-failed")
    assert paid.stdout.count("submitted  ") == 1
    assert "14.26 video seconds spent" in connected("status", JOURNAL).stdout


def test_what_is_unclear_is_listed_with_what_is_known(
    photoanimer: CommandLine, stub: StubService
) -> None:
    connection = ["--api-key", KEY, "--base-url", stub.base_url]
    photoanimer("animate", "http://x.example/a.png?sig=s3cret", "--out", "out", *connection)
    seen = photoanimer("status", JOURNAL).stdout
    assert "1 ambiguous" in seen
    assert "7.13 more may have been charged" in seen
    assert "7.13 video seconds; nothing is known of what became of it" in seen
    assert "s3cret" not in seen
    listed = photoanimer("resume", JOURNAL, *connection)
    assert "1 unclear:" in listed.stdout
    assert stub.requests == ["submitTaskByUrl"]
    stub.task_id = 5
    photoanimer("resume", JOURNAL, "--resubmit-ambiguous", "7", *connection)
    assert stub.requests == ["submitTaskByUrl"]
    photoanimer("resume", JOURNAL, "--resubmit-ambiguous", "8", *connection)
    assert stub.requests.count("submitTaskByUrl") == 2


def test_a_limit_stops_and_a_higher_one_goes_on(connected: CommandLine) -> None:
    photos = ["a.png", "b.png", "c.png"]
    for photo in photos:
        (connected.folder / photo).write_bytes(png(photo.encode()))
    done = connected("animate", *photos, "--out", "out", "--max-seconds", "15")
    assert done.returncode == 1
    assert done.stdout.count("submitted  ") == 2
    assert "would exceed the limit of 15" in done.stdout
    assert f"photoanimer resume {JOURNAL}" in done.stdout
    assert connected("resume", JOURNAL, "--max-seconds", "22").returncode == 0


def test_much_is_not_spent_without_agreement(connected: CommandLine) -> None:
    photos = [f"{number}.png" for number in range(15)]
    for photo in photos:
        (connected.folder / photo).write_bytes(png(photo.encode()))
    done = connected("animate", *photos)
    assert done.returncode == 2
    assert "may cost 106.95 video seconds for 15 photos" in done.stderr
    assert "--yes" in done.stderr
    assert connected("animate", *photos, "--yes").returncode == 0


def test_at_a_terminal_it_is_asked(connected: CommandLine) -> None:
    photos = [f"{number}.png" for number in range(15)]
    for photo in photos:
        (connected.folder / photo).write_bytes(png(photo.encode()))
    terminal, inside = pty.openpty()
    with connected.start("animate", *photos, stdin=inside, stdout=inside) as process:
        os.close(inside)
        assert "106.95" in read_until(terminal, "Go on? [y/N] ")
        os.write(terminal, b"n\n")
        assert process.wait(timeout=10) == 2
        assert process.stderr is not None
        assert "nothing was begun" in process.stderr.read()
    os.close(terminal)


def test_estimate(photoanimer: CommandLine) -> None:
    for name in ("a.png", "b.png"):
        (photoanimer.folder / name).write_bytes(png())
    done = photoanimer("estimate", "a.png", "b.png", "--template", "2")
    assert (done.returncode, done.stdout) == (0, "4.26 video seconds for 2 photos\n")
    voice = ["--voice-url", "http://v.example/a.mp3"]
    assert "assumed" in photoanimer("estimate", "a.png", *voice).stdout
    known = photoanimer("estimate", "a.png", *voice, "--voice-seconds", "12.5")
    assert known.stdout.startswith("12.5 video seconds for 1 photo (a voice is assumed")


def test_what_is_no_journal_is_one_line(photoanimer: CommandLine) -> None:
    for command in ("status", "resume"):
        done = photoanimer(command, "no.journal", *(["--api-key", "k"] * (command == "resume")))
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "photoanimer: no.journal: there is no such journal\n"
    assert list(photoanimer.folder.iterdir()) == []
