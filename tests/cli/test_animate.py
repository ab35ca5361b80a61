"""`photoanimer animate` against a running service."""

import os
import pty
import re
import select
import signal
import subprocess
import time

from photoanimer_async.cli.options import API_KEY_VARIABLE
from photoanimer_async.engine.samples import ASTRONAUT

from .conftest import (
    FACELESS,
    KEY,
    SLOW,
    CommandLine,
    Service,
    StubService,
    default_interrupt,
    png,
    rest_of,
)

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def test_a_folder_becomes_videos_named_after_the_photos(connected: CommandLine) -> None:
    photos = connected.folder / "photos"
    photos.mkdir()
    for name in ("anna.png", "bert.png", "bert.jpg"):
        (photos / name).write_bytes(png())
    done = connected("animate", "photos")
    assert (done.returncode, done.stderr) == (0, "")
    saved = {path.name: path.read_bytes() for path in (connected.folder / "animated").glob("*.mp4")}
    assert saved == dict.fromkeys(["anna.mp4", "bert.mp4", "bert-2.mp4"], b"a video")
    assert "3 of 3 finished" in done.stdout


def test_without_a_terminal_there_are_two_lines_for_each_photo(connected: CommandLine) -> None:
    (connected.folder / "anna.png").write_bytes(png())
    done = connected("animate", "anna.png", "--out", "out")
    submitted, finished, *summary = done.stdout.splitlines()
    assert submitted.startswith("submitted  anna.png (task ")
    assert finished.startswith("finished   anna.png -> out/anna.mp4 in ")
    assert finished.endswith(" [1/1]")
    assert summary[1:] == ["  anna.mp4"]


def test_a_second_run_overwrites_nothing(connected: CommandLine) -> None:
    (connected.folder / "anna.png").write_bytes(png())
    for _ in range(2):
        assert connected("animate", "anna.png", "--out", "out", "--no-journal").returncode == 0
    names = {path.name for path in (connected.folder / "out").iterdir()}
    assert names == {"anna.mp4", "anna-2.mp4"}


def test_gifs_are_saved_where_they_are_asked_for(connected: CommandLine) -> None:
    (connected.folder / "anna.png").write_bytes(png())
    assert connected("animate", "anna.png", "--gif", "--out", "out").returncode == 0
    assert (connected.folder / "out/anna.gif").read_bytes() == b"a gif"


def test_what_fails_is_told_and_holds_up_nothing(connected: CommandLine) -> None:
    folder = connected.folder
    (folder / "anna.png").write_bytes(png())
    (folder / "sky.png").write_bytes(png(FACELESS))
    (folder / "sea.png").write_bytes(png(FACELESS))
    (folder / "text.jpg").write_text("no picture")
    (folder / "large [bold].png").write_bytes(png())
    os.truncate(folder / "large [bold].png", 2**30)
    (folder / "empty").mkdir()
    photos = ["anna.png", "sky.png", "sea.png", "text.jpg", "large [bold].png", "gone.jpg", "empty"]
    done = connected("animate", *photos, "http://127.0.0.1:9/x.png?sig=s3cret", "--out", "out")
    assert done.returncode == 1
    assert done.stderr == ""
    assert [path.name for path in (folder / "out").glob("*.mp4")] == ["anna.mp4"]
    summary = done.stdout[done.stdout.index("1 of 8 finished") :]
    assert "7 failed:" in summary
    for photo in (*photos[1:], "http://127.0.0.1:9/x.png?…"):
        assert photo in summary
    assert summary.count("no person's face was found") == 1
    assert "s3cret" not in done.stdout
    assert KEY not in done.stdout


def test_a_key_that_is_refused_stops_the_batch(connected: CommandLine) -> None:
    connected.environment[API_KEY_VARIABLE] = "key-0bad"
    photos = [f"{number}.png" for number in range(40)]
    for photo in photos:
        (connected.folder / photo).write_bytes(png())
    done = connected("animate", *photos, "--concurrency", "1", "--yes")
    assert done.returncode == 1
    assert "0 of 40 finished" in done.stdout
    assert " not tried" in done.stdout
    assert "key-0bad" not in done.stdout + done.stderr


def test_in_a_terminal_there_is_a_bar_with_counts(connected: CommandLine, service: Service) -> None:
    (connected.folder / "anna.png").write_bytes(png(SLOW))
    terminal, inside = pty.openpty()
    process = connected.start("animate", "anna.png", stdout=inside)
    os.close(inside)
    seen = read_until(terminal, "1 submitted · 1 processing · 0 finished · 0 failed")
    assert "0/1 time left" in seen
    service.release()
    read_until(terminal, "1 of 1 finished")
    assert process.wait(timeout=10) == 0
    os.close(terminal)


def test_ctrl_c_leaves_and_names_what_is_paid_for(connected: CommandLine, service: Service) -> None:
    (connected.folder / "anna.png").write_bytes(png(SLOW))
    process, task_id = start_and_submit(connected, "animate", "anna.png", "--out", "out")
    process.send_signal(signal.SIGINT)
    said, errors = rest_of(process)
    assert (process.returncode, errors) == (130, "")
    assert "Stopped: 0 of 1 saved, 0 failed." in said
    assert f"anna.png (task {task_id})" in said
    assert "photoanimer resume out/photoanimer.journal" in said
    assert not list((connected.folder / "out").glob("anna*"))

    service.release()
    assert connected("wait", task_id, "--out", "out").returncode == 0
    assert (connected.folder / f"out/{task_id}.mp4").read_bytes() == b"a video"


def test_sigterm_leaves_in_the_same_way(connected: CommandLine) -> None:
    (connected.folder / "anna.png").write_bytes(png(SLOW))
    process, task_id = start_and_submit(connected, "animate", "anna.png")
    process.terminate()
    said, errors = rest_of(process)
    assert (process.returncode, errors) == (143, "")
    assert f"(task {task_id})" in said
    assert "photoanimer resume animated/photoanimer.journal" in said


def test_a_reader_that_leaves_does_not_end_a_paid_batch(
    connected: CommandLine, service: Service
) -> None:
    (connected.folder / "anna.png").write_bytes(png(SLOW))
    process, _ = start_and_submit(connected, "animate", "anna.png", "--out", "out")
    assert process.stdout is not None
    process.stdout.close()
    service.release()
    assert process.wait(timeout=10) == 0
    assert (connected.folder / "out/anna.mp4").read_bytes() == b"a video"
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()


def test_a_lost_answer_to_a_submit_is_listed_apart(
    photoanimer: CommandLine, stub: StubService
) -> None:
    done = photoanimer(
        "animate", "http://x.example/a.png", "--api-key", KEY, "--base-url", stub.base_url
    )
    assert done.returncode == 1
    assert stub.requests == ["submitTaskByUrl"]
    assert "unclear    http://x.example/a.png: " in done.stdout
    assert "1 unclear:" in done.stdout
    assert "may have been accepted and charged" in done.stdout
    assert "failed" not in done.stdout


def test_a_result_that_can_not_be_fetched_can_be_waited_for(
    photoanimer: CommandLine, stub: StubService
) -> None:
    stub.task_id = 471367831765061
    connection = ["--api-key", KEY, "--base-url", stub.base_url]
    done = photoanimer("animate", "http://x.example/a.png", *connection, "--no-journal")
    assert done.returncode == 1
    assert "1 accepted, but not saved:" in done.stdout
    assert f"photoanimer wait 471367831765061 --base-url {stub.base_url}" in done.stdout


def test_local_animates_without_key_or_service(photoanimer: CommandLine) -> None:
    (photoanimer.folder / "astronaut.jpg").write_bytes(ASTRONAUT.read_bytes())
    done = photoanimer("animate", "astronaut.jpg", "--local", "--template", "2", "--out", "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert (photoanimer.folder / "out/astronaut.mp4").read_bytes()[4:8] == b"ftyp"


def start_and_submit(command: CommandLine, *arguments: str) -> tuple[subprocess.Popen[str], str]:
    """The running command, once its first photo has a task; and the task's id."""
    process = command.start(*arguments, preexec_fn=default_interrupt)
    assert process.stdout is not None
    line = process.stdout.readline()
    return process, line.rpartition("(task ")[2].rstrip(")\n")


def read_until(terminal: int, text: str) -> str:
    """What is written to a terminal, without its colours, up to a text that must come."""
    seen = ""
    give_up = time.monotonic() + 10
    while text not in seen:
        ready, _, _ = select.select([terminal], [], [], give_up - time.monotonic())
        assert ready, f"{text!r} did not come in time; what came ends with {seen[-500:]!r}"
        seen = CONTROL.sub("", seen + os.read(terminal, 4096).decode(errors="replace"))
    return seen
