"""`photoanimer resume`: batches that were killed, or that failed."""

import re
import signal

from ..support.command_line import CommandLine, rest_of
from ..support.stub_service import StubService, drop_connection
from .conftest import FACELESS, KEY, SLOW, VIDEO, Service, png

JOURNAL = "out/photoanimer.journal"


def test_a_killed_batch_is_continued(connected: CommandLine, service: Service) -> None:
    (connected.folder / "anna.png").write_bytes(png(SLOW))
    process, task_id = connected.start_and_submit("animate", "anna.png", "--out", "out")
    process.send_signal(signal.SIGKILL)
    rest_of(process)
    seen = connected("status", JOURNAL).stdout
    assert "1 submitted  paid for; the service is working on them" in seen
    assert "7.13 video seconds spent" in seen
    service.release()
    done = connected("resume", JOURNAL)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"submitted  {connected.folder}/anna.png (task {task_id})" in done.stdout
    assert (connected.folder / "out/anna.mp4").read_bytes() == VIDEO
    assert "1 saved" in connected("status", JOURNAL).stdout


def test_a_deleted_result_is_listed_and_downloaded_again(
    connected: CommandLine, service: Service
) -> None:
    (connected.folder / "anna.png").write_bytes(png())
    connected("animate", "anna.png", "--out", "out")
    video = connected.folder / "out" / "anna.mp4"
    video.unlink()
    seen = connected("status", JOURNAL).stdout
    assert "no longer where they were saved:" in seen
    assert f"not at {video}; the same batch downloads it again" in seen
    done = connected("resume", JOURNAL)
    assert done.returncode == 0
    assert "submitted  " not in done.stdout
    assert video.read_bytes() == VIDEO
    assert "no longer" not in connected("status", JOURNAL).stdout


def test_a_running_batch_has_a_status_but_is_not_resumed(
    connected: CommandLine, service: Service
) -> None:
    (connected.folder / "anna.png").write_bytes(png(SLOW))
    process, _ = connected.start_and_submit("animate", "anna.png", "--out", "out")
    assert "1 in all" in connected("status", JOURNAL).stdout
    refused = connected("resume", JOURNAL)
    assert refused.returncode == 1
    assert f"process {process.pid} " in refused.stderr
    service.release()
    rest_of(process)
    assert process.returncode == 0


def test_failed_photos_are_paid_for_again_only_with_the_option(connected: CommandLine) -> None:
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


def test_a_photo_that_cannot_be_sent_is_named_once(connected: CommandLine) -> None:
    (connected.folder / "small.png").write_bytes(png()[:-40])
    first = connected("animate", "small.png", "--out", "out")
    [reason] = re.findall(r"(?m)^  small.png: (.*)$", first.stdout)
    assert f"small.png: {reason}\n" in connected("status", JOURNAL).stdout
    again = connected("animate", "small.png", "--out", "out")
    assert f"\n  small.png: failed in an earlier run: {reason}\n" in again.stdout


def test_unclear_photos_are_submitted_again_only_with_the_option(
    photoanimer: CommandLine, stub: StubService
) -> None:
    stub.submit_script = [drop_connection, drop_connection]
    connection = ["--api-key", KEY, "--base-url", stub.base_url]
    photoanimer("animate", "http://x.example/a.png?sig=s3cret", "--out", "out", *connection)
    seen = photoanimer("status", JOURNAL).stdout
    assert "1 ambiguous" in seen
    assert "7.13 more may have been charged" in seen
    assert "7.13 video seconds; nothing is known about whether it was accepted" in seen
    assert "s3cret" not in seen
    listed = photoanimer("resume", JOURNAL, *connection)
    assert "1 unclear:" in listed.stdout
    again = f"photoanimer resume {JOURNAL} "
    assert again in listed.stdout
    assert "--resubmit-ambiguous SECONDS\n" in listed.stdout
    photoanimer("resume", JOURNAL, "--resubmit-ambiguous", "7", *connection)
    assert len(stub.submits) == 1
    photoanimer("resume", JOURNAL, "--resubmit-ambiguous", "8", *connection)
    assert len(stub.submits) == 2


def test_a_limit_stops_a_batch_and_a_higher_one_continues_it(connected: CommandLine) -> None:
    photos = ["a.png", "b.png", "c.png"]
    for photo in photos:
        (connected.folder / photo).write_bytes(png(photo.encode()))
    done = connected("animate", *photos, "--out", "out", "--max-seconds", "15")
    assert done.returncode == 1
    assert done.stdout.count("submitted  ") == 2
    assert "the limit of 15" in done.stdout
    continued = f"photoanimer resume {JOURNAL} --max-seconds 15\n"
    assert f"To continue, with a higher --max-seconds:\n  {continued}" in done.stdout
    seen = connected("status", "out").stdout
    assert seen.endswith(
        "To continue, for 7.13 video seconds, if it is not running:\n"
        f"  photoanimer resume {JOURNAL}\n"
    )
    base_url = connected.environment.pop("PHOTOANIMER_BASE_URL")
    assert f"resume {JOURNAL} --base-url {base_url}\n" in connected("status", "out").stdout
    connected.environment["PHOTOANIMER_BASE_URL"] = base_url
    assert connected("resume", JOURNAL, "--max-seconds", "22").returncode == 0
    assert "To continue" not in connected("status", "out").stdout


def test_a_missing_journal_is_one_line(photoanimer: CommandLine) -> None:
    for command in (["status"], ["resume", "--api-key", "k"]):
        done = photoanimer(*command, "no.journal")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("photoanimer: no.journal: there is no such journal; ")
        assert done.stderr.count("\n") == 1
    assert list(photoanimer.folder.iterdir()) == []
