"""Selecting and removing photos and clips; the lock of the folder."""

from pathlib import Path

import pytest

from photoanimer_async import PhotoAnimerClient, PhotoAnimerError
from photoanimer_async.studio import Studio, StudioSettings

from .conftest import SLOW, CommentRenderer, OpenStudio, Page, png


async def test_a_deselected_photo_without_clips_is_deleted(page: Page, tmp_path: Path) -> None:
    photo = await page.add_photo(png())
    await page.request("DELETE", f"/api/photos/{photo['id']}/waiting", 204)
    assert (await page.state())["photos"] == []
    assert list((tmp_path / "studio" / "photos").iterdir()) == []
    await page.request("DELETE", f"/api/photos/{photo['id']}/waiting", 404)


async def test_a_photo_with_clips_can_be_selected_again(page: Page) -> None:
    photo = await page.add_photo(png())
    await page.start(photo)
    await page.wait_for_clips()
    await page.request("PUT", f"/api/photos/{photo['id']}/waiting", 204)
    assert (await page.state())["photos"][0]["waiting"]
    await page.request("DELETE", f"/api/photos/{photo['id']}/waiting", 204)
    [kept] = (await page.state())["photos"]
    assert not kept["waiting"]


async def test_a_clip_can_be_removed_after_it_has_ended(
    page: Page, renderer: CommentRenderer, tmp_path: Path
) -> None:
    [clip] = await page.start(await page.add_photo(png(SLOW)))
    response = await page.request("DELETE", f"/api/clips/{clip['id']}", 409)
    assert "still being made" in (await response.json())["error"]
    renderer.released.set()
    await page.wait_for_clips()
    await page.request("DELETE", f"/api/clips/{clip['id']}", 204)
    state = await page.state()
    assert state["clips"] == state["photos"] == []
    for place in ("videos", "photos"):
        assert list((tmp_path / "studio" / place).iterdir()) == []
    await page.request("GET", f"/clips/{clip['id']}", 404)


async def test_a_folder_is_used_by_one_studio_only(
    page: Page, open_studio: OpenStudio, tmp_path: Path
) -> None:
    client = PhotoAnimerClient("any", base_url="http://127.0.0.1:9/api/v1")
    settings = StudioSettings(data_dir=tmp_path / "studio", use_engine=False)
    with pytest.raises(PhotoAnimerError, match="another studio is using this folder"):
        async with Studio(client, settings):
            pytest.fail("two studios used one folder")
