"""Face detection, thumbnails and previews by the real engine."""

import io

import pytest
from PIL import ExifTags, Image

from photoanimer_async.engine.samples import ASTRONAUT

from ..support.pictures import heic
from .conftest import OpenStudio, Page, png


def rotated_heic(photo: bytes) -> bytes:
    """Return the photo as a phone stores it: on its side, with its orientation in Exif."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    with Image.open(io.BytesIO(photo)) as image:
        return heic(image.transpose(Image.Transpose.ROTATE_90), exif=exif.tobytes())


@pytest.mark.slow
async def test_faces_are_detected_and_previews_rendered(open_studio: OpenStudio) -> None:
    page = await open_studio(use_engine=True)
    undecodable = await page.add_photo(png().replace(b"IDATx", b"IDATy"))
    assert undecodable["refusal"] == (
        "This photo is damaged or incomplete. Choose another copy of it."
    )
    mountain = await page.add_photo(png(side=64), "mountain.png")
    assert mountain["faces"] == 0
    aunt = await page.add_photo(rotated_heic(ASTRONAUT.read_bytes()), "aunt.heic")
    assert aunt["faces"] == 1
    with await fetch_thumbnail(page, aunt["id"]) as thumbnail:
        assert thumbnail.size == (256, 256)
    state = await page.wait_until(
        lambda s: s["previews"]["of"] == aunt["id"] and s["previews"]["ready"]
    )
    template = state["previews"]["ready"][0]
    clip = await page.request("GET", f"/previews/{aunt['id']}/{template}", 200)
    assert (await clip.read())[4:8] == b"ftyp"


async def fetch_thumbnail(page: Page, photo_id: str) -> Image.Image:
    response = await page.request("GET", f"/photos/{photo_id}/small", 200)
    assert response.content_type == "image/jpeg"
    return Image.open(io.BytesIO(await response.read()), formats=["JPEG"])
