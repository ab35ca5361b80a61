"""`photoanimer wait`."""

import json
import re

from ..support.command_line import CommandLine
from ..support.s3_server import BUCKET, S3Server
from ..support.stub_service import StubService, envelope
from .conftest import FACELESS, GIF, SLOW, VIDEO, Service, png


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
    assert "task 12345: getTaskInfo: " in done.stdout
    assert "paid for" not in done.stdout
    assert len(list((connected.folder / "out").iterdir())) == 1


def test_results_can_go_to_an_object_store(connected: CommandLine, s3: S3Server) -> None:
    connected.environment |= s3.environment
    (connected.folder / "anna.png").write_bytes(png())
    (task_id,) = submitted_tasks(connected("animate", "anna.png").stdout)
    done = connected("wait", task_id, "--out", f"s3://{BUCKET}/out/")
    assert (done.returncode, done.stderr) == (0, "")
    assert s3.objects() == {f"out/{task_id}.mp4": VIDEO}


def test_one_task_may_name_its_file(connected: CommandLine, service: Service) -> None:
    (connected.folder / "anna.png").write_bytes(png(SLOW))
    process, task_id = connected.start_and_submit("animate", "anna.png")
    process.kill()
    service.release()
    done = connected("wait", task_id, "--out", "out/grandma.mp4", "--timeout", "0")
    assert done.returncode == 0, done.stdout
    assert (connected.folder / "out/grandma.mp4").read_bytes() == VIDEO


def test_a_task_that_does_not_end_can_be_waited_for_again(
    connected: CommandLine, service: Service
) -> None:
    (connected.folder / "anna.png").write_bytes(png(SLOW))
    done = connected("animate", "anna.png", "--out", "out", "--timeout", "0.2")
    assert done.returncode == 1
    assert "had not ended after 0.2 s" in done.stdout
    service.release()
    assert connected("resume", "out/photoanimer.journal").returncode == 0
    assert (connected.folder / "out/anna.mp4").read_bytes() == VIDEO


def test_a_task_that_cannot_be_asked_for_now_can_be_waited_for_again(
    connected: CommandLine, stub: StubService
) -> None:
    stub.finished = lambda _: envelope(code=401, msg="no such key")
    connected.environment["PHOTOANIMER_BASE_URL"] = stub.base_url
    done = connected("wait", "471367831765062", "--json")
    ended, summary = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert (ended["event"], ended["task"]) == ("uncollected", "471367831765062")
    assert "task 471367831765062 " in ended["reason"]
    assert summary["next"][1:3] == ["wait", "471367831765062"]
