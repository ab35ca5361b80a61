"""The photos of a journal, compared with those of a command."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import pytest

from photoanimer_async import AnimationOptions, AnimationRequest
from photoanimer_async.cli import clients
from photoanimer_async.cli.earlier_photos import (
    EarlierPhoto,
    count_to_render,
    read_earlier,
    source_of,
)
from photoanimer_async.jobs.journal.journal_store import JournalStore
from photoanimer_async.jobs.lifecycle import State

from ..support.command_line import CommandLine
from ..support.journals import SERVICE
from .conftest import MarkRenderer, png


def request(photo: str, template: int) -> AnimationRequest:
    return AnimationRequest(photo, AnimationOptions(template=template))


def test_the_photos_of_a_journal_are_read(tmp_path: Path) -> None:
    journal = tmp_path / "batch.journal"
    assert read_earlier(None) == read_earlier(journal) == []
    store = JournalStore(journal)
    with store.transaction():
        store.begin_run(SERVICE)
        store.plan(b"d", request("a.jpg", 2), None)
    store.close()
    assert read_earlier(journal) == [EarlierPhoto(source_of("a.jpg"), 2, State.PLANNED)]


def test_photos_with_a_result_need_no_render() -> None:
    earlier = [
        EarlierPhoto(source_of("a.jpg"), 2, State.SAVED),
        EarlierPhoto(source_of("b.jpg"), 2, State.FAILED),
        EarlierPhoto("https://x.example/c.jpg", 1, State.FINISHED),
    ]
    requests = [request("./a.jpg", 2), request("a.jpg", 3), request("b.jpg", 2)]
    requests.append(request("https://x.example/c.jpg", 1))
    assert count_to_render(requests, earlier) == 2
    assert count_to_render(requests, []) == 4


class Renderer(MarkRenderer):
    """Takes the place of the renderer of `--local`, and notes which photos it is to expect."""

    def __init__(self, workers: int, *, options: Mapping[str, object]) -> None:
        super().__init__()
        assert workers > 0
        assert options == {"all_faces": False}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    async def start_workers(self, photos: int) -> None:
        expected.append(photos)


expected: list[int] = []


def test_workers_are_started_for_photos_without_a_result_alone(
    photoanimer: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "ProcessRenderer", Renderer)
    for name in ("a.png", "b.png"):
        (photoanimer.folder / name).write_bytes(png(name.encode()))
    expected.clear()
    for photos in (["a.png"], ["a.png", "b.png"], ["a.png", "b.png"]):
        done = photoanimer("animate", *photos, "--local")
        assert (done.returncode, done.stderr) == (0, "")
    assert expected == [1, 1, 0]
