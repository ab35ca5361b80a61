"""Photos and voices on their way in: what is refused is marked at once, with the reason."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from photoanimer_async.engine.samples import ASTRONAUT
from photoanimer_async.photos.check import MAX_BYTES
from photoanimer_async.studio.album import Album
from photoanimer_async.studio.studio_folder import StudioFolder
from photoanimer_async.studio.uploads import Intake

from .conftest import Open, Page, png

WAV = b"RIFF\x24\0\0\0WAVEfmt " + bytes(64)


@pytest.fixture
async def site() -> AsyncIterator[str]:
    """A web site with a photo."""

    async def answer(request: web.Request) -> web.Response:
        is_there = request.path == "/me at home.png"
        return web.Response(body=png(b"site")) if is_there else web.Response(status=404)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


async def test_a_photo_is_shown_as_it_came(page: Page) -> None:
    photo = await page.add(png(), "Tante Änne.PNG")
    assert photo["name"] == "Tante Änne"
    assert photo["waiting"]
    assert photo["refusal"] is None
    answer = await page.ask("GET", f"/photos/{photo['id']}", 200)
    assert await answer.read() == png()
    assert answer.content_type == "image/png"
    small = await page.ask("GET", f"/photos/{photo['id']}/small", 200)
    assert small.content_type == "image/png"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "It is empty."),
        (b"%PDF-1.4", "It is a PDF; allowed are PNG, JPEG, BMP, WEBP, HEIC, AVIF and TIFF."),
        (png(side=8), "It has 8x8 pixels; a face needs at least 16x16."),
        (png(side=8200), "The PNG has 8200x8200 pixels; at most 67 million can be prepared."),
        (
            png(b"half", side=64)[:2000],
            "It cannot be decoded: the PNG is damaged or cut off (image file is truncated).",
        ),
    ],
)
async def test_what_the_service_would_refuse_is_marked_with_the_reason(
    page: Page, tmp_path: Path, content: bytes, why: str
) -> None:
    photo = await page.add(content)
    assert photo["refusal"] == why
    assert (await page.state())["photos"] == [photo]
    assert list((tmp_path / "studio" / "photos").iterdir()) == []
    answer = await page.ask("GET", f"/photos/{photo['id']}", 404)
    assert "was refused" in (await answer.json())["error"]


async def test_what_is_too_large_is_not_read_to_its_end(
    open_studio: Open, without: Callable[[str], None], tmp_path: Path
) -> None:
    without("PIL")  # with it, much more is read
    page = await open_studio()
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while read < 4 * MAX_BYTES:
            read += 2**20
            yield bytes(2**20)

    answer = await page.ask("POST", "/api/photos", 413, data=endless())
    assert "allowed is less than 15 MB" in (await answer.json())["error"]
    assert read < 2 * MAX_BYTES
    assert list((tmp_path / "studio" / "photos").iterdir()) == []


async def test_an_upload_that_breaks_off_is_no_fault_and_leaves_nothing(
    page: Page, tmp_path: Path
) -> None:
    folder = tmp_path / "studio" / "photos"

    def arriving() -> int:
        return len(list(folder.iterdir()))

    async with page.uploading(1000) as (_, writer):
        writer.write(png())
        while not await asyncio.to_thread(arriving):
            await asyncio.sleep(0.005)
    while await asyncio.to_thread(arriving):
        await asyncio.sleep(0.005)
    assert (await page.state())["photos"] == []


async def test_the_same_photo_is_there_once(page: Page) -> None:
    first = await page.add(png(), "one.png")
    again = await page.add(png(), "two.png")
    assert again["id"] == first["id"]
    assert len((await page.state())["photos"]) == 1


async def test_a_photo_can_be_taken_out_again(page: Page, tmp_path: Path) -> None:
    photo = await page.add(png())
    await page.ask("DELETE", f"/api/photos/{photo['id']}/waiting", 204)
    assert (await page.state())["photos"] == []
    assert list((tmp_path / "studio" / "photos").iterdir()) == []
    await page.ask("DELETE", f"/api/photos/{photo['id']}/waiting", 404)


async def test_a_link_is_fetched_to_be_seen(page: Page, site: str) -> None:
    answer = await page.ask("POST", "/api/links", 201, json={"url": f"{site}me%20at%20home.png"})
    photo = await answer.json()
    assert photo["name"] == "me at home"
    assert photo["refusal"] is None
    shown = await page.ask("GET", f"/photos/{photo['id']}", 200)
    assert await shown.read() == png(b"site")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("{site}nothing.png", "The link leads to no photo: its server answers with 404."),
        ("http://127.0.0.1:9/me.png", "The link can not be opened from here."),
        ("ftp://example.com/me.png", "Ftp URLs are not supported; http and https are."),
        ("http://user:word@127.0.0.1/me.png", "The URL contains a user name or password"),
    ],
)
async def test_a_link_that_leads_nowhere_is_marked(
    page: Page, site: str, url: str, why: str
) -> None:
    answer = await page.ask("POST", "/api/links", 201, json={"url": url.format(site=site)})
    assert (await answer.json())["refusal"].startswith(why)


async def test_a_full_album_takes_no_more(open_studio: Open) -> None:
    page = await open_studio(most_photos=1)
    await page.add(png(b"one"))
    answer = await page.ask("POST", "/api/photos", 409, data=png(b"two"))
    assert "it has 1 photos" in (await answer.json())["error"]


async def test_a_voice_is_taken_in_and_dropped(page: Page) -> None:
    query = {"name": "hello.wav", "seconds": "4.25"}
    await page.ask("PUT", "/api/voice", 201, params=query, data=WAV)
    assert (await page.state())["voice"] == {"name": "hello", "seconds": 4.25}
    await page.ask("DELETE", "/api/voice", 204)
    assert (await page.state())["voice"] is None


async def test_what_is_no_sound_is_no_voice(page: Page) -> None:
    answer = await page.ask("PUT", "/api/voice", 400, params={"name": "a.wav"}, data=png())
    assert (await answer.json())["error"].startswith("It is not a sound file; allowed are WAV, MP3")
    assert (await page.state())["voice"] is None


async def test_what_means_nothing_is_told(page: Page) -> None:
    for path in ("/api/links", "/api/clips"):
        await page.ask("POST", path, 400, json={"something": "else"})
        await page.ask("POST", path, 400, data="{", headers={"Content-Type": "application/json"})
        await page.ask("POST", path, 400, data="{}")


async def test_with_the_engine_a_photo_without_a_face_is_marked_and_previews_are_made(
    open_studio: Open,
) -> None:
    page = await open_studio(use_engine=True)
    mountain = await page.add(png(side=64), "mountain.png")
    assert mountain["faceless"]
    aunt = await page.add(ASTRONAUT.read_bytes(), "aunt.jpg")
    assert not aunt["faceless"]
    small = await page.ask("GET", f"/photos/{aunt['id']}/small", 200)
    assert small.content_type == "image/jpeg"
    state = await page.when(lambda s: s["previews"]["of"] == aunt["id"] and s["previews"]["ready"])
    template = state["previews"]["ready"][0]
    clip = await page.ask("GET", f"/previews/{aunt['id']}/{template}", 200)
    assert (await clip.read())[4:8] == b"ftyp"


async def test_with_the_engine_a_photo_that_can_not_be_decoded_is_refused(
    open_studio: Open,
) -> None:
    page = await open_studio(use_engine=True)
    photo = await page.add(png().replace(b"IDATx", b"IDATy"))
    assert photo["refusal"].startswith("The photo cannot be decoded")


async def test_uploads_at_the_same_time_do_not_touch_each_other(page: Page) -> None:
    photos = await asyncio.gather(*(page.add(png(b"%d" % i), f"{i}.png") for i in range(20)))
    assert len({photo["id"] for photo in photos}) == 20
    assert len((await page.state())["photos"]) == 20


async def test_photos_keep_the_order_in_which_they_were_dropped(page: Page) -> None:
    for at, name in ((3.5, "third"), (1.5, "first"), (2.5, "second")):
        params = {"name": f"{name}.png", "at": str(at)}
        await page.ask("POST", "/api/photos", 201, params=params, data=png(name.encode()))
    photos = (await page.state())["photos"]
    ordered = sorted(photos, key=lambda photo: photo["added"])
    assert [photo["name"] for photo in ordered] == ["first", "second", "third"]
    state = await page.when(lambda s: s["previews"]["of"] == ordered[0]["id"])
    assert not state["previews"]["possible"]


async def test_a_file_that_the_service_could_not_fetch_is_marked(tmp_path: Path) -> None:
    folder = StudioFolder(tmp_path)
    await asyncio.to_thread(folder.create)

    async def content() -> AsyncIterator[bytes]:
        yield png()

    async with aiohttp.ClientSession() as session:
        intake = Intake(Album(), folder, None, session, 10, takes_files=False)
        photo = await intake.take_file("me.png", 0.0, content())
    assert photo.refusal is not None
    assert photo.refusal.startswith("The service can not fetch files from this machine.")
    assert await asyncio.to_thread(lambda: list(folder.photos.iterdir())) == []
