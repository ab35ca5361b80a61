"""Journals that are named by their folders, and whose service they belong to."""

from pathlib import Path

import pytest

from photoanimer_async.cli.exit_status import UsageError
from photoanimer_async.cli.journals import (
    is_local,
    local_folder,
    require_service,
    resume_arguments,
)
from photoanimer_async.cli.options import SubmitOptions
from photoanimer_async.jobs.journal import Facts, Record
from photoanimer_async.jobs.journal.journal_store import JournalStore
from photoanimer_async.jobs.lifecycle import Event, State

from ..support.command_line import CommandLine
from ..support.journals import SERVICE, planned
from .conftest import KEY, Service, png

LOCAL = "http://127.0.0.1:41234/api/v1"


def journal_of(folder: Path, service: str, *, reached: bool = True) -> Path:
    path = folder / "photoanimer.journal"
    store = JournalStore(path)
    with store.transaction():
        store.begin_run(service)
        number = planned(store)
        if reached:
            store.record(Record(number, State.PLANNED, Event.SUBMIT))
            store.record(Record(number, State.SUBMITTING, Event.ACCEPT, Facts(task_id=7)))
    store.close()
    return path


def make_local(journal: Path) -> None:
    local_folder(journal).mkdir()
    (local_folder(journal) / "port").write_text("41234")


class TestServices:
    def test_a_journal_without_tasks_belongs_to_none(self, tmp_path: Path) -> None:
        journal = journal_of(tmp_path, "http://mistyped.example/api/v1", reached=False)
        require_service(journal, SERVICE)
        require_service(tmp_path / "missing.journal", SERVICE)

    def test_the_way_out_of_another_services_journal_is_reported(self, tmp_path: Path) -> None:
        journal = journal_of(tmp_path, SERVICE)
        require_service(journal, SERVICE)
        for other in ("https://www.cutout.pro/api/v1", None):
            with pytest.raises(UsageError, match=f"belongs to {SERVICE}: continue") as caught:
                require_service(journal, other)
            assert "choose another folder" in str(caught.value)
            assert "--out" in str(caught.value)

    def test_those_of_this_machine_are_told_apart(self, tmp_path: Path) -> None:
        journal = journal_of(tmp_path, LOCAL)
        assert not is_local(journal, LOCAL)
        make_local(journal)
        assert is_local(journal, LOCAL)
        assert not is_local(journal, SERVICE)
        require_service(journal, LOCAL)
        with pytest.raises(UsageError, match="continue it with --local"):
            require_service(journal, SERVICE)


def test_status_and_resume_take_a_folder(connected: CommandLine) -> None:
    (connected.folder / "anna.png").write_bytes(png())
    connected("animate", "anna.png", "--out", "out")
    assert (
        connected("status", "out").stdout == connected("status", "out/photoanimer.journal").stdout
    )
    assert connected("resume", "out").returncode == 0
    (connected.folder / "empty").mkdir()
    for command in ("status", "resume"):
        done = connected(command, "empty")
        assert done.returncode == 2
        assert done.stderr == "photoanimer: empty: there is no photoanimer.journal in the folder\n"


def test_a_folder_with_two_journals_names_both(connected: CommandLine) -> None:
    (connected.folder / "anna.png").write_bytes(png())
    names = ["out/photoanimer.journal", "out/photoanimer-local.journal"]
    for journal in names:
        connected("animate", "anna.png", "--out", "out", "--journal", journal)
    done = connected("status", "out")
    assert done.returncode == 2
    assert all(name in done.stderr for name in names)


def test_a_finished_batch_says_so_without_a_key(connected: CommandLine) -> None:
    (connected.folder / "anna.png").write_bytes(png())
    connected("animate", "anna.png", "--out", "out")
    del connected.environment["PHOTOANIMER_API_KEY"]
    assert "The batch is finished: all photos are saved." in connected("status", "out").stdout
    done = connected("resume", "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "out/photoanimer.journal: the photo is saved; nothing is left to do.\n"


@pytest.mark.slow
def test_a_run_that_reached_nobody_does_not_bind_the_folder(
    photoanimer: CommandLine, service: Service
) -> None:
    (photoanimer.folder / "anna.png").write_bytes(png())
    command = ["animate", "anna.png", "--api-key", KEY, "--base-url"]
    wrong = photoanimer(*command, "localhost:1", "--timeout", "0.2")
    assert wrong.returncode == 1
    assert "localhost://" not in wrong.stdout + wrong.stderr
    assert "To continue:\n  photoanimer resume animated/photoanimer.journal" in wrong.stdout
    right = photoanimer(*command, service.base_url)
    assert (right.returncode, right.stderr) == (0, "")
    other = photoanimer(*command, "localhost:1")
    assert other.returncode == 2
    assert "choose another folder for http://localhost:1/api/v1 with --out" in other.stderr


def test_everyone_is_animated_when_the_batch_goes_on() -> None:
    arguments = resume_arguments(Path("out/one.journal"), SubmitOptions(), all_faces=True)
    assert arguments == ["out/one.journal", "--all-faces"]
