"""`photoanimer wait` and `photoanimer balance`."""

import re

from .conftest import FACELESS, KEY, CommandLine, png


def submitted_tasks(said: str) -> list[str]:
    return re.findall(r"submitted  .* \(task (\d+)\)", said)


def test_tasks_are_saved_under_their_ids(connected: CommandLine) -> None:
    (connected.folder / "anna.png").write_bytes(png())
    (task_id,) = submitted_tasks(connected("animate", "anna.png", "--gif").stdout)
    done = connected("wait", task_id, task_id, "--out", "out", "--gif")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"finished   task {task_id} -> out/{task_id}.gif [1/1]" in done.stdout
    assert (connected.folder / f"out/{task_id}.gif").read_bytes() == b"a gif"


def test_what_became_of_other_tasks_is_told(connected: CommandLine) -> None:
    (connected.folder / "anna.png").write_bytes(png())
    (connected.folder / "sky.png").write_bytes(png(FACELESS))
    tasks = submitted_tasks(connected("animate", "anna.png", "sky.png").stdout)
    done = connected("wait", *tasks, "12345", "--out", "out")
    assert done.returncode == 1
    assert "1 of 3 finished" in done.stdout
    assert "no person's face was found" in done.stdout
    assert "task 12345: " in done.stdout
    assert len(list((connected.folder / "out").iterdir())) == 1


def test_balance(connected: CommandLine) -> None:
    done = connected("balance")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"video seconds +123.5\n", done.stdout)


def test_a_key_that_is_refused_is_one_line(connected: CommandLine) -> None:
    done = connected("balance", "--api-key", "key-0bad")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("photoanimer: mySubscription: ")
    assert done.stderr.count("\n") == 1
    assert "key-0bad" not in done.stderr
    assert KEY not in done.stderr
