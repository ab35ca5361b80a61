"""The page in a real browser, with a real studio and engine behind it."""

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
from .browser import SCREENSHOTS, SIZES, OpenPage, StudioProcess

pytestmark = pytest.mark.slow
TIMEOUT = 120_000
"""Milliseconds to wait for animated photos, also on a busy machine."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = require_program("chromium", "chromium-browser", "google-chrome")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def shared_studio(
    tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> Iterator[StudioProcess]:
    process = StudioProcess(tmp_path_factory.mktemp("shared") / "studio")
    process.start()
    yield process
    process.stop()


@pytest.fixture
def studio(shared_studio: StudioProcess) -> StudioProcess:
    """A running studio with an empty album."""
    shared_studio.clear()
    return shared_studio


@pytest.fixture
def new_studio(tmp_path: Path, browser: Browser) -> Iterator[StudioProcess]:
    """A studio of the test's own, which it may kill."""
    process = StudioProcess(tmp_path / "studio")
    process.start()
    yield process
    process.stop()


OpenInBrowser = Callable[..., OpenPage]


@pytest.fixture
def open_in_browser(browser: Browser) -> Iterator[OpenInBrowser]:
    """Open a studio's page; the console must be empty at the end of the test."""
    opened: list[OpenPage] = []

    def open_(studio: StudioProcess, size: str = "desktop", **options: object) -> OpenPage:
        context = browser.new_context(viewport=SIZES[size], accept_downloads=True, **options)  # type: ignore[arg-type] # options of many types
        page = context.new_page()
        opened.append(OpenPage(page))
        page.goto(studio.url)
        return opened[-1]

    yield open_
    for visit in opened:
        visit.page.context.close()
        assert visit.console == []


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
    """A web site that serves the photos."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            """Log nothing."""

    handler = functools.partial(Quiet, directory=str(photos[0].parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def write_voice(path: Path, seconds: float) -> Path:
    rate = 16_000
    samples = (int(9000 * sin(tau * 180 * at / rate)) for at in range(int(seconds * rate)))
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return path


def focus_with_tab(page: Page, selector: str) -> None:
    """Press Tab until the element has the focus."""
    for _ in range(60):
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"{selector} cannot be reached with the Tab key")


def test_photos_are_animated_across_a_crash_of_the_studio(
    open_in_browser: OpenInBrowser, new_studio: StudioProcess, photos: list[Path]
) -> None:
    studio = new_studio
    visit = open_in_browser(studio)
    page = visit.page
    expect(page.locator(".choice video")).to_have_count(6, timeout=TIMEOUT)
    visit.require_playing(page.locator(".choice video").first)
    visit.capture("1-open")

    visit.drop(*photos)
    expect(page.locator(".print img")).to_have_count(3, timeout=TIMEOUT)
    grey = page.locator(".print", has_text="A grey day")
    expect(grey).to_contain_text("No face was found in this photo.")
    expect(page.locator("#cost")).to_contain_text("2 photos: 14.26 video seconds")
    expect(page.locator("#cost")).to_contain_text("36,000 are left")
    expect(page.locator("#previews-hint")).to_contain_text("Aunt Eileen")
    expect(page.locator(".choice video")).to_have_count(6, timeout=TIMEOUT)
    grey.get_by_label("Try it anyway").check()
    page.get_by_role("radio", name="Surprise into laughter").check()
    expect(page.locator("#cost")).to_contain_text("3 photos: 20.25 video seconds")
    visit.capture("2-chosen")

    page.get_by_role("button", name="Bring 3 photos to life").click()
    expect(page.locator(".clip")).to_have_count(3)
    expect(page.locator("#album-title")).to_be_focused()
    expect(page.locator(".clip .stage", has_text="Animating").first).to_be_visible()
    visit.capture("3-in-progress")
    page.reload()
    expect(page.locator(".clip")).to_have_count(3)

    studio.kill()
    expect(page.locator("#connection")).to_contain_text("cannot be reached")
    visit.capture("4-disconnected")
    studio.start()
    expect(page.locator("#connection")).to_be_hidden(timeout=TIMEOUT)

    expect(page.locator(".clip[data-stage=done]")).to_have_count(2, timeout=TIMEOUT)
    failed = page.locator(".clip[data-stage=failed]")
    expect(failed.locator("h3")).to_have_text("A grey day")
    expect(failed.locator(".trouble")).to_have_text("No person's face was found in the photo.")
    for video in page.locator(".clip video").all():
        visit.require_playing(video)
    visit.capture("5-done")

    download_all(page, "Surprise into laughter")
    view_videos(visit)
    studio.stop()
    assert studio.submits == 3


def download_all(page: Page, expression: str) -> None:
    """Download the zip, and check that it has the two videos."""
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all 2").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == [
            f"Aunt Eileen - {expression}.mp4",
            f"Grandma Grace - {expression}.mp4",
        ]
        assert all(archive.read(name)[4:8] == b"ftyp" for name in archive.namelist())


def view_videos(visit: OpenPage) -> None:
    """Open a video in the viewer, and step to the next with an arrow key."""
    page = visit.page
    page.get_by_role("button", name="Show Aunt Eileen large").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    visit.require_playing(page.locator("#viewer-video"))
    visit.capture("6-viewer")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#viewer-title")).to_have_text("Grandma Grace")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_the_page_can_be_used_with_the_keyboard_only(
    open_in_browser: OpenInBrowser, studio: StudioProcess, site: str
) -> None:
    visit = open_in_browser(studio)
    page = visit.page
    focus_with_tab(page, ".skip")
    focus_with_tab(page, "#files")
    focus_with_tab(page, "#url")
    page.keyboard.type(f"{site}/Aunt%20Eileen.jpg")
    page.keyboard.press("Enter")
    expect(page.locator(".print img")).to_have_count(1, timeout=TIMEOUT)
    expect(page.locator(".print .name")).to_have_text("Aunt Eileen")
    focus_with_tab(page, "input[name=expression]:checked")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name="A wink")).to_be_checked()
    focus_with_tab(page, "#start")
    page.keyboard.press("Enter")
    expect(page.locator("#announcer")).to_contain_text(
        "The video of Aunt Eileen is ready", timeout=TIMEOUT
    )
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


def test_a_voice_is_uploaded_and_heard_in_the_video(
    open_in_browser: OpenInBrowser, studio: StudioProcess, photos: list[Path], tmp_path: Path
) -> None:
    visit = open_in_browser(studio, "phone")
    page = visit.page
    page.set_input_files("#files", photos[0])
    expect(page.locator(".print img")).to_have_count(1, timeout=TIMEOUT)
    page.get_by_role("radio", name="Talking").check()
    expect(page.locator("#cost")).to_contain_text("3.13 video seconds")
    page.set_input_files("#voice-file", photos[1])
    expect(page.locator("#voice-name")).to_contain_text("It is not a sound file")
    page.set_input_files("#voice-file", write_voice(tmp_path / "Good morning.wav", 1.5))
    expect(page.locator("#voice-name")).to_have_text("Good morning, 1.5 seconds")
    expect(page.locator("#cost")).to_contain_text("1.5 video seconds")
    visit.capture("7-voice")
    page.get_by_role("button", name="Bring it to life").click()
    expect(page.locator(".clip[data-stage=done]")).to_have_count(1, timeout=TIMEOUT)
    page.get_by_role("button", name="Play Aunt Eileen").click()
    video = page.locator(".clip video")
    visit.require_playing(video)
    assert not video.evaluate("video => video.muted")


def test_refused_files_are_shown_with_the_reason(
    open_in_browser: OpenInBrowser, studio: StudioProcess, tmp_path: Path
) -> None:
    visit = open_in_browser(studio)
    page = visit.page
    expect(page.locator("#formats")).to_contain_text("HEIC or AVIF, under 256 MB")
    contents = {"letter.pdf": b"%PDF-1.7", "icon.png": png(side=8), "huge.jpg": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    os.truncate(tmp_path / "huge.jpg", MAX_SOURCE_BYTES + 2**19)
    page.set_input_files("#files", [tmp_path / name for name in contents])
    for name, reason in (
        ("letter", "It is a PDF; allowed are PNG, JPEG, BMP, WEBP, HEIC, AVIF and TIFF."),
        ("icon", "It has 8x8 pixels; a face needs at least 16x16."),
        ("huge", "The file has 256.5 MB; it must have less than 256 MB."),
    ):
        expect(page.locator(".print", has_text=name)).to_contain_text(reason, timeout=TIMEOUT)
    expect(page.locator("#order")).to_be_hidden()
    visit.capture("8-refused")
    page.get_by_role("button", name="Remove huge").click()
    expect(page.locator(".print")).to_have_count(2)


def test_a_rotated_heic_is_shown_upright(
    open_in_browser: OpenInBrowser, studio: StudioProcess, tmp_path: Path
) -> None:
    visit = open_in_browser(studio, "phone")
    page = visit.page
    with Image.open(io.BytesIO(ASTRONAUT.read_bytes())) as image:
        rotated = image.transpose(Image.Transpose.ROTATE_90)
        upright = image.size
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    photo = tmp_path / "IMG_0042.HEIC"
    photo.write_bytes(heic(rotated, exif=exif.tobytes()))
    visit.drop(photo)
    small = page.locator(".print img")
    visit.wait_until(lambda: small.evaluate("image => image.naturalWidth") > 0)
    page.get_by_role("radio", name="A wink").check()
    visit.capture("9-heic")
    page.get_by_role("button", name="Bring it to life").click()
    expect(page.locator(".clip[data-stage=done]")).to_have_count(1, timeout=TIMEOUT)
    video = page.locator(".clip video")
    visit.require_playing(video)
    page.get_by_role("button", name="Show IMG_0042 large").click()
    large = page.locator("#viewer-photo")
    visit.wait_until(lambda: large.evaluate("image => image.naturalWidth") > 0)
    size = "image => [image.naturalWidth, image.naturalHeight]"
    assert large.evaluate(size) == list(upright)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download", exact=True).click()
    assert download.value.suggested_filename == "IMG_0042 - A wink.mp4"


def test_previews_do_not_play_with_reduced_motion(
    open_in_browser: OpenInBrowser, studio: StudioProcess
) -> None:
    page = open_in_browser(studio, reduced_motion="reduce").page
    expect(page.locator(".choice video")).to_have_count(6, timeout=TIMEOUT)
    paused = "videos => videos.every(video => video.paused)"
    assert page.locator(".choice video").evaluate_all(paused)
    page.get_by_role("button", name="Play the previews").click()
    assert not page.locator(".choice video").evaluate_all(paused)
    page.get_by_role("button", name="Pause the previews").click()
    assert page.locator(".choice video").evaluate_all(paused)
