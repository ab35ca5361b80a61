"""`photoanimer wait`."""

import re

from ..support.command_line import CommandLine
from ..support.s3_server import BUCKET, S3Server
from .conftest import FACELESS, GIF, VIDEO, png


def submitted_tasks(printed: str) -> list[str]:
    return re.findall(r"submitted  .* \(task (\d+)\)", printed)


def test_results_are_named_after_their_tasks(connected: CommandLine) -> None:
    (connected.folder / "anna.png").write_bytes(png())
    (task_id,) = submitted_tasks(connected("animate", "anna.png", "--gif").stdout)
    done = connected("wait", task_id, task_id, "--out", "out", "--gif")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"finished   task {task_id} -> out/{task_id}.gif [1/1]" in done.stdout
    assert (connected.folder / f"out/{task_id}.gif").read_bytes() == GIF


def test_failed_and_unknown_tasks_are_listed(connected: CommandLine) -> None:
    (connected.folder / "anna.png").write_bytes(png())
    (connected.folder / "sky.png").write_bytes(png(FACELESS))
    tasks = submitted_tasks(connected("animate", "anna.png", "sky.png").stdout)
    done = connected("wait", *tasks, "12345", "--out", "out")
    assert done.returncode == 1
    assert "1 of 3 finished" in done.stdout
    assert "no person's face was found" in done.stdout
    assert "task 12345: " in done.stdout
    assert len(list((connected.folder / "out").iterdir())) == 1


def test_results_can_go_to_an_object_store(connected: CommandLine, s3: S3Server) -> None:
    connected.environment |= s3.environment
    (connected.folder / "anna.png").write_bytes(png())
    (task_id,) = submitted_tasks(connected("animate", "anna.png").stdout)
    done = connected("wait", task_id, "--out", f"s3://{BUCKET}/out/")
    assert (done.returncode, done.stderr) == (0, "")
    assert s3.objects() == {f"out/{task_id}.mp4": VIDEO}
