"""Equal photos of a batch, paid for once."""

import asyncio
from pathlib import Path

from photoanimer_async import (
    AnimationRequest,
    InvalidPhotoError,
    Outcome,
    Photo,
    PhotoAnimerClient,
)
from photoanimer_async.jobs.deduplication import Deduplicated

from ..support.batches import outcomes_of
from ..support.pictures import png
from ..support.stub_service import StubService


async def test_equal_photos_are_two_tasks_or_one_task_with_deduplicate(
    client: PhotoAnimerClient, stub: StubService, tmp_path: Path
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(png(64, 64) if name != "c.png" else png(65, 64))
    photos = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    assert len(await outcomes_of(client, [*photos, tmp_path / "no.png"])) == 4
    assert len(stub.submits) == 3
    stub.requests.clear()
    outcomes = await outcomes_of(client, [*photos, tmp_path / "no.png"], deduplicate=True)
    assert len(stub.submits) == 2
    by_photo = {outcome.photo: outcome for outcome in outcomes}
    assert by_photo[photos[0]].task_id == by_photo[photos[1]].task_id
    assert by_photo[photos[0]].task_id != by_photo[photos[2]].task_id
    assert isinstance(by_photo[tmp_path / "no.png"].error, InvalidPhotoError)


async def test_deduplicated_photos_share_a_task_after_a_restart(
    client: PhotoAnimerClient, stub: StubService, journal: Path
) -> None:
    photos = [png(64, 64)] * 5
    for _ in range(2):
        outcomes = await outcomes_of(client, photos, journal=journal, deduplicate=True)
        assert len(outcomes) == 5
        assert all(outcome.ok for outcome in outcomes)
    assert len(stub.submits) == 1


async def test_a_cancelled_photo_leaves_the_outcome_to_its_equals() -> None:
    released = asyncio.Event()

    async def run_job(index: int, request: AnimationRequest) -> Outcome:
        await released.wait()
        return Outcome(index, request, "task-1")

    async def digest(photo: Photo) -> bytes:
        return b"the same"

    async def failed(index: int, request: AnimationRequest, error: BaseException) -> Outcome:
        raise AssertionError

    deduplicated = Deduplicated(run_job, digest, failed)
    jobs = [
        asyncio.create_task(deduplicated(index, AnimationRequest(f"{index}.jpg")))
        for index in range(3)
    ]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    jobs[1].cancel()
    await asyncio.wait([jobs[1]])
    released.set()
    outcomes = [await jobs[0], await jobs[2]]
    assert jobs[1].cancelled()
    assert [(each.index, each.task_id) for each in outcomes] == [(0, "task-1"), (2, "task-1")]
