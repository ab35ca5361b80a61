"""Who may talk to a studio, and what its answers forbid the browser to do."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from photoanimer_async.studio import StudioSettings
from photoanimer_async.studio.guard import HEADERS

from .conftest import KEY, Open, Page, png

TOKEN = "tok-9f8e7d6c5b"
PAGE = files("photoanimer_async.studio") / "page"


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil", "", "a@b", "192.168.1.7"]
)
async def test_another_name_that_points_here_is_turned_away(page: Page, host: str) -> None:
    for path in ("/", "/api/events", "/album.zip"):
        answer = await page.ask("GET", path, headers={"Host": host})
        assert answer.status in {400, 421}, path


@pytest.mark.parametrize("host", ["localhost", "localhost:9000", "127.0.0.1:9000", "[::1]:1"])
async def test_its_own_names_are_taken_through_a_forwarded_port_too(page: Page, host: str) -> None:
    await page.ask("GET", "/", 200, headers={"Host": host})


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "file://"])
async def test_another_site_can_change_nothing(page: Page, origin: str) -> None:
    photo = await page.add(png())
    for method, path in (
        ("POST", "/api/photos"),
        ("POST", "/api/clips"),
        ("DELETE", f"/api/photos/{photo['id']}/waiting"),
    ):
        await page.ask(method, path, 403, data=png(), headers={"Origin": origin})
    [there] = (await page.state())["photos"]
    assert there["waiting"]


async def test_a_post_that_does_not_say_where_it_comes_from_is_refused(page: Page) -> None:
    async with page.session.post(f"{page.origin}/api/photos", data=png()) as answer:
        assert answer.status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_another_site_can_show_nothing_of_it(page: Page, site: str) -> None:
    photo = await page.add(png())
    as_image = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    await page.ask("GET", f"/photos/{photo['id']}", 403, headers=as_image)
    as_link = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    await page.ask("GET", "/", 200, headers=as_link)


async def test_every_answer_has_the_policy(page: Page) -> None:
    photo = await page.add(png())
    shown = f"/photos/{photo['id']}"
    for path in (
        "/",
        "/page/main.js",
        shown,
        "/album.zip",
        "/nothing",
        "/clips/x",
    ):
        answer = await page.ask("GET", path)
        assert HEADERS.items() <= dict(answer.headers).items(), path
    refused = await page.ask("GET", "/", headers={"Host": "evil.example"})
    assert "Content-Security-Policy" in refused.headers


def test_the_policy_allows_nothing_in_line_and_nothing_from_outside() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "*" not in policy


def test_the_page_needs_nothing_in_line_and_nothing_from_outside() -> None:
    index = (PAGE / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", index)
    for entry in PAGE.iterdir():
        text = entry.read_text()
        addresses = set(re.findall(r"https?://[^\s\"'`)]+", text)) - {"http://www.w3.org/2000/svg"}
        assert addresses == set(), entry.name
        assert "innerHTML" not in text


@pytest.mark.parametrize(
    "path",
    [
        "/page/../studio.py",
        "/page/%2e%2e%2fstudio.py",
        "/page/index.htm",
        "/page/%2fetc%2fpasswd",
        "/photos/..%2f..%2falbum.json",
        "/previews/..%2fsample/1",
    ],
)
async def test_no_other_file_can_be_had(page: Page, path: str) -> None:
    answer = await page.ask("GET", path)
    assert answer.status in {403, 404}


async def test_the_key_is_never_sent_to_the_browser(page: Page) -> None:
    photo = await page.add(png())
    await page.start(photo)
    await page.settled()
    said = repr(await page.state())
    for path in ("/", "/page/studio.js"):
        said += await (await page.ask("GET", path)).text()
    assert KEY not in said


# --- beyond this machine ---


async def test_beyond_this_machine_it_opens_with_the_token_only(open_studio: Open) -> None:
    page = await open_studio(token=TOKEN)
    opened, page.url = page.url, page.url.partition("/enter/")[0]
    for method, path in (("GET", "/"), ("GET", "/api/events"), ("POST", "/api/photos")):
        answer = await page.ask(method, path, 401)
        assert TOKEN not in await answer.text()
    await page.ask("GET", "/enter/tok-wrong", 403)
    await page.ask("GET", "/", 401)
    async with page.session.get(opened) as answer:
        assert answer.status == 200
        assert answer.url.path == "/"
        [cookie] = answer.history[0].headers.getall("Set-Cookie")
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
    assert (await page.state())["photos"] == []


async def test_the_token_still_opens_it_after_a_restart(open_studio: Open) -> None:
    await open_studio(token=TOKEN)
    page = await open_studio(token=TOKEN)
    page.url = page.url.partition("/enter/")[0]
    await page.ask("GET", "/", 200, headers={"Cookie": f"photoanimer-studio={TOKEN}"})


def test_without_a_token_it_stays_on_this_machine(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without a token the studio is open to everybody"):
        StudioSettings(data_dir=tmp_path, host="0.0.0.0")
    settings = StudioSettings(data_dir=tmp_path, host="0.0.0.0", token=TOKEN)
    assert TOKEN not in repr(settings)
