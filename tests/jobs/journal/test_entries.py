"""Entries are read as they were written."""

import os
from pathlib import Path

import pytest

from photoanimer_async import (
    AnimationOptions,
    AnimationRequest,
    State,
)
from photoanimer_async.jobs.journal import Facts, Record
from photoanimer_async.jobs.journal.journal_store import JournalStore
from photoanimer_async.jobs.lifecycle import Event

from ...support.journals import URL, store_with_one


def test_an_entry_is_read_as_it_was_written(path: Path, tmp_path: Path) -> None:
    options = AnimationOptions(
        template=0, output_format="gif", voice_url="http://v.example/a.mp3", voice_seconds=9.5
    )
    odd = Path(os.fsdecode(b"/photos/\xff\n'\"\xf0\x9f\x98\x80.jpg"))
    requests = [
        AnimationRequest(URL, options, "gran"),
        AnimationRequest(odd, AnimationOptions(template=5)),
        AnimationRequest("grandma.jpg"),
        AnimationRequest(b"content"),
    ]
    store = JournalStore(path)
    with store.transaction():
        numbers = [
            store.plan(bytes([i]), request, tmp_path / "out").id
            for i, request in enumerate(requests)
        ]
    url, file, relative, content = (store.entry(number) for number in numbers)
    store.close()
    assert url.request == requests[0]
    assert url.cost == 9.5
    assert (url.state, url.folder, url.task_id) == (State.PLANNED, tmp_path / "out", None)
    assert file.request.photo == odd
    assert relative.request.photo == Path("grandma.jpg").absolute()
    assert not content.has_photo
    assert "s3cret" not in repr(url)


@pytest.mark.parametrize("task_id", [471367831765061, 2**80, "471", "a-uuid"])
def test_a_task_id_keeps_its_type(path: Path, task_id: int | str) -> None:
    store, number = store_with_one(path)
    with store.transaction():
        store.record(Record(number, State.PLANNED, Event.SUBMIT))
        store.record(Record(number, State.SUBMITTING, Event.ACCEPT, Facts(task_id=task_id)))
    assert store.entry(number).task_id == task_id
    store.close()


def test_texts_of_foreign_code_are_made_safe() -> None:
    facts = Facts(image_url="http://h/\ud800", error="host said \ud83d\x1b[2J" + 9000 * "x")
    columns = facts.columns()
    assert columns["image_url"] == "http://h/\ufffd"
    error = columns["error"]
    assert isinstance(error, str)
    assert error.isprintable()
    assert len(error) <= 1000
