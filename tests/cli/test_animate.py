"""`photoanimer animate` against a running service."""

import functools
import io
import os
import pty
import re
import resource
import signal
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from photoanimer_async.cli.options import API_KEY_VARIABLE
from photoanimer_async.engine.samples import ASTRONAUT, GRACE_HOPPER

from ..support.command_line import COMMAND, PATIENCE, CommandLine, read_until, rest_of
from ..support.pictures import saved
from ..support.s3_server import BUCKET, KEY_ID, SECRET, S3Server
from ..support.stub_service import StubService, drop_connection, envelope, task
from .conftest import FACELESS, GIF, KEY, SLOW, VIDEO, Service, png


def results(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix in {".mp4", ".gif"}}


class TestResults:
    @pytest.mark.slow
    def test_are_named_after_the_photos(self, connected: CommandLine) -> None:
        photos = connected.folder / "photos"
        photos.mkdir()
        for name in ("anna.png", "bert.png", "bert.jpg"):
            (photos / name).write_bytes(png())
        done = connected.run_process("animate", "photos")
        assert (done.returncode, done.stderr) == (0, "")
        videos = {path.name: path.read_bytes() for path in connected.folder.glob("animated/*.mp4")}
        assert videos == dict.fromkeys(["anna.mp4", "bert.mp4", "bert-2.mp4"], VIDEO)
        assert "3 of 3 finished" in done.stdout

    def test_one_photo_may_name_its_file(self, connected: CommandLine) -> None:
        (connected.folder / "anna.png").write_bytes(png())
        done = connected("animate", "anna.png", "--out", "out/Grandma.mp4")
        assert done.returncode == 0
        assert results(connected.folder / "out") == {"Grandma.mp4"}
        assert (connected.folder / "out/photoanimer.journal").is_file()

    def test_many_photos_need_a_folder(self, connected: CommandLine) -> None:
        for name in ("anna.png", "ben.png"):
            (connected.folder / name).write_bytes(png())
        done = connected("animate", "anna.png", "ben.png", "--out", "grandma.mp4")
        assert done.returncode == 2
        assert "names one file, grandma.mp4, and many results need a folder" in done.stderr

    def test_are_not_overwritten_by_a_second_run(self, connected: CommandLine) -> None:
        (connected.folder / "anna.png").write_bytes(png())
        for _ in range(2):
            assert connected("animate", "anna.png", "--out", "out", "--no-journal").returncode == 0
        names = {path.name for path in (connected.folder / "out").iterdir()}
        assert names == {"anna.mp4", "anna-2.mp4"}

    def test_are_gifs_with_the_option(self, connected: CommandLine) -> None:
        (connected.folder / "anna.png").write_bytes(png())
        assert connected("animate", "anna.png", "--gif", "--out", "out").returncode == 0
        assert (connected.folder / "out/anna.gif").read_bytes() == GIF


class TestPhotos:
    def test_failures_are_listed_and_do_not_stop_the_others(self, connected: CommandLine) -> None:
        folder = connected.folder
        (folder / "anna.png").write_bytes(png())
        (folder / "sky.png").write_bytes(png(FACELESS))
        (folder / "sea.png").write_bytes(png(FACELESS))
        (folder / "text.jpg").write_text("no picture")
        (folder / "large [bold].png").write_bytes(png())
        os.truncate(folder / "large [bold].png", 2**30)
        (folder / "empty").mkdir()
        photos = ["anna.png", "sky.png", "sea.png", "text.jpg", "large [bold].png", "gone.jpg"]
        photos += ["empty", "http://127.0.0.1:9/x.png?sig=s3cret"]
        done = connected("animate", *photos, "--out", "out")
        assert (done.returncode, done.stderr) == (1, "")
        assert results(folder / "out") == {"anna.mp4"}
        summary = done.stdout[done.stdout.index("1 of 8 finished") :]
        assert "7 failed:" in summary
        for photo in (*photos[1:-1], "http://127.0.0.1:9/x.png?…"):
            assert photo in summary
        assert summary.count("no person's face was found") == 1
        assert "s3cret" not in done.stdout
        assert KEY not in done.stdout

    def test_are_prepared_unless_that_is_declined(self, connected: CommandLine) -> None:
        (connected.folder / "anna.tif").write_bytes(saved(Image.new("RGB", (64, 48)), "TIFF"))
        refused = connected("animate", "anna.tif", "--no-prepare", "--no-journal")
        assert refused.returncode == 1
        assert "anna.tif: is a TIFF; allowed are PNG, JPEG, BMP and WEBP" in refused.stdout
        done = connected("animate", "anna.tif")
        assert (done.returncode, done.stderr) == (0, "")
        assert results(connected.folder / "animated") == {"anna.mp4"}

    def test_can_have_options_of_their_own_in_a_manifest(self, connected: CommandLine) -> None:
        (connected.folder / "album").mkdir()
        (connected.folder / "album/anna.png").write_bytes(png())
        (connected.folder / "album/list.csv").write_text(
            "photo,template,format,name\nanna.png,2,,\nanna.png,3,gif,Anna laughs.gif\n"
        )
        done = connected("animate", "--manifest", "album/list.csv", "--out", "out")
        assert (done.returncode, done.stderr) == (0, "")
        assert results(connected.folder / "out") == {"anna-wink.mp4", "Anna laughs.gif"}
        assert "8.88 video seconds spent" in connected("status", "out/photoanimer.journal").stdout

    def test_an_error_in_a_manifest_stops_the_batch_before_it_starts(
        self, connected: CommandLine
    ) -> None:
        (connected.folder / "anna.png").write_bytes(png())
        (connected.folder / "list.csv").write_text("photo,template\nanna.png,1\nanna.png,9\n")
        done = connected("animate", "--manifest", "list.csv")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            "photoanimer: list.csv line 3, column template: found '9'; allowed: 0, 1, 2, 3, 4, 5, "
            "talking, looking-around, wink, laughter, head-shake, kiss\n"
        )
        assert not (connected.folder / "animated").exists()

    @pytest.mark.slow
    def test_can_be_listed_on_standard_input(self, connected: CommandLine) -> None:
        (connected.folder / "two\nlines.png").write_bytes(png())
        (connected.folder / "b.png").write_bytes(png(b"another"))
        scripts = {"PATH": f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(
            ["bash", "-c", "find . -name '*.png' -print0 | photoanimer animate - --out out"],
            cwd=connected.folder,
            env=connected.environment | scripts,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "2 of 2 finished" in done.stdout
        assert results(connected.folder / "out") == {"two_lines.mp4", "b.mp4"}

    def test_hostile_files_get_a_line_each_and_do_not_stop_the_others(
        self, connected: CommandLine
    ) -> None:
        folder = connected.folder / "photos"
        (folder / "deep").mkdir(parents=True)
        (folder / "good.png").write_bytes(png())
        (folder / "deep/sky.png").write_bytes(png(FACELESS))
        (folder / "deep/round").symlink_to("..")
        (folder / "loop.jpg").symlink_to("loop.jpg")
        os.mkfifo(folder / "pipe.jpg")
        hostile = [b"two\nlines.jpg", b"tab\t\x1b[31mred.jpg", "👵🏽 '\".jpg".encode(), b"\xe9.jpg"]
        for name in hostile:
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


class TestProgress:
    def test_is_two_lines_for_each_photo_without_a_terminal(self, connected: CommandLine) -> None:
        (connected.folder / "anna.png").write_bytes(png())
        done = connected("animate", "anna.png", "--out", "out")
        submitted, finished, *summary = done.stdout.splitlines()
        assert submitted.startswith("submitted  anna.png (task ")
        assert finished.startswith("finished   anna.png -> out/anna.mp4 in ")
        assert finished.endswith(" [1/1]")
        assert summary[1:] == ["  anna.mp4"]

    @pytest.mark.slow
    def test_is_a_bar_with_counts_in_a_terminal(
        self, connected: CommandLine, service: Service
    ) -> None:
        (connected.folder / "anna.png").write_bytes(png(SLOW))
        terminal, inside = pty.openpty()
        process = connected.start("animate", "anna.png", stdout=inside)
        os.close(inside)
        seen = read_until(terminal, "1 submitted · 1 processing · 0 finished · 0 failed")
        assert "0/1 time left -:--" in seen
        service.release()
        read_until(terminal, "1 of 1 finished")
        assert process.wait(timeout=30) == 0
        os.close(terminal)


class TestStopping:
    def test_ctrl_c_lists_what_is_paid_for(self, connected: CommandLine, service: Service) -> None:
        (connected.folder / "anna.png").write_bytes(png(SLOW))
        process, task_id = connected.start_and_submit("animate", "anna.png", "--out", "out")
        process.send_signal(signal.SIGINT)
        printed, errors = rest_of(process)
        assert (process.returncode, errors) == (130, "")
        assert "Stopped: 0 of 1 saved, 0 failed." in printed
        assert f"anna.png (task {task_id})" in printed
        assert "photoanimer resume out/photoanimer.journal" in printed
        assert not list((connected.folder / "out").glob("anna*"))

        service.release()
        assert connected("wait", task_id, "--out", "out").returncode == 0
        assert (connected.folder / f"out/{task_id}.mp4").read_bytes() == VIDEO

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_sigterm_and_sighup_do_the_same(
        self, connected: CommandLine, number: signal.Signals
    ) -> None:
        (connected.folder / "anna.png").write_bytes(png(SLOW))
        process, task_id = connected.start_and_submit("animate", "anna.png")
        process.send_signal(number)
        process.send_signal(number)  # a closed terminal sends several
        printed, errors = rest_of(process)
        assert (process.returncode, errors) == (143, "")
        assert f"(task {task_id})" in printed
        assert "photoanimer resume animated/photoanimer.journal" in printed

    @pytest.mark.slow
    def test_a_closed_pipe_does_not_end_a_paid_batch(
        self, connected: CommandLine, service: Service
    ) -> None:
        (connected.folder / "anna.png").write_bytes(png(SLOW))
        process, _ = connected.start_and_submit("animate", "anna.png", "--out", "out")
        assert process.stdout is not None
        process.stdout.close()
        service.release()
        assert process.wait(timeout=30) == 0
        assert (connected.folder / "out/anna.mp4").read_bytes() == VIDEO
        assert process.stderr is not None
        assert process.stderr.read() == ""

    @pytest.mark.slow
    def test_nohup_is_respected(self, connected: CommandLine, service: Service) -> None:
        (connected.folder / "anna.png").write_bytes(png(SLOW))
        process = connected.start("animate", "anna.png", "--out", "out", preexec_fn=_ignore_hangup)
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        service.release()
        assert process.wait(timeout=PATIENCE) == 0

    def test_a_refused_key_stops_the_batch(self, connected: CommandLine) -> None:
        connected.environment[API_KEY_VARIABLE] = "key-0bad"
        photos = [f"{number}.png" for number in range(40)]
        for photo in photos:
            (connected.folder / photo).write_bytes(png())
        done = connected("animate", *photos, "--concurrency", "1", "--yes")
        assert done.returncode == 1
        assert "0 of 40 finished" in done.stdout
        assert " not tried" in done.stdout
        assert "key-0bad" not in done.stdout + done.stderr


def _ignore_hangup() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


class TestMoney:
    def test_a_submit_without_an_answer_is_listed_as_unclear(
        self, photoanimer: CommandLine, stub: StubService
    ) -> None:
        stub.submit_script = [drop_connection]
        connection = ["--api-key", KEY, "--base-url", stub.base_url]
        done = photoanimer("animate", "http://x.example/a.png", *connection)
        assert done.returncode == 1
        assert len(stub.requests) == len(stub.submits) == 1
        assert "unclear    http://x.example/a.png: " in done.stdout
        assert "1 unclear:" in done.stdout
        assert "may have been charged" in done.stdout
        assert "failed" not in done.stdout

    def test_a_result_that_cannot_be_downloaded_can_be_waited_for(
        self, photoanimer: CommandLine, stub: StubService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("photoanimer_async.storage.result_downloader.PATIENCE_SECONDS", 0.05)
        gone = f"{stub.base_url}/gone.mp4"
        stub.finished = lambda _: envelope(task(stub.next_id, resultUrl=gone))
        connection = ["--api-key", KEY, "--base-url", stub.base_url]
        done = photoanimer("animate", "http://x.example/a.png", *connection, "--no-journal")
        assert done.returncode == 1
        assert "1 accepted, but not saved:" in done.stdout
        assert f"photoanimer wait {stub.next_id} --base-url {stub.base_url}" in done.stdout

    def test_much_is_not_spent_without_agreement(self, connected: CommandLine) -> None:
        photos = [f"{number}.png" for number in range(15)]
        for photo in photos:
            (connected.folder / photo).write_bytes(png(photo.encode()))
        done = connected("animate", *photos)
        assert done.returncode == 2
        assert "may cost 106.95 video seconds for 15 photos" in done.stderr
        assert "--yes" in done.stderr
        assert connected("animate", *photos, "--yes").returncode == 0

    def test_a_terminal_is_asked_for_agreement(self, connected: CommandLine) -> None:
        photos = [f"{number}.png" for number in range(15)]
        for photo in photos:
            (connected.folder / photo).write_bytes(png(photo.encode()))
        terminal, inside = pty.openpty()
        process = connected.start("animate", *photos, stdin=inside, stdout=inside)
        os.close(inside)
        assert "106.95" in read_until(terminal, "Continue? [y/N] ")
        os.write(terminal, b"n\n")
        assert process.wait(timeout=30) == 2
        assert process.stderr is not None
        assert "nothing was started" in process.stderr.read()
        os.close(terminal)


class TestJournal:
    def test_the_same_command_again_does_nothing_twice(self, connected: CommandLine) -> None:
        (connected.folder / "anna.png").write_bytes(png())
        first = connected("animate", "anna.png", "--out", "out")
        assert "1 of 1 finished" in first.stdout
        (connected.folder / "bert.png").write_bytes(png(b"another"))
        again = connected("animate", "anna.png", "bert.png", "--out", "out")
        assert again.returncode == 0
        assert again.stdout.count("submitted  ") == 1
        assert f"skipped    anna.png -> {connected.folder}/out/anna.mp4" in again.stdout
        assert "2 of 2 finished" in again.stdout
        assert "1 of them by an earlier run" in again.stdout
        names = {path.name for path in (connected.folder / "out").iterdir()}
        kept = {"photoanimer.journal", "photoanimer.durations.json"}
        assert names == {"anna.mp4", "bert.mp4", *kept}


class TestLocal:
    @pytest.mark.slow
    def test_needs_neither_key_nor_service(self, photoanimer: CommandLine) -> None:
        (photoanimer.folder / "astronaut.jpg").write_bytes(ASTRONAUT.read_bytes())
        local = ["--local", "--template", "2", "--out", "out"]
        done = photoanimer.run_process("animate", "astronaut.jpg", *local)
        assert (done.returncode, done.stderr) == (0, "")
        assert (photoanimer.folder / "out/astronaut.mp4").read_bytes()[4:8] == b"ftyp"

    @pytest.mark.slow
    def test_continues_where_it_was_stopped(self, photoanimer: CommandLine) -> None:
        with Image.open(io.BytesIO(ASTRONAUT.read_bytes())) as portrait:
            for side in (128, 129, 130, 131):
                portrait.resize((side, side)).save(photoanimer.folder / f"{side}.png")
        command = ["animate", ".", "--local", "--template", "wink", "--out", "out"]
        process = photoanimer.start(*command)
        assert process.stdout is not None
        while not process.stdout.readline().startswith("finished"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        printed, errors = rest_of(process)
        assert (process.returncode, errors) == (130, "")
        assert "photoanimer resume out/photoanimer-local.journal\n" in printed
        assert "paid" not in printed
        first = {path: path.stat().st_mtime_ns for path in photoanimer.folder.glob("out/*.mp4")}
        assert 1 <= len(first) < 4
        assert "at no cost" in photoanimer("status", "out").stdout

        resumed = photoanimer.run_process("resume", "out")
        assert (resumed.returncode, resumed.stderr) == (0, "")
        again = photoanimer.run_process(*command)
        assert "4 of them by an earlier run" in again.stdout
        now = {path: path.stat().st_mtime_ns for path in photoanimer.folder.glob("out/*.mp4")}
        assert len(now) == 4
        assert now.items() >= first.items()

    @pytest.mark.slow
    @pytest.mark.parametrize("option", [[], ["--all-faces"]])
    def test_animates_the_largest_face_or_everyone(
        self, photoanimer: CommandLine, option: list[str]
    ) -> None:
        photo = Image.new("RGB", (512, 320), "grey")
        for file, at, side in ((GRACE_HOPPER, (0, 0), (256, 300)), (ASTRONAUT, (272, 0), 240)):
            size = side if isinstance(side, tuple) else (side, side)
            with file.open("rb") as opened, Image.open(opened) as portrait:
                photo.paste(portrait.resize(size), at)
        photo.save(photoanimer.folder / "two.png")
        command = ["animate", "two.png", "--local", "--template", "2", *option]
        done = photoanimer(*command)
        assert (done.returncode, done.stderr) == (0, "")
        with av.open(photoanimer.folder / "animated/two.mp4") as video:
            frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        moved = np.abs(frames[22].astype(int) - frames[0]).mean(axis=2)
        assert moved[60:150, 80:180].max() > 60
        assert (moved[20:100, 340:420].max() > 60) == bool(option)

    def test_everyone_is_animated_on_this_machine_only(self, connected: CommandLine) -> None:
        (connected.folder / "anna.png").write_bytes(png())
        done = connected("animate", "anna.png", "--all-faces")
        assert done.returncode == 2
        assert "--all-faces is for photos that are animated on this machine" in done.stderr

    @pytest.mark.slow
    def test_speaks_of_no_payment_without_a_journal(self, photoanimer: CommandLine) -> None:
        (photoanimer.folder / "astronaut.jpg").write_bytes(ASTRONAUT.read_bytes())
        process, _ = photoanimer.start_and_submit(
            "animate", "astronaut.jpg", "--local", "--no-journal"
        )
        process.send_signal(signal.SIGINT)
        printed, errors = rest_of(process)
        assert (process.returncode, errors) == (130, "")
        assert printed == "Stopped: 0 of 1 saved, 0 failed.\n"

    def test_refuses_the_journal_of_a_paid_batch(self, connected: CommandLine) -> None:
        (connected.folder / "anna.png").write_bytes(png())
        connected("animate", "anna.png")
        journal = ["--journal", "animated/photoanimer.journal"]
        done = connected("animate", "anna.png", "--local", *journal)
        assert done.returncode == 2
        assert "or choose another folder for this machine" in done.stderr
        assert not (connected.folder / "animated/.photoanimer-local").exists()

    @pytest.mark.slow
    def test_keeps_photos_on_this_machine(self, photoanimer: CommandLine, s3: S3Server) -> None:
        photoanimer.environment |= s3.environment | {"PHOTOANIMER_HOST": f"s3://{BUCKET}"}
        (photoanimer.folder / "astronaut.jpg").write_bytes(ASTRONAUT.read_bytes())
        done = photoanimer.run_process("animate", "astronaut.jpg", "--local", "--template", "2")
        assert (done.returncode, done.stderr) == (0, "")
        assert s3.received == []


class TestObjectStore:
    @pytest.fixture
    def stored(self, connected: CommandLine, s3: S3Server) -> CommandLine:
        """The command with a service, and with an object store in its environment."""
        connected.environment |= s3.environment
        return connected

    def test_can_host_photos_and_take_results(self, stored: CommandLine, s3: S3Server) -> None:
        for name in ("anna.png", "bert.png"):
            (stored.folder / name).write_bytes(png())
        places = ["--host", f"s3://{BUCKET}/in", "--out", f"s3://{BUCKET}/out"]
        done = stored("animate", "anna.png", "bert.png", *places)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"finished   anna.png -> s3://{BUCKET}/out/anna.mp4 in " in done.stdout
        assert f", saved in s3://{BUCKET}/out\n  " in done.stdout
        assert s3.objects() == {"out/anna.mp4": VIDEO, "out/bert.mp4": VIDEO}
        # The content is the same: one upload for both.
        assert 1 <= len([request for request in s3.uploads() if "/in/" in request.path]) <= 2
        assert not re.search(f"{KEY_ID}|{SECRET}", done.stdout)

    def test_keeps_the_journal_on_this_machine(self, stored: CommandLine, s3: S3Server) -> None:
        (stored.folder / "anna.png").write_bytes(png())
        stored.environment["PHOTOANIMER_HOST"] = f"s3://{BUCKET}/in"
        s3.fault = lambda request: (
            403 if request.is_upload and request.path.endswith(".mp4") else None
        )
        done = stored("animate", "anna.png", "--out", f"s3://{BUCKET}/out")
        assert done.returncode == 1
        assert "1 accepted, but not saved:" in done.stdout
        assert "photoanimer resume photoanimer.journal" in done.stdout
        s3.fault = None
        done = stored("resume", "photoanimer.journal")
        assert (done.returncode, done.stderr) == (0, "")
        assert s3.objects() == {"out/anna.mp4": VIDEO}

    def test_keeps_nothing_of_a_photo_that_failed(self, stored: CommandLine, s3: S3Server) -> None:
        (stored.folder / "sky.png").write_bytes(png(FACELESS))
        done = stored("animate", "sky.png", "--host", f"s3://{BUCKET}", "--out", f"s3://{BUCKET}")
        assert done.returncode == 1
        assert s3.objects() == {}

    def test_or_another_way_is_needed_for_a_remote_service(self, photoanimer: CommandLine) -> None:
        (photoanimer.folder / "anna.png").write_bytes(png())
        connection = ["--api-key", KEY, "--base-url", "http://10.0.0.1/v1"]
        done = photoanimer("animate", "anna.png", *connection)
        assert (done.returncode, done.stdout) == (2, "")
        assert "http://10.0.0.1/v1 cannot fetch files from this machine" in done.stderr
        assert done.stderr.count("\n") == 1
        for way in ("public URL", "PHOTOANIMER_HOST", "--host s3://bucket/prefix", "--local"):
            assert way in done.stderr
        assert not (photoanimer.folder / "animated").exists()


class TestShortage:
    @pytest.mark.slow
    def test_too_few_open_files_cost_no_photo(self, connected: CommandLine) -> None:
        photos = connected.folder / "photos"
        photos.mkdir()
        for i in range(20):
            (photos / f"{i}.png").write_bytes(png(b"%d" % i))
        submitted = 0
        for limit in (20, 24, 128):
            process = connected.start(
                "animate",
                "photos",
                "--out",
                "out",
                "--yes",
                preexec_fn=functools.partial(
                    resource.setrlimit, resource.RLIMIT_NOFILE, (limit, limit)
                ),
            )
            printed, _ = rest_of(process)
            submitted += printed.count("submitted  ")
            assert "failed:" not in printed
            assert "unclear:" not in printed
            if process.returncode:
                assert "not tried: " in printed or "not saved:" in printed
                assert "ulimit -n" in printed or "Too many open files" in printed
                assert "photoanimer resume" in printed
        assert process.returncode == 0
        assert len(results(connected.folder / "out")) == 20
        assert submitted == 20
