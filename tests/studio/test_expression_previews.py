"""Previews of the expressions, rendered by workers that take no time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from photoanimer_async import Template
from photoanimer_async.studio.album import Album, Photograph
from photoanimer_async.studio.expression_previews import SAMPLE, ExpressionPreviews
from photoanimer_async.studio.photo_workers import PhotoWorkers
from photoanimer_async.studio.studio_folder import StudioFolder


class QuickWorkers(PhotoWorkers):
    """Write empty previews."""

    async def preview(self, photo: Path, template: int, clip: Path) -> bool:
        del photo, template
        await asyncio.to_thread(clip.touch)
        return True


@pytest.fixture
def previews(tmp_path: Path) -> ExpressionPreviews:
    folder = StudioFolder(tmp_path)
    folder.create()
    return ExpressionPreviews(Album(), folder, QuickWorkers(use_engine=True))


@asynccontextmanager
async def rendering(previews: ExpressionPreviews) -> AsyncIterator[None]:
    task = asyncio.create_task(previews.run())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def all_ready(previews: ExpressionPreviews) -> None:
    with previews.album.feed.subscribe() as changes:
        while previews.ready != {*Template}:
            await changes.next_changes(60)


async def test_a_photo_that_is_being_removed_does_not_end_them(
    previews: ExpressionPreviews,
) -> None:
    photo = Photograph(id="p", name="Anna", added=1.0, file="p.jpg")
    previews.album.put(photo)
    previews.refresh()
    previews.album.remove_photograph(photo.id)  # its files are deleted before the next refresh
    async with rendering(previews):
        await asyncio.sleep(0.05)
        previews.refresh()
        async with asyncio.timeout(60):
            await all_ready(previews)
    assert previews.photo_id == SAMPLE
