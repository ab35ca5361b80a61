"""The measured durations, from one client to the next."""

import asyncio
import json
import logging
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from photoanimer_async import AdaptivePolling, FixedInterval, InvalidRequestError
from photoanimer_async.models import AnimationOptions
from photoanimer_async.polling.policies import kind_of
from photoanimer_async.polling.saved_durations import persisted

from ..support.stub_service import StubService, envelope, quick_client, task

PHOTO = "http://127.0.0.1:9/grandma.jpg"


async def run_once(stub: StubService, path: Path) -> AdaptivePolling:
    poll = AdaptivePolling(shortest=0.001, longest=0.002)
    async with quick_client(stub.base_url, poll=poll, durations_file=path) as client:
        task_id = await client.submit(PHOTO, template=3)
        stub.poll_script[str(task_id)] = [lambda _: envelope(task(task_id, 0))] * 3
        await client.wait(task_id)
    return poll


async def test_a_second_client_begins_where_the_first_one_ended(
    stub: StubService, tmp_path: Path
) -> None:
    path = tmp_path / "durations.json"
    await run_once(stub, path)
    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == [path]
    [(kind, first)] = json.loads(path.read_text())["kinds"].items()
    assert kind == kind_of(AnimationOptions(template=3))
    assert len(first) == 1
    poll = await run_once(stub, path)
    [(_, both)] = poll.to_dict()["kinds"].items()
    assert sum(weight for _, _, weight in both) == 2


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b"\xff\xfe", b'{"version": 7}', b"[" * 100_000]
)
async def test_a_damaged_file_is_a_warning_and_is_replaced(
    stub: StubService, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    path = tmp_path / "durations.json"
    path.write_bytes(content)
    await run_once(stub, path)
    assert "durations.json: saved durations are ignored" in caplog.text
    assert json.loads(path.read_text())["version"] == 1


async def test_a_missing_file_is_no_warning(
    stub: StubService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    await run_once(stub, tmp_path / "durations.json")
    assert caplog.text == ""


async def test_a_folder_that_is_not_there_is_a_warning(
    stub: StubService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await run_once(stub, tmp_path / "gone" / "durations.json")
    assert "durations are not saved" in caplog.text


async def test_the_file_is_its_owners_alone(stub: StubService, tmp_path: Path) -> None:
    path = tmp_path / "durations.json"
    await run_once(stub, path)
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


@pytest.mark.parametrize("times", [1, 2])
async def test_a_client_that_is_cancelled_leaves_no_thread_with_the_file(
    tmp_path: Path, times: int
) -> None:
    path = tmp_path / "durations.json"
    is_saving, may_continue = threading.Event(), threading.Event()

    class SlowState(dict[str, Any]):
        def items(self) -> Any:
            is_saving.set()
            may_continue.wait()
            return super().items()

    class SlowPolling(AdaptivePolling):
        def to_dict(self) -> dict[str, Any]:
            return SlowState(super().to_dict())

    async def use() -> None:
        async with persisted(SlowPolling(), path):
            pass

    using = asyncio.create_task(use())
    await asyncio.to_thread(is_saving.wait)
    for _ in range(times):
        using.cancel()
        await asyncio.sleep(0.01)
    was_abandoned = using.done()
    may_continue.set()
    assert not was_abandoned
    with pytest.raises(asyncio.CancelledError):
        await using
    assert json.loads(path.read_text())["version"] == 1
    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == [path]


def test_a_policy_that_does_not_learn_has_nothing_to_keep(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="durations_file"):
        quick_client(
            "http://127.0.0.1:9/api/v1", poll=FixedInterval(), durations_file=tmp_path / "d.json"
        )


async def batch(stub: StubService, folder: Path, **options: Any) -> AdaptivePolling:
    poll = AdaptivePolling(shortest=0.001, longest=0.002)
    async with quick_client(stub.base_url, poll=poll, **options) as client:
        photos = [f"{PHOTO}?{number}" for number in range(3)]
        async for outcome in client.animate_many(photos, journal=folder / "batch.db"):
            outcome.unwrap()
    return poll


async def test_a_batch_with_a_journal_keeps_it_beside_the_journal(
    stub: StubService, tmp_path: Path
) -> None:
    await batch(stub, tmp_path)
    path = tmp_path / "batch.durations.json"
    [kind] = json.loads(path.read_text())["kinds"]
    (tmp_path / "batch.db").unlink()
    poll = await batch(stub, tmp_path)
    assert sum(weight for _, _, weight in poll.to_dict()["kinds"][kind]) == 6


async def test_a_batch_whose_client_keeps_it_elsewhere_has_nothing_beside_its_journal(
    stub: StubService, tmp_path: Path
) -> None:
    await batch(stub, tmp_path, durations_file=tmp_path / "all.json")
    assert (tmp_path / "all.json").exists()
    assert not (tmp_path / "batch.durations.json").exists()


async def test_damage_beside_a_journal_is_a_warning(
    stub: StubService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "batch.durations.json"
    path.write_text("{")
    await batch(stub, tmp_path)
    assert "batch.durations.json: saved durations are ignored" in caplog.text
    assert json.loads(path.read_text())["version"] == 1
