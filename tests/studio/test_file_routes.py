"""The page's files, photos, videos and the zip."""

import io
import zipfile

import pytest

from ..support.videos import mp4
from .conftest import Page, png


@pytest.mark.parametrize(
    "path",
    [
        "/page/../web_app.py",
        "/page/%2e%2e%2fweb_app.py",
        "/page/index.htm",
        "/page/%2fetc%2fpasswd",
        "/photos/..%2f..%2falbum.json",
        "/previews/..%2fsample/1",
    ],
)
async def test_other_files_cannot_be_requested(page: Page, path: str) -> None:
    response = await page.request("GET", path)
    assert response.status in {403, 404}


async def test_a_photo_is_served_unchanged(page: Page) -> None:
    photo = await page.add_photo(png(), "Tante Änne.PNG")
    assert photo["name"] == "Tante Änne"
    assert photo["waiting"]
    assert photo["refusal"] is None
    response = await page.request("GET", f"/photos/{photo['id']}", 200)
    assert await response.read() == png()
    assert response.content_type == "image/png"
    small = await page.request("GET", f"/photos/{photo['id']}/small", 200)
    assert small.content_type == "image/png"


async def test_videos_are_served_in_ranges(page: Page) -> None:
    [clip] = await page.start(await page.add_photo(png()))
    await page.wait_for_clips()
    part = await page.request("GET", f"/clips/{clip['id']}", 206, headers={"Range": "bytes=30-31"})
    assert await part.read() == b"of"


async def test_videos_are_downloaded_singly_or_as_a_zip(page: Page) -> None:
    same_name = [await page.add_photo(png(b"%d" % i), "Änne: 1954.png") for i in range(2)]
    clips = await page.start(*same_name)
    await page.wait_for_clips()
    one = await page.request("GET", f"/clips/{clips[0]['id']}/download", 200)
    assert one.content_disposition is not None
    assert one.content_disposition.filename == "Änne_ 1954 - A wink.mp4"
    packed = await page.request("GET", "/album.zip", 200)
    with zipfile.ZipFile(io.BytesIO(await packed.read())) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["Änne_ 1954 - A wink.mp4", "Änne_ 1954 - A wink-2.mp4"]
        assert archive.read(archive.namelist()[1]) == mp4(b"video of template 2")
