"""The studio in a real browser, as somebody uses it who sees it for the first time."""

import functools
import io
import os
import struct
import threading
import wave
import zipfile
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from math import sin, tau
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from photoanimer_async.engine.samples import ASTRONAUT, GRACE_HOPPER
from photoanimer_async.photos.check import MAX_SOURCE_BYTES

from ..support.pictures import heic
from .conftest import png

pytest.importorskip("playwright", reason="playwright is not installed: pip install -e '.[dev]'")

from playwright.sync_api import Browser, Page, expect, sync_playwright

from ..support.missing import require_program
from .browser import SCREENSHOTS, SIZES, StudioProcess, Visit

SLOW = 120_000
"""Milliseconds: photos are really animated here, and machines are busy."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = require_program("chromium", "chromium-browser", "google-chrome")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def studio(tmp_path: Path, browser: Browser) -> Iterator[StudioProcess]:
    process = StudioProcess(tmp_path / "studio")
    process.start()
    yield process
    process.stop()


Open = Callable[..., Visit]


@pytest.fixture
def visit(browser: Browser, studio: StudioProcess) -> Iterator[Open]:
    """Opens the page; in the end, the browser must have had nothing to complain of."""
    visits: list[Visit] = []

    def open_(size: str = "desktop", **options: object) -> Visit:
        context = browser.new_context(viewport=SIZES[size], accept_downloads=True, **options)  # type: ignore[arg-type] # of many kinds
        page = context.new_page()
        visits.append(Visit(page, size))
        page.goto(studio.url)
        return visits[-1]

    yield open_
    for visit in visits:
        visit.page.context.close()
        assert visit.said == []


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "photos"
    folder.mkdir()
    contents = {
        "Aunt Eileen.jpg": ASTRONAUT.read_bytes(),
        "Grandma Grace.jpg": GRACE_HOPPER.read_bytes(),
        "A grey day.png": png(side=200),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


@pytest.fixture
def site(photos: list[Path]) -> Iterator[str]:
    """A web site with the photos."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            """Keeps quiet."""

    handler = functools.partial(Quiet, directory=str(photos[0].parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def a_voice(path: Path, seconds: float) -> Path:
    rate = 16_000
    samples = (int(9000 * sin(tau * 180 * at / rate)) for at in range(int(seconds * rate)))
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return path


def focus_with_tab(page: Page, selector: str) -> None:
    """Goes on with the Tab key until the element has the focus."""
    for _ in range(60):
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"{selector} can not be reached with the Tab key")


@pytest.mark.parametrize(
    ("size", "expression", "cost"),
    [("desktop", "Surprise into laughter", "20.25"), ("phone", "A wink", "6.39")],
)
def test_a_whole_round(
    visit: Open,
    studio: StudioProcess,
    photos: list[Path],
    *,
    size: str,
    expression: str,
    cost: str,
) -> None:
    somebody = visit(size)
    page = somebody.page
    expect(page.locator(".choice video")).to_have_count(6, timeout=SLOW)
    somebody.require_playing(page.locator(".choice video").first)
    somebody.look("1-open")

    somebody.drop(*photos)
    expect(page.locator(".print img")).to_have_count(3, timeout=SLOW)
    grey = page.locator(".print", has_text="A grey day")
    expect(grey).to_contain_text("No face was found in it.")
    expect(page.locator("#cost")).to_contain_text("2 photos: 14.26 video seconds")
    expect(page.locator("#cost")).to_contain_text("36,000 are left")
    expect(page.locator("#previews-hint")).to_contain_text("Aunt Eileen")
    expect(page.locator(".choice video")).to_have_count(6, timeout=SLOW)
    grey.get_by_label("Try it anyway").check()
    page.get_by_role("radio", name=expression).check()
    expect(page.locator("#cost")).to_contain_text(f"3 photos: {cost} video seconds")
    somebody.look("2-chosen")

    page.get_by_role("button", name="Bring 3 photos to life").click()
    expect(page.locator(".clip")).to_have_count(3)
    expect(page.locator("#album-title")).to_be_focused()
    expect(page.locator(".clip .stage", has_text="Coming to life").first).to_be_visible()
    somebody.look("3-on-the-way")
    page.reload()
    expect(page.locator(".clip")).to_have_count(3)

    studio.kill()
    expect(page.locator("#connection")).to_contain_text("can not be reached")
    somebody.look("4-away")
    studio.start()
    expect(page.locator("#connection")).to_be_hidden(timeout=SLOW)

    expect(page.locator(".clip[data-stage=done]")).to_have_count(2, timeout=SLOW)
    failed = page.locator(".clip[data-stage=failed]")
    expect(failed.locator("h3")).to_have_text("A grey day")
    expect(failed.locator(".trouble")).to_have_text("No person's face was found in the photo.")
    for video in page.locator(".clip video").all():
        somebody.require_playing(video)
    somebody.look("5-done")

    download_all(page, expression)
    look_at_each(somebody)
    studio.stop()
    assert studio.submits == 3


def download_all(page: Page, expression: str) -> None:
    """The zip opens, and holds the two videos."""
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all 2").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == [
            f"Aunt Eileen - {expression}.mp4",
            f"Grandma Grace - {expression}.mp4",
        ]
        assert all(archive.read(name)[4:8] == b"ftyp" for name in archive.namelist())


def look_at_each(somebody: Visit) -> None:
    """One video large beside its photo, and the next by an arrow key."""
    page = somebody.page
    page.get_by_role("button", name="Show Aunt Eileen large").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    somebody.require_playing(page.locator("#viewer-video"))
    somebody.look("6-large")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#viewer-title")).to_have_text("Grandma Grace")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_with_the_keyboard_alone(visit: Open, site: str) -> None:
    somebody = visit()
    page = somebody.page
    focus_with_tab(page, ".skip")
    focus_with_tab(page, "#files")
    focus_with_tab(page, "#url")
    page.keyboard.type(f"{site}/Aunt%20Eileen.jpg")
    page.keyboard.press("Enter")
    expect(page.locator(".print img")).to_have_count(1, timeout=SLOW)
    expect(page.locator(".print .name")).to_have_text("Aunt Eileen")
    focus_with_tab(page, "input[name=expression]:checked")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name="A wink")).to_be_checked()
    focus_with_tab(page, "#start")
    page.keyboard.press("Enter")
    expect(page.locator("#announcer")).to_contain_text("Aunt Eileen has come to life", timeout=SLOW)
    focus_with_tab(page, ".enlarge")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".enlarge")).to_be_focused()
    focus_with_tab(page, ".play")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play Aunt Eileen")).to_be_focused()
    focus_with_tab(page, ".clip .actions button:last-child")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("Remove this video of Aunt Eileen?")
    focus_with_tab(page, "#question-yes")
    page.keyboard.press("Enter")
    expect(page.locator(".clip")).to_have_count(0)
    expect(page.locator("#photos")).to_be_focused()


def test_a_voice_of_ones_own(visit: Open, photos: list[Path], tmp_path: Path) -> None:
    somebody = visit("phone")
    page = somebody.page
    page.set_input_files("#files", photos[0])
    expect(page.locator(".print img")).to_have_count(1, timeout=SLOW)
    page.get_by_role("radio", name="Talking").check()
    expect(page.locator("#cost")).to_contain_text("3.13 video seconds")
    page.set_input_files("#voice-file", photos[1])
    expect(page.locator("#voice-name")).to_contain_text("It is not a sound file")
    page.set_input_files("#voice-file", a_voice(tmp_path / "Good morning.wav", 1.5))
    expect(page.locator("#voice-name")).to_have_text("Good morning, 1.5 seconds")
    expect(page.locator("#cost")).to_contain_text("1.5 video seconds")
    somebody.look("7-voice")
    page.get_by_role("button", name="Bring it to life").click()
    expect(page.locator(".clip[data-stage=done]")).to_have_count(1, timeout=SLOW)
    page.get_by_role("button", name="Play Aunt Eileen").click()
    video = page.locator(".clip video")
    somebody.require_playing(video)
    assert not video.evaluate("video => video.muted")


def test_what_can_not_be_used_is_told_at_once(visit: Open, tmp_path: Path) -> None:
    somebody = visit()
    page = somebody.page
    expect(page.locator("#formats")).to_contain_text("HEIC or AVIF, under 256 MB")
    contents = {"letter.pdf": b"%PDF-1.7", "icon.png": png(side=8), "huge.jpg": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    os.truncate(tmp_path / "huge.jpg", MAX_SOURCE_BYTES + 2**19)
    page.set_input_files("#files", [tmp_path / name for name in contents])
    for name, why in (
        ("letter", "It is a PDF; allowed are PNG, JPEG, BMP, WEBP, HEIC, AVIF and TIFF."),
        ("icon", "It has 8x8 pixels; a face needs at least 16x16."),
        ("huge", "The file has 256.5 MB; allowed is less than 256 MB."),
    ):
        expect(page.locator(".print", has_text=name)).to_contain_text(why, timeout=SLOW)
    expect(page.locator("#order")).to_be_hidden()
    somebody.look("8-refused")
    page.get_by_role("button", name="Remove huge").click()
    expect(page.locator(".print")).to_have_count(2)


def test_a_photo_from_a_phone(visit: Open, tmp_path: Path) -> None:
    somebody = visit("phone")
    page = somebody.page
    with Image.open(io.BytesIO(ASTRONAUT.read_bytes())) as image:
        on_its_side = image.transpose(Image.Transpose.ROTATE_90)
        upright = image.size
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    photo = tmp_path / "IMG_0042.HEIC"
    photo.write_bytes(heic(on_its_side, exif=exif.tobytes()))
    somebody.drop(photo)
    small = page.locator(".print img")
    somebody.until(lambda: small.evaluate("image => image.naturalWidth") > 0)
    page.get_by_role("radio", name="A wink").check()
    somebody.look("9-from-a-phone")
    page.get_by_role("button", name="Bring it to life").click()
    expect(page.locator(".clip[data-stage=done]")).to_have_count(1, timeout=SLOW)
    video = page.locator(".clip video")
    somebody.require_playing(video)
    page.get_by_role("button", name="Show IMG_0042 large").click()
    large = page.locator("#viewer-photo")
    somebody.until(lambda: large.evaluate("image => image.naturalWidth") > 0)
    size = "image => [image.naturalWidth, image.naturalHeight]"
    assert large.evaluate(size) == list(upright)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download", exact=True).click()
    assert download.value.suggested_filename == "IMG_0042 - A wink.mp4"


def test_nothing_moves_by_itself_for_who_wants_it_still(visit: Open) -> None:
    page = visit(reduced_motion="reduce").page
    expect(page.locator(".choice video")).to_have_count(6, timeout=SLOW)
    paused = "videos => videos.every(video => video.paused)"
    assert page.locator(".choice video").evaluate_all(paused)
    page.get_by_role("button", name="Play the previews").click()
    assert not page.locator(".choice video").evaluate_all(paused)
    page.get_by_role("button", name="Pause the previews").click()
    assert page.locator(".choice video").evaluate_all(paused)
