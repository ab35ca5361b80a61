"""A batch's photos find or get their journal entries."""

import asyncio
from pathlib import Path

from aiohttp import web

from photoanimer_async import (
    InvalidPhotoError,
    PhotoAnimerClient,
    State,
)

from ...support.batches import outcomes_of, read_all, urls
from ...support.pictures import png
from ...support.stub_service import StubService, envelope


async def test_a_list_is_planned_before_its_first_submit(
    client: PhotoAnimerClient, results: StubService, journal: Path, tmp_path: Path
) -> None:
    outcomes = client.animate_many(urls(40), save_to=tmp_path / "out", journal=journal, in_flight=2)
    async for outcome in outcomes:
        assert outcome.ok
        break
    await outcomes.aclose()
    summary, _ = await read_all(journal)
    assert summary.photos == 40
    assert summary.counts[State.PLANNED] >= 30
    resumed = [outcome async for outcome in client.resume(journal)]
    assert all(outcome.ok for outcome in resumed)
    assert len(results.submits) == 40
    assert len(list((tmp_path / "out").iterdir())) == 40
    assert (await read_all(journal))[0].counts == {State.SAVED: 40}


async def test_a_photo_deleted_after_planning_fails_without_payment(
    client: PhotoAnimerClient, stub: StubService, journal: Path, tmp_path: Path
) -> None:
    photos = [tmp_path / "a.png", tmp_path / "b.png"]
    for number, photo in enumerate(photos):
        photo.write_bytes(png(64 + number, 64))

    async def accept_and_remove(_: web.Request) -> web.Response:
        await asyncio.to_thread(photos[1].unlink)
        return envelope(1)

    stub.submit_script = [accept_and_remove]
    first, second = await outcomes_of(client, photos, journal=journal, in_flight=1)
    assert first.ok
    assert isinstance(second.error, InvalidPhotoError)
    assert "no such file" in str(second.error)
    assert (await read_all(journal))[0].counts == {State.FINISHED: 1, State.FAILED: 1}
