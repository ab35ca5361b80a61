"""Photos as phones and scanners make them: what the studio keeps, shows and sends of them."""

import asyncio
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image

from photoanimer_async.engine.samples import ASTRONAUT
from photoanimer_async.photos.check import MAX_BYTES, MAX_SIDE, MAX_SOURCE_BYTES

from ..support.pictures import heic, saved
from .conftest import SLOW, CommentRenderer, Open, Page, png

RED, BLUE = (254, 0, 0), (0, 0, 254)
PLACE = "Taken at home"


def flag() -> Image.Image:
    """64x32 pixels: red above, blue below."""
    image = Image.new("RGB", (64, 32), RED)
    image.paste(BLUE, (0, 16, 64, 32))
    return image


def on_its_side(orientation: int = 6) -> Image.Exif:
    """Exif of a phone that was held upright, and of where that was."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8825)[0x001D] = PLACE
    return exif


def colours(image: Image.Image) -> Sequence[str]:
    """In the middle of the left, upper, right and lower edge."""
    width, height = image.size
    places = ((4, height // 2), (width // 2, 4), (width - 5, height // 2), (width // 2, height - 5))
    found = []
    for place in places:
        colour = image.convert("RGB").getpixel(place)
        assert isinstance(colour, tuple)
        found.append("red" if colour[0] > colour[2] else "blue")
    return found


async def shown(page: Page, photo: object, which: str = "") -> Image.Image:
    """The photo, as a browser gets it."""
    assert isinstance(photo, dict)
    assert photo["refusal"] is None
    answer = await page.ask("GET", f"/photos/{photo['id']}{which}", 200)
    assert answer.content_type == "image/jpeg"
    return Image.open(io.BytesIO(await answer.read()), formats=["JPEG"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("iPhone.HEIC", heic(flag())),
        ("camera.avif", saved(flag(), "AVIF", quality=95)),
        ("scanner.tif", saved(flag(), "TIFF")),
    ],
)
async def test_formats_that_the_service_does_not_take_are_shown_and_sent_as_jpeg(
    page: Page, renderer: CommentRenderer, name: str, content: bytes
) -> None:
    photo = await page.add(content, name)
    for which in ("", "/small"):
        assert (await shown(page, photo, which)).size == (64, 32)
    [clip] = await page.start(photo)
    assert [ended["stage"] for ended in (await page.settled()).values()] == ["done"]
    answer = await page.ask("GET", f"/clips/{clip['id']}/download", 200)
    assert answer.content_disposition is not None
    assert answer.content_disposition.filename == f"{Path(name).stem} - A wink.mp4"
    answer = await page.ask("GET", f"/photos/{photo['id']}", 200)
    assert renderer.photos == [await answer.read()]


@pytest.mark.parametrize("kind", ["JPEG", "HEIC"])
async def test_a_photo_on_its_side_is_shown_and_sent_upright(page: Page, kind: str) -> None:
    exif = on_its_side().tobytes()
    write = heic if kind == "HEIC" else lambda image, **more: saved(image, "JPEG", **more)
    photo = await page.add(write(flag(), exif=exif), f"me.{kind}")
    image = await shown(page, photo)
    assert image.size == (32, 64)
    assert colours(image)[::2] == ["blue", "red"]
    assert dict(image.getexif()) == {}


async def test_place_and_time_are_neither_kept_nor_sent(
    page: Page, renderer: CommentRenderer, tmp_path: Path
) -> None:
    content = saved(flag(), "JPEG", exif=on_its_side(orientation=1).tobytes())
    assert PLACE.encode() in content
    await page.start(await page.add(content))
    await page.settled()

    def everything() -> bytes:
        files = (path for path in tmp_path.rglob("*") if path.is_file())
        return b"".join(map(Path.read_bytes, files))

    assert PLACE.encode() not in await asyncio.to_thread(everything)
    assert len(renderer.photos) == 1
    assert PLACE.encode() not in renderer.photos[0]


async def test_what_has_too_many_pixels_or_bytes_is_made_smaller(page: Page) -> None:
    poster = await page.add(png(side=4200), "poster.png")
    assert max((await shown(page, poster)).size) == MAX_SIDE
    scan = saved(flag().resize((2600, 2200)), "BMP")
    assert len(scan) > MAX_BYTES
    assert (await shown(page, await page.add(scan, "scan.bmp"))).size == (2600, 2200)


async def test_more_than_can_be_prepared_is_refused_before_it_is_read(page: Page) -> None:
    assert (await page.state())["limits"]["photo"] == MAX_SOURCE_BYTES
    async with page.uploading(MAX_SOURCE_BYTES) as (reader, _):
        answer = await reader.readuntil(b"}")
    assert b" 413 " in answer
    assert b"allowed is less than 256 MB" in answer


async def test_the_same_file_is_one_photo_and_one_clip_after_a_restart_too(
    open_studio: Open, renderer: CommentRenderer
) -> None:
    content = heic(flag(), exif=on_its_side().tobytes())
    page = await open_studio()
    photo = await page.add(content, "me.heic")
    await page.start(photo)
    await page.settled()
    again = await open_studio()
    assert (await again.add(content, "copy of me.heic"))["id"] == photo["id"]
    assert len((await again.state())["photos"]) == 1
    assert (await shown(again, photo)).size == (32, 64)
    assert await again.start(photo) == []
    assert len(renderer.jobs) == 1


async def test_two_files_of_one_picture_are_two_photos_and_two_clips(
    open_studio: Open, renderer: CommentRenderer
) -> None:
    page = await open_studio()
    both = [await page.add(png(SLOW, told=told)) for told in (b"", b"Taken at home")]
    await page.start(*both)
    await page.when(lambda s: [clip["stage"] for clip in s["clips"]] == ["moving"] * 2)
    again = await open_studio()
    renderer.released.set()
    state = await again.when(lambda s: [clip["stage"] for clip in s["clips"]] == ["done"] * 2)
    await again.ask("DELETE", f"/api/clips/{state['clips'][0]['id']}", 204)
    await again.ask("GET", f"/clips/{state['clips'][1]['id']}", 200)
    assert len(renderer.jobs) == 2


async def test_the_page_says_what_is_taken(page: Page) -> None:
    state = await page.state()
    assert state["formats"] == ["PNG", "JPEG", "BMP", "WEBP", "TIFF", "HEIC", "AVIF"]
    assert state["limits"]["side"] is None


async def test_without_its_library_a_heic_is_marked_with_what_to_install(
    open_studio: Open, without: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = heic(flag())
    with monkeypatch.context():
        without("pillow_heif")
        page = await open_studio()
        assert "HEIC" not in (await page.state())["formats"]
        photo = await page.add(content, "me.heic")
        why = "It is a HEIC; to read it, pip install 'photoanimer-async[heic]'."
        assert photo["refusal"] == why
    monkeypatch.undo()
    page = await open_studio()
    assert (await page.state())["photos"] == [photo]
    again = await page.add(content, "me.heic")
    assert again["refusal"] is None
    assert (await page.state())["photos"] == [again]


async def test_without_pillow_photos_must_be_fit(
    open_studio: Open, without: Callable[[str], None]
) -> None:
    content = heic(flag())
    without("PIL")
    page = await open_studio()
    state = await page.state()
    assert state["formats"] == ["PNG", "JPEG", "BMP", "WEBP"]
    assert state["limits"]["photo"] == MAX_BYTES
    assert state["limits"]["side"] == MAX_SIDE
    assert (await page.add(png()))["refusal"] is None
    assert (await page.add(content))["refusal"] == (
        "It is a HEIC; allowed are PNG, JPEG, BMP and WEBP "
        "(to have it made fit, pip install 'photoanimer-async[prepare]')."
    )


async def test_a_link_must_lead_to_what_the_service_takes(page: Page) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=heic(flag()))

    app = web.Application()
    app.router.add_get("/me.heic", answer)
    async with TestServer(app) as server:
        url = str(server.make_url("/me.heic"))
        taken = await page.ask("POST", "/api/links", 201, json={"url": url})
    assert (await taken.json())["refusal"] == (
        "It is a HEIC; allowed are PNG, JPEG, BMP and WEBP (as a file it would be made fit)."
    )


async def test_a_damaged_photo_is_marked_and_leaves_nothing(page: Page, tmp_path: Path) -> None:
    photo = await page.add(heic(flag())[:-200], "me.heic")
    assert photo["refusal"].startswith("It cannot be decoded: the HEIF is damaged or cut off")
    assert list((tmp_path / "studio" / "photos").iterdir()) == []


async def test_a_face_is_found_in_a_photo_that_lay_on_its_side(open_studio: Open) -> None:
    with Image.open(io.BytesIO(ASTRONAUT.read_bytes())) as image:
        turned = image.transpose(Image.Transpose.ROTATE_90)
    page = await open_studio(use_engine=True)
    photo = await page.add(heic(turned, exif=on_its_side().tobytes()), "aunt.heic")
    assert not photo["faceless"]
    small = await shown(page, photo, "/small")
    assert small.size == Image.open(io.BytesIO(ASTRONAUT.read_bytes())).size
