"""The page's files, photos, videos and the zip."""

import asyncio
import io
import zipfile
from pathlib import Path

import pytest
from PIL import Image

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


async def test_thumbnails_have_their_size_and_are_made_once(page: Page, tmp_path: Path) -> None:
    photo = await page.add_photo(png(side=1000))
    folder = tmp_path / "studio" / "small"
    made = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    for name, side in (("small", 256), ("poster", 640)):
        response = await page.request("GET", f"/photos/{photo['id']}/{name}", 200)
        assert response.content_type == "image/jpeg"
        with Image.open(io.BytesIO(await response.read()), formats=["JPEG"]) as image:
            assert image.size == (side, side)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == made


async def test_a_missing_thumbnail_is_made_again(page: Page, tmp_path: Path) -> None:
    photo = await page.add_photo(png(side=1000))
    folder = tmp_path / "studio" / "small"
    for path in folder.iterdir():
        path.unlink()
    paths = [f"/photos/{photo['id']}/{name}" for name in ("small", "poster")]
    sizes = []
    for response in await asyncio.gather(*(page.request("GET", path, 200) for path in paths)):
        with Image.open(io.BytesIO(await response.read()), formats=["JPEG"]) as image:
            sizes.append(image.size)
    assert sizes == [(256, 256), (640, 640)]
    assert len(list(folder.iterdir())) == 2


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
