"""Uploads of photos and voices, and photos added by a link."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from photoanimer_async.engine.samples import ASTRONAUT
from photoanimer_async.photos.rules import MAX_BYTES, MAX_SOURCE_BYTES
from photoanimer_async.studio.album import Album
from photoanimer_async.studio.photo_policy import PhotoPolicy
from photoanimer_async.studio.studio_folder import StudioFolder
from photoanimer_async.studio.uploads import Uploads

from ..support.small_disk import fill, small_disk
from ..support.stub_service import serving
from .conftest import WAV, OpenStudio, Page, png


@pytest.fixture
async def site() -> AsyncIterator[str]:
    """A web site with a photo."""

    async def respond(request: web.Request) -> web.Response:
        exists = request.path == "/me at home.png"
        return web.Response(body=png(b"site")) if exists else web.Response(status=404)

    app = web.Application()
    app.router.add_get("/{path:.*}", respond)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda: b"", "This file is empty."),
        (lambda: b"%PDF-1.4", "This is a PDF, not a photo."),
        (lambda: png(side=8), "This picture is too small: 8 by 8 pixels."),
        (
            lambda: png(side=8200),
            "This picture is too large: 8200 by 8200 pixels. Save it smaller, and add that.",
        ),
        (
            lambda: png(b"half", side=64)[:2000],
            "This photo is damaged or incomplete. Choose another copy of it.",
        ),
    ],
    ids=["empty", "pdf", "small", "large", "cut"],
)
async def test_a_photo_the_service_would_reject_is_refused_with_the_reason(
    page: Page, tmp_path: Path, content: Callable[[], bytes], reason: str
) -> None:
    photo = await page.add_photo(content())
    assert photo["refusal"] == reason
    assert (await page.state())["photos"] == [photo]
    assert list((tmp_path / "studio" / "photos").iterdir()) == []
    response = await page.request("GET", f"/photos/{photo['id']}", 404)
    assert "was refused" in (await response.json())["error"]


async def test_reading_stops_at_the_size_limit(
    open_studio: OpenStudio,
    hide_library: Callable[[str], None],
    tmp_path: Path,
) -> None:
    hide_library("PIL")  # with Pillow, the limit is much higher
    page = await open_studio()
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while read < 4 * MAX_BYTES:
            read += 2**20
            yield bytes(2**20)

    response = await page.request("POST", "/api/photos", 413, data=endless())
    assert "must have less than 15 MB" in (await response.json())["error"]
    assert read < 2 * MAX_BYTES
    assert list((tmp_path / "studio" / "photos").iterdir()) == []


async def test_a_too_large_content_length_is_rejected_before_the_body(page: Page) -> None:
    assert (await page.state())["limits"]["photo"] == MAX_SOURCE_BYTES
    async with page.partial_upload(MAX_SOURCE_BYTES) as (reader, _):
        response = await reader.readuntil(b"}")
    assert b" 413 " in response
    assert b"must have less than 256 MB" in response


async def test_an_aborted_upload_leaves_no_file_and_no_error(page: Page, tmp_path: Path) -> None:
    folder = tmp_path / "studio" / "photos"

    def files_in_folder() -> int:
        return len(list(folder.iterdir()))

    async with page.partial_upload(1000) as (_, writer):
        writer.write(png())
        while not await asyncio.to_thread(files_in_folder):
            await asyncio.sleep(0.005)
    while await asyncio.to_thread(files_in_folder):
        await asyncio.sleep(0.005)
    assert (await page.state())["photos"] == []


async def test_a_photo_added_twice_is_in_the_album_once(page: Page) -> None:
    first = await page.add_photo(png(), "one.png")
    again = await page.add_photo(png(), "two.png")
    assert again["id"] == first["id"]
    assert len((await page.state())["photos"]) == 1


async def test_parallel_uploads(page: Page) -> None:
    photos = await asyncio.gather(*(page.add_photo(png(b"%d" % i), f"{i}.png") for i in range(20)))
    assert len({photo["id"] for photo in photos}) == 20
    assert len((await page.state())["photos"]) == 20


async def test_a_full_album_rejects_photos(open_studio: OpenStudio) -> None:
    page = await open_studio(most_photos=1)
    await page.add_photo(png(b"one"))
    response = await page.request("POST", "/api/photos", 409, data=png(b"two"))
    assert "it has 1 photos" in (await response.json())["error"]


async def test_a_file_is_refused_if_the_service_cannot_be_given_files(tmp_path: Path) -> None:
    folder = StudioFolder(tmp_path)
    await asyncio.to_thread(folder.create)

    async def content() -> AsyncIterator[bytes]:
        yield png()

    async with aiohttp.ClientSession() as session:
        uploads = Uploads(Album(), folder, None, session, 10, PhotoPolicy(), takes_files=False)
        photo = await uploads.receive_photo("me.png", 0.0, content())
    assert photo.refusal is not None
    assert photo.refusal.startswith("The service cannot fetch files from this machine.")
    assert await asyncio.to_thread(lambda: list(folder.photos.iterdir())) == []


async def test_a_linked_photo_is_fetched(page: Page, site: str) -> None:
    response = await page.request(
        "POST", "/api/links", 201, json={"url": f"{site}me%20at%20home.png"}
    )
    photo = await response.json()
    assert photo["name"] == "me at home"
    assert photo["refusal"] is None
    shown = await page.request("GET", f"/photos/{photo['id']}", 200)
    assert await shown.read() == png(b"site")


async def test_a_signed_link_is_requested_as_it_was_written(page: Page) -> None:
    signed = "/a%2Fb%7E.png?Sig=a%2Bb%2fc"
    requested: list[str] = []

    def redirects(request: web.Request) -> web.Response:
        requested.append(request.raw_path)
        if request.path == "/away":
            return web.Response(status=302, headers={"Location": signed})
        return web.Response(body=png(b"signed"))

    async with serving(redirects) as origin:
        link = {"url": f"{origin}/away"}
        photo = await (await page.request("POST", "/api/links", 201, json=link)).json()
    assert photo["refusal"] is None
    assert requested == ["/away", signed]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (
            "{site}nothing.png",
            "The link does not lead to a photo: its server answered with status 404.",
        ),
        ("http://127.0.0.1:9/me.png", "The link cannot be opened from this machine."),
        ("ftp://example.com/me.png", "This is not a link to a photo on the web."),
        ("http://user:word@127.0.0.1/me.png", "The link contains a password."),
    ],
)
async def test_a_broken_link_is_refused_with_the_reason(
    page: Page, site: str, url: str, reason: str
) -> None:
    response = await page.request("POST", "/api/links", 201, json={"url": url.format(site=site)})
    assert (await response.json())["refusal"].startswith(reason)


async def test_a_voice_is_set_and_removed(page: Page) -> None:
    query = {"name": "hello.wav", "seconds": "4.25"}
    await page.request("PUT", "/api/voice", 201, params=query, data=WAV)
    assert (await page.state())["voice"] == {"name": "hello", "seconds": 4.25}
    await page.request("DELETE", "/api/voice", 204)
    assert (await page.state())["voice"] is None


async def test_a_voice_must_be_a_sound_file(page: Page) -> None:
    response = await page.request("PUT", "/api/voice", 400, params={"name": "a.wav"}, data=png())
    error = (await response.json())["error"]
    assert error == ("This is not a sound file that can be used. Choose an MP3, M4A or WAV file.")
    assert (await page.state())["voice"] is None


async def test_no_link_poisons_the_album(page: Page, site: str) -> None:
    long = "http://h/" + 9000 * "x"
    for link in ("http://h/\ud800.png", "http://\ud800/", "http://h/\x00", long):
        response = await page.request("POST", "/api/links", 201, json={"url": link})
        assert (await response.json())["refusal"]
    good = f"{site}me%20at%20home.png"
    response = await page.request("POST", "/api/links", 201, json={"url": good})
    assert (await response.json())["refusal"] is None
    assert len((await page.state())["photos"]) == 5


async def test_a_body_of_an_unknown_charset_is_refused(page: Page) -> None:
    headers = {"Content-Type": "application/json; charset=no-such"}
    await page.request("POST", "/api/links", 400, data=b"{}", headers=headers)
    headers = {"Content-Type": "application/json"}
    await page.request("POST", "/api/links", 400, data=b'"\xff"', headers=headers)


@pytest.mark.parametrize("free", [0, 100_000, 120_000])
async def test_a_full_disk_is_reported_as_one_and_not_as_a_fault_of_the_photo(
    open_studio: OpenStudio, tmp_path: Path, free: int
) -> None:
    photo = ASTRONAUT.read_bytes()
    with small_disk(tmp_path / "disk", 4) as disk:
        page = await open_studio(data_dir=disk / "studio")
        filler = fill(disk, free=free)
        refused = await page.request(
            "POST", "/api/photos", 507, params={"name": "anna.jpg"}, data=io.BytesIO(photo)
        )
        assert await refused.json() == {
            "error": "The disk of the studio's computer is full. Free some space, then try again."
        }
        assert [*(disk / "studio" / "photos").iterdir()] == []
        filler.unlink()
        assert (await page.add_photo(photo, "anna.jpg"))["refusal"] is None
