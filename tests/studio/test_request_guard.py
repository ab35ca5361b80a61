"""Access control: host names, origins, the token and the security headers."""

import asyncio
import re
from importlib.resources import files
from urllib.parse import urlsplit

import pytest

from photoanimer_async.studio.request_guard import SECURITY_HEADERS

from .conftest import KEY, OpenStudio, Page, png

TOKEN = "tok-9f8e7d6c5b"
PAGE = files("photoanimer_async.studio") / "page"


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil", "", "a@b", "192.168.1.7"]
)
async def test_foreign_host_names_are_rejected(page: Page, host: str) -> None:
    for path in ("/", "/api/events", "/album.zip"):
        response = await page.request("GET", path, headers={"Host": host})
        assert response.status in {400, 421}, path


@pytest.mark.parametrize("host", ["localhost", "localhost:9000", "127.0.0.1:9000", "[::1]:1"])
async def test_own_host_names_are_accepted_with_any_port(page: Page, host: str) -> None:
    await page.request("GET", "/", 200, headers={"Host": host})


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "file://"])
async def test_requests_from_other_origins_change_nothing(page: Page, origin: str) -> None:
    photo = await page.add_photo(png())
    for method, path in (
        ("POST", "/api/photos"),
        ("POST", "/api/clips"),
        ("DELETE", f"/api/photos/{photo['id']}/waiting"),
    ):
        await page.request(method, path, 403, data=png(), headers={"Origin": origin})
    [kept] = (await page.state())["photos"]
    assert kept["waiting"]


async def test_an_origin_has_the_scheme_of_a_page(page: Page) -> None:
    origin = page.origin.replace("http:", "ftp:")
    await page.request("POST", "/api/photos", 403, data=png(), headers={"Origin": origin})


async def test_a_post_without_origin_is_rejected(page: Page) -> None:
    async with page.session.post(f"{page.origin}/api/photos", data=png()) as response:
        assert response.status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_other_sites_can_link_to_the_page_but_not_embed_its_photos(
    page: Page, site: str
) -> None:
    photo = await page.add_photo(png())
    as_image = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    await page.request("GET", f"/photos/{photo['id']}", 403, headers=as_image)
    as_link = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    await page.request("GET", "/", 200, headers=as_link)


async def test_every_response_has_the_security_headers(page: Page) -> None:
    photo = await page.add_photo(png())
    shown = f"/photos/{photo['id']}"
    for path in (
        "/",
        "/page/main.js",
        shown,
        "/album.zip",
        "/nothing",
        "/clips/x",
    ):
        response = await page.request("GET", path)
        assert SECURITY_HEADERS.items() <= dict(response.headers).items(), path
    refused = await page.request("GET", "/", headers={"Host": "evil.example"})
    assert "Content-Security-Policy" in refused.headers


def test_the_policy_allows_nothing_inline_and_no_other_origin() -> None:
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "*" not in policy


def test_the_page_uses_nothing_inline_and_no_other_origin() -> None:
    index = (PAGE / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", index)
    for entry in PAGE.iterdir():
        text = entry.read_text()
        addresses = set(re.findall(r"https?://[^\s\"'`)]+", text)) - {"http://www.w3.org/2000/svg"}
        assert addresses == set(), entry.name
        assert "innerHTML" not in text


async def test_the_api_key_is_never_sent_to_the_browser(page: Page) -> None:
    photo = await page.add_photo(png())
    await page.start(photo)
    await page.wait_for_clips()
    seen = repr(await page.state())
    for path in ("/", "/page/studio_client.js"):
        seen += await (await page.request("GET", path)).text()
    assert KEY not in seen


async def test_with_a_token_only_its_link_opens_the_page(open_studio: OpenStudio) -> None:
    page = await open_studio(token=TOKEN)
    opened, page.url = page.url, page.url.partition("/enter/")[0]
    for method, path in (("GET", "/"), ("GET", "/api/events"), ("POST", "/api/photos")):
        response = await page.request(method, path, 401)
        assert TOKEN not in await response.text()
    await page.request("GET", "/enter/tok-wrong", 403)
    await page.request("GET", "/", 401)
    async with page.session.get(opened) as response:
        assert response.status == 200
        assert response.url.path == "/"
        [cookie] = response.history[0].headers.getall("Set-Cookie")
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
    assert (await page.state())["photos"] == []


@pytest.mark.parametrize("cookie", ["\u00e9", "\udcff\udcfe", "\u0663"])
async def test_a_cookie_that_is_not_ascii_is_not_the_token(
    open_studio: OpenStudio, cookie: str
) -> None:
    page = await open_studio(token=TOKEN)
    address = urlsplit(page.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = f"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: photoanimer-studio={cookie}\r\n"
    writer.write(f"{head}Connection: close\r\n\r\n".encode(errors="surrogateescape"))
    assert (await reader.read()).startswith(b"HTTP/1.1 401 ")
    writer.close()


async def test_the_token_cookie_is_valid_after_a_restart(open_studio: OpenStudio) -> None:
    await open_studio(token=TOKEN)
    page = await open_studio(token=TOKEN)
    page.url = page.url.partition("/enter/")[0]
    await page.request("GET", "/", 200, headers={"Cookie": f"photoanimer-studio={TOKEN}"})
