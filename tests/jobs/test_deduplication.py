"""Equal photos of a batch, paid for once."""

from pathlib import Path

from photoanimer_async import (
    InvalidPhotoError,
    PhotoAnimerClient,
)

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
