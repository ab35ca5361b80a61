"""Which photos are accepted, and what is stored, shown and sent after preparation."""

import asyncio
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image

from photoanimer_async.photos.rules import MAX_BYTES, MAX_SIDE

from ..support.pictures import heic, saved
from .conftest import SLOW, CommentRenderer, OpenStudio, Page, png

RED, BLUE = (254, 0, 0), (0, 0, 254)
PLACE = "Taken at home"


def flag() -> Image.Image:
    """64x32 pixels: red above, blue below."""
    image = Image.new("RGB", (64, 32), RED)
    image.paste(BLUE, (0, 16, 64, 32))
    return image


def phone_exif(orientation: int = 6) -> Image.Exif:
    """Exif with an orientation and a location."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8825)[0x001D] = PLACE
    return exif


def edge_colours(image: Image.Image) -> Sequence[str]:
    """Return the colour at the middle of the left, upper, right and lower edge."""
    width, height = image.size
    points = ((4, height // 2), (width // 2, 4), (width - 5, height // 2), (width // 2, height - 5))
    found = []
    for point in points:
        colour = image.convert("RGB").getpixel(point)
        assert isinstance(colour, tuple)
        found.append("red" if colour[0] > colour[2] else "blue")
    return found


async def fetch_photo(page: Page, photo: object, which: str = "") -> Image.Image:
    """Return the photo as a browser receives it."""
    assert isinstance(photo, dict)
    assert photo["refusal"] is None
    response = await page.request("GET", f"/photos/{photo['id']}{which}", 200)
    assert response.content_type == "image/jpeg"
    return Image.open(io.BytesIO(await response.read()), formats=["JPEG"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("iPhone.HEIC", heic(flag())),
        ("camera.avif", saved(flag(), "AVIF", quality=95)),
        ("scanner.tif", saved(flag(), "TIFF")),
    ],
)
async def test_other_formats_are_converted_to_jpeg(
    page: Page, renderer: CommentRenderer, name: str, content: bytes
) -> None:
    photo = await page.add_photo(content, name)
    for which in ("", "/small"):
        assert (await fetch_photo(page, photo, which)).size == (64, 32)
    [clip] = await page.start(photo)
    assert [ended["stage"] for ended in (await page.wait_for_clips()).values()] == ["done"]
    response = await page.request("GET", f"/clips/{clip['id']}/download", 200)
    assert response.content_disposition is not None
    assert response.content_disposition.filename == f"{Path(name).stem} - A wink.mp4"
    response = await page.request("GET", f"/photos/{photo['id']}", 200)
    assert renderer.photos == [await response.read()]


@pytest.mark.parametrize("kind", ["JPEG", "HEIC"])
async def test_a_rotated_photo_is_turned_upright(page: Page, kind: str) -> None:
    exif = phone_exif().tobytes()
    write = heic if kind == "HEIC" else lambda image, **more: saved(image, "JPEG", **more)
    photo = await page.add_photo(write(flag(), exif=exif), f"me.{kind}")
    image = await fetch_photo(page, photo)
    assert image.size == (32, 64)
    assert edge_colours(image)[::2] == ["blue", "red"]
    assert dict(image.getexif()) == {}


async def test_location_and_time_are_removed(
    page: Page, renderer: CommentRenderer, tmp_path: Path
) -> None:
    content = saved(flag(), "JPEG", exif=phone_exif(orientation=1).tobytes())
    assert PLACE.encode() in content
    await page.start(await page.add_photo(content))
    await page.wait_for_clips()

    def everything() -> bytes:
        files = (path for path in tmp_path.rglob("*") if path.is_file())
        return b"".join(map(Path.read_bytes, files))

    assert PLACE.encode() not in await asyncio.to_thread(everything)
    assert len(renderer.photos) == 1
    assert PLACE.encode() not in renderer.photos[0]


async def test_photos_with_too_many_pixels_or_bytes_are_reduced(page: Page) -> None:
    poster = await page.add_photo(png(side=4200), "poster.png")
    assert max((await fetch_photo(page, poster)).size) == MAX_SIDE
    scan = saved(flag().resize((2600, 2200)), "BMP")
    assert len(scan) > MAX_BYTES
    assert (await fetch_photo(page, await page.add_photo(scan, "scan.bmp"))).size == (2600, 2200)


async def test_the_same_file_is_one_photo_after_a_restart_too(
    open_studio: OpenStudio, renderer: CommentRenderer
) -> None:
    content = heic(flag(), exif=phone_exif().tobytes())
    page = await open_studio()
    photo = await page.add_photo(content, "me.heic")
    await page.start(photo)
    await page.wait_for_clips()
    again = await open_studio()
    assert (await again.add_photo(content, "copy of me.heic"))["id"] == photo["id"]
    assert len((await again.state())["photos"]) == 1
    assert (await fetch_photo(again, photo)).size == (32, 64)
    assert await again.start(photo) == []
    assert len(renderer.jobs) == 1


async def test_files_that_differ_in_metadata_only_are_two_photos(
    open_studio: OpenStudio, renderer: CommentRenderer
) -> None:
    page = await open_studio()
    both = [
        await page.add_photo(png(SLOW, metadata=comment)) for comment in (b"", b"Taken at home")
    ]
    await page.start(*both)
    await page.wait_until(lambda s: [clip["stage"] for clip in s["clips"]] == ["moving"] * 2)
    again = await open_studio()
    renderer.released.set()
    state = await again.wait_until(lambda s: [clip["stage"] for clip in s["clips"]] == ["done"] * 2)
    await again.request("DELETE", f"/api/clips/{state['clips'][0]['id']}", 204)
    await again.request("GET", f"/clips/{state['clips'][1]['id']}", 200)
    assert len(renderer.jobs) == 2


async def test_without_pillow_heif_a_heic_is_refused_with_an_install_hint(
    open_studio: OpenStudio, hide_library: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = heic(flag())
    with monkeypatch.context():
        hide_library("pillow_heif")
        page = await open_studio()
        assert "HEIC" not in (await page.state())["formats"]
        photo = await page.add_photo(content, "me.heic")
        reason = "HEIC photos cannot be read here. Save it as JPEG, and add that."
        assert photo["refusal"] == reason
    monkeypatch.undo()
    page = await open_studio()
    assert (await page.state())["photos"] == [photo]
    again = await page.add_photo(content, "me.heic")
    assert again["refusal"] is None
    assert (await page.state())["photos"] == [again]


async def test_without_pillow_photos_are_not_prepared(
    open_studio: OpenStudio, hide_library: Callable[[str], None]
) -> None:
    content = heic(flag())
    hide_library("PIL")
    page = await open_studio()
    state = await page.state()
    assert state["formats"] == ["PNG", "JPEG", "BMP", "WEBP"]
    assert state["limits"]["photo"] == MAX_BYTES
    assert state["limits"]["side"] == MAX_SIDE
    assert (await page.add_photo(png()))["refusal"] is None
    assert (await page.add_photo(content))["refusal"] == (
        "A HEIC cannot be used in this way. Add the file itself, or save it as JPEG first."
    )


async def test_linked_photos_are_not_converted(page: Page) -> None:
    async def response(_: web.Request) -> web.Response:
        return web.Response(body=heic(flag()))

    app = web.Application()
    app.router.add_get("/me.heic", response)
    async with TestServer(app) as server:
        url = str(server.make_url("/me.heic"))
        taken = await page.request("POST", "/api/links", 201, json={"url": url})
    assert (await taken.json())["refusal"] == (
        "A HEIC cannot be used in this way. Add the file itself, or save it as JPEG first."
    )


async def test_a_damaged_photo_is_refused_and_its_file_deleted(page: Page, tmp_path: Path) -> None:
    photo = await page.add_photo(heic(flag())[:-200], "me.heic")
    assert photo["refusal"] == "This photo is damaged or incomplete. Choose another copy of it."
    assert list((tmp_path / "studio" / "photos").iterdir()) == []
