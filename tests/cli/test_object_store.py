"""Photos and results in object stores, from the command line."""

import pytest

from photoanimer_async.engine.samples import ASTRONAUT

from ..support.s3_server import BUCKET, KEY_ID, SECRET, S3Server
from .conftest import FACELESS, KEY, CommandLine, png


@pytest.fixture
def stored(connected: CommandLine, s3: S3Server) -> CommandLine:
    """The command with a service, and with an object store in its environment."""
    connected.environment |= s3.environment
    return connected


def test_photos_go_through_a_store_and_results_to_one(stored: CommandLine, s3: S3Server) -> None:
    for name in ("anna.png", "bert.png"):
        (stored.folder / name).write_bytes(png())
    out = f"s3://{BUCKET}/out"
    done = stored("animate", "anna.png", "bert.png", "--host", f"s3://{BUCKET}/in", "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"finished   anna.png -> {out}/anna.mp4 in " in done.stdout
    assert f", saved in {out}\n  " in done.stdout
    assert s3.objects() == {"out/anna.mp4": b"a video", "out/bert.mp4": b"a video"}
    # The content is the same: one upload for both.
    assert 1 <= len([asked for asked in s3.uploads() if "/in/" in asked.path]) <= 2
    assert KEY_ID not in done.stdout
    assert SECRET not in done.stdout


def test_the_journal_stays_on_this_machine_and_knows_where_results_go(
    stored: CommandLine, s3: S3Server
) -> None:
    (stored.folder / "anna.png").write_bytes(png())
    stored.environment["PHOTOANIMER_HOST"] = f"s3://{BUCKET}/in"
    s3.fault = lambda asked: 403 if asked.is_upload and asked.path.endswith(".mp4") else None
    done = stored("animate", "anna.png", "--out", f"s3://{BUCKET}/out")
    assert done.returncode == 1
    assert "1 accepted, but not saved:" in done.stdout
    assert "photoanimer resume photoanimer.journal" in done.stdout
    s3.fault = None
    done = stored("resume", "photoanimer.journal")
    assert (done.returncode, done.stderr) == (0, "")
    assert s3.objects() == {"out/anna.mp4": b"a video"}


def test_results_of_tasks_by_their_ids(stored: CommandLine, s3: S3Server) -> None:
    (stored.folder / "anna.png").write_bytes(png())
    said = stored("animate", "anna.png").stdout
    task_id = said.partition("(task ")[2].partition(")")[0]
    done = stored("wait", task_id, "--out", f"s3://{BUCKET}/out/")
    assert (done.returncode, done.stderr) == (0, "")
    assert s3.objects() == {f"out/{task_id}.mp4": b"a video"}


def test_what_fails_leaves_nothing_there(stored: CommandLine, s3: S3Server) -> None:
    (stored.folder / "sky.png").write_bytes(png(FACELESS))
    done = stored("animate", "sky.png", "--host", f"s3://{BUCKET}", "--out", f"s3://{BUCKET}")
    assert done.returncode == 1
    assert s3.objects() == {}


def test_a_service_far_away_and_no_host_are_three_ways_out(photoanimer: CommandLine) -> None:
    (photoanimer.folder / "anna.png").write_bytes(png())
    done = photoanimer("animate", "anna.png", "--api-key", KEY, "--base-url", "http://10.0.0.1/v1")
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert "http://10.0.0.1/v1 cannot fetch photos from this machine" in said
    for way in ("public URL", "PHOTOANIMER_HOST=s3://bucket/prefix", "--host", "--local"):
        assert way in said


def test_with_local_photos_stay_on_this_machine(photoanimer: CommandLine, s3: S3Server) -> None:
    photoanimer.environment |= s3.environment | {"PHOTOANIMER_HOST": f"s3://{BUCKET}"}
    (photoanimer.folder / "astronaut.jpg").write_bytes(ASTRONAUT.read_bytes())
    done = photoanimer("animate", "astronaut.jpg", "--local", "--template", "2", timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert s3.asked == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "photos", "--api-key", "k"], "the image host is 'photos'; allowed is"),
        (["--out", "ftp://photos", "--api-key", "k"], "ftp://photos; allowed is"),
        (["--local", "--host", "s3://photos"], "exclude each other"),
    ],
)
def test_wrong_use(photoanimer: CommandLine, arguments: list[str], said: str) -> None:
    done = photoanimer("animate", "me.jpg", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
