"""The page in a real browser, with a real studio and engine behind it."""

import functools
import io
import os
import re
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
from photoanimer_async.photos.rules import MAX_SOURCE_BYTES

from ..support.pictures import heic
from .conftest import png

pytest.importorskip("playwright", reason="playwright is not installed: pip install -e '.[dev]'")

from playwright.sync_api import APIResponse, Browser, Page, Route, expect, sync_playwright

from ..support.missing import require_program
from .browser import SCREENSHOTS, SIZES, OpenPage, StudioProcess

pytestmark = pytest.mark.slow
TIMEOUT = 120_000
"""Milliseconds to wait for anything, also on a busy machine."""

expect.set_options(timeout=TIMEOUT)


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
    expect(page.locator(".choice video")).to_have_count(6)
    visit.require_playing(page.locator(".choice video").first)
    visit.capture("1-open")

    visit.drop(*photos)
    expect(page.locator(".print img")).to_have_count(2)
    expect(page.locator("#unusable summary")).to_have_text("A grey day: No face was found.")
    expect(page.locator("#strip-title")).to_have_text("2 photos")
    expect(page.locator("#bar")).not_to_contain_text("seconds")
    expect(page.locator("#previews-hint")).to_contain_text("Aunt Eileen")
    expect(page.locator(".choice video")).to_have_count(6)
    visit.capture("2-chosen")
    page.get_by_role("button", name="Try anyway", exact=True).click()
    expect(page.locator(".print img")).to_have_count(3)
    page.get_by_role("radio", name="Surprise into laughter").check()
    expect(page.locator("#bar-expression")).to_have_text("Surprise into laughter")

    page.get_by_role("button", name="Bring 3 photos to life").click()
    expect(page.locator("#progress-text")).to_contain_text("of 3")
    expect(page.locator("#album-title")).to_be_focused()
    expect(page.locator(".clip .stage", has_text="Being made").first).to_be_visible()
    expect(page).to_have_title(re.compile("of 3 · Photos, alive"))
    visit.capture("3-in-progress")
    page.reload()
    expect(page.locator(".clip").first).to_be_visible()

    studio.kill()
    expect(page.locator("#connection")).to_contain_text("cannot be reached")
    visit.capture("4-disconnected")
    studio.start()
    expect(page.locator("#connection")).to_be_hidden()

    expect(page.locator(".clip[data-stage=done]")).to_have_count(2)
    expect(page.locator("#failed summary")).to_have_text(
        "A grey day: No person's face was found in the photo."
    )
    expect(page.locator("#progress")).to_be_hidden()
    visit.require_playing(page.locator(".clip video"))
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
    page.get_by_role("button", name="Show Aunt Eileen large").click()
    page.go_back()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator(".clip")).to_have_count(2)


def test_a_photo_that_is_there_before_the_answer_to_its_upload_is_shown_once(
    open_in_browser: OpenInBrowser, studio: StudioProcess, site: str
) -> None:
    page = open_in_browser(studio).page
    answers: list[tuple[Route, APIResponse]] = []
    page.route("**/api/links", lambda route: answers.append((route, route.fetch())))
    page.locator("#url").fill(f"{site}/Aunt%20Eileen.jpg")
    page.keyboard.press("Enter")
    for _ in range(2):
        expect(page.locator(".print img")).to_have_count(1)
        expect(page.locator(".print .name")).to_have_text("Aunt Eileen")
        for route, response in answers:
            route.fulfill(response=response)
        answers.clear()


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
    expect(page.locator(".print img")).to_have_count(1)
    expect(page.locator(".print .name")).to_have_text("Aunt Eileen")
    focus_with_tab(page, "input[name=expression]:checked")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name="A wink")).to_be_checked()
    focus_with_tab(page, "#start")
    page.keyboard.press("Enter")
    expect(page.locator("#announcer")).to_contain_text("The video of Aunt Eileen is ready")
    focus_with_tab(page, ".enlarge")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".enlarge")).to_be_focused()
    page.keyboard.press("Enter")
    focus_with_tab(page, "#viewer-remove")
    page.keyboard.press("Enter")
    expect(page.locator("#question")).to_contain_text("Remove this video of Aunt Eileen?")
    focus_with_tab(page, "#question-yes")
    page.keyboard.press("Enter")
    expect(page.locator(".clip")).to_have_count(0)
    expect(page.locator("#photos")).to_be_focused()


def test_the_focus_stays_near_a_button_that_disappears(
    open_in_browser: OpenInBrowser, studio: StudioProcess, photos: list[Path]
) -> None:
    page = open_in_browser(studio).page
    page.set_input_files("#files", photos)
    expect(page.locator("#strip-title")).to_have_text("2 photos")
    page.locator("#unusable summary").press("Enter")
    page.locator("#unusable").get_by_role("button", name="Try anyway").first.press("Enter")
    expect(page.locator("#strip-title")).to_have_text("3 photos")
    expect(page.locator("#files")).to_be_focused()
    page.locator("#clear").press("Enter")
    expect(page.locator("#strip-head")).to_be_hidden()
    expect(page.locator("#files")).to_be_focused()


def test_a_voice_is_uploaded_and_heard_in_the_video(
    open_in_browser: OpenInBrowser, studio: StudioProcess, photos: list[Path], tmp_path: Path
) -> None:
    visit = open_in_browser(studio, "phone")
    page = visit.page
    page.set_input_files("#files", photos[0])
    expect(page.locator(".print img")).to_have_count(1)
    page.get_by_role("radio", name="Talking").check()
    page.set_input_files("#voice-file", photos[1])
    expect(page.locator("#messages")).to_contain_text("This is not a sound file")
    page.set_input_files("#voice-file", write_voice(tmp_path / "Good morning.wav", 1.5))
    expect(page.locator("#voice-name")).to_have_text("Good morning, 1.5 seconds")
    expect(page.locator("#messages")).to_be_hidden()
    visit.capture("7-voice")
    page.get_by_role("button", name="Bring it to life").click()
    expect(page.locator(".clip[data-stage=done]")).to_have_count(1)
    page.get_by_role("button", name="Show Aunt Eileen large").click()
    video = page.locator("#viewer-video")
    visit.require_playing(video)
    assert not video.evaluate("video => video.muted")


def test_what_cannot_be_used_is_reported_in_words_and_folded_away(
    open_in_browser: OpenInBrowser, studio: StudioProcess, photos: list[Path], tmp_path: Path
) -> None:
    visit = open_in_browser(studio)
    page = visit.page
    expect(page.locator("#formats")).to_contain_text("HEIC or AVIF, under 256 MB; location")
    folder = tmp_path / "family"
    (folder / "1954" / "@eaDir").mkdir(parents=True)
    contents = {
        "letter.pdf": b"%PDF-1.7",
        "notes.txt": b"text",
        ".DS_Store": b"",
        "icon.png": png(side=8),
        **{f"fake {number}.jpg": bytes.fromhex("a28fbfc9") * number for number in range(1, 7)},
        "1954/cut.jpg": photos[0].read_bytes()[:3000],
        "1954/eileen.jpg": photos[0].read_bytes(),
        "1954/@eaDir/SYNO_THUMB.jpg": photos[1].read_bytes(),
        "huge.jpg": b"",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    os.truncate(folder / "huge.jpg", MAX_SOURCE_BYTES + 2**19)
    page.set_input_files("#folder", folder)
    expect(page.locator("#strip-title")).to_have_text("1 photo")
    expect(page.locator(".print .name")).to_have_text("eileen")
    expect(page.locator("#messages")).to_contain_text("2 files are no photos and were left out.")
    expect(page.locator("#unusable summary")).to_have_text("9 photos cannot be used")
    page.locator("#unusable summary").click()
    for reason in (
        "This picture is too small: 8 by 8 pixels.",
        "This is not a photo.",
        "This photo is damaged or incomplete. Choose another copy of it.",
        "This file is too large: photos must have less than 256 MB.",
    ):
        expect(page.locator(".group", has_text=reason)).to_be_visible()
    expect(page.locator(".group", has_text="This is not a photo.").locator("li")).to_have_count(6)
    visit.capture("8-refused")
    # Groups are in the order of arrival, and rows far below the window are not in the document.
    page.locator(".group", has_text="This file is too large").scroll_into_view_if_needed()
    page.get_by_role("button", name="Remove: huge").click()
    expect(page.locator("#unusable summary")).to_have_text("8 photos cannot be used")
    page.locator("#unusable > .actions").get_by_role("button", name="Remove all").click()
    expect(page.locator("#unusable")).to_be_hidden()
    expect(page.locator("#strip-title")).to_have_text("1 photo")


def test_photos_added_while_the_studio_is_away_are_sent_when_it_is_back(
    open_in_browser: OpenInBrowser, new_studio: StudioProcess, photos: list[Path]
) -> None:
    visit = open_in_browser(new_studio)
    page = visit.page
    expect(page.locator("#formats")).to_contain_text("JPEG")
    new_studio.kill()
    expect(page.locator("#connection")).to_be_visible()
    page.set_input_files("#files", photos[:2])
    expect(page.locator("#strip-title")).to_have_text(
        "2 photos will be sent when the studio is back"
    )
    page.get_by_role("button", name="Stop adding").click()
    expect(page.locator("#strip-head")).to_be_hidden()
    page.set_input_files("#files", photos[:2])
    new_studio.start()
    expect(page.locator("#strip-title")).to_have_text("2 photos")
    expect(page.locator(".print img")).to_have_count(2)


def test_photos_keep_their_places_while_they_are_added(
    open_in_browser: OpenInBrowser, studio: StudioProcess, photos: list[Path]
) -> None:
    page = open_in_browser(studio).page
    held: list[Route] = []
    page.route(re.compile("api/photos.*Eileen"), lambda route: held.append(route))  # noqa: PLW0108 - Playwright marks it
    page.set_input_files("#files", photos[:2])
    expect(page.locator(".print img")).to_have_count(1)
    names = page.locator(".print .name")
    expect(names).to_have_text(["Aunt Eileen", "Grandma Grace"])
    held[0].continue_()
    expect(page.locator(".print img")).to_have_count(2)
    expect(names).to_have_text(["Aunt Eileen", "Grandma Grace"])
    page.get_by_role("button", name="Remove all").click()
    expect(page.locator("#strip-head")).to_be_hidden()


def test_a_picture_that_could_not_be_loaded_is_loaded_later(
    open_in_browser: OpenInBrowser, studio: StudioProcess, photos: list[Path]
) -> None:
    page = open_in_browser(studio).page
    refused: list[Route] = []

    def refuse_once(route: Route) -> None:
        route.fallback() if refused else route.abort("internetdisconnected")
        refused.append(route)

    page.route(re.compile("/photos/.*/small"), refuse_once)
    page.set_input_files("#files", photos[:1])
    expect(page.locator(".print img")).to_have_js_property("naturalWidth", 256)
    assert len(refused) > 1


def test_a_link_of_another_kind_is_reported_and_kept(
    open_in_browser: OpenInBrowser, studio: StudioProcess
) -> None:
    page = open_in_browser(studio).page
    page.fill("#url", "ftp://example.com/me.jpg")
    page.keyboard.press("Enter")
    expect(page.locator("#messages")).to_contain_text(
        "no link to a photo on the web, which begins with https://"
    )
    expect(page.locator("#url")).to_have_value("ftp://example.com/me.jpg")


def test_all_videos_are_stopped_and_their_photos_stay_selected(
    open_in_browser: OpenInBrowser, new_studio: StudioProcess, photos: list[Path], tmp_path: Path
) -> None:
    page = open_in_browser(new_studio).page
    copies = [tmp_path / f"copy {number}.jpg" for number in range(8)]
    for number, copy in enumerate(copies):
        copy.write_bytes(photos[0].read_bytes() + bytes(number))
    page.set_input_files("#files", copies)
    expect(page.locator("#strip-title")).to_have_text("8 photos")
    page.get_by_role("button", name="Bring 8 photos to life").click()
    expect(page.locator(".clip .stage", has_text="Waiting").first).to_be_visible()
    page.get_by_role("button", name="Stop all").click()
    page.locator("#question-yes").click()
    expect(page.locator("#progress")).to_be_hidden()
    stopped = 8 - page.locator(".clip[data-stage=done]").count()
    assert stopped > 0
    expect(page.locator("#strip-title")).to_have_text(re.compile(f"{stopped} photos?"))
    new_studio.stop()
    assert new_studio.submits < 8


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
    expect(page.locator(".clip[data-stage=done]")).to_have_count(1)
    video = page.locator(".clip video")
    visit.require_playing(video)
    page.get_by_role("button", name="Show IMG_0042 large").click()
    large = page.locator("#viewer-photo")
    visit.wait_until(lambda: large.evaluate("image => image.naturalWidth") > 0)
    size = "image => [image.naturalWidth, image.naturalHeight]"
    assert large.evaluate(size) == list(upright)
    with page.expect_download() as download:
        page.locator("#viewer-download").click()
    assert download.value.suggested_filename == "IMG_0042 - A wink.mp4"


def test_previews_do_not_play_with_reduced_motion(
    open_in_browser: OpenInBrowser, studio: StudioProcess
) -> None:
    page = open_in_browser(studio, reduced_motion="reduce").page
    expect(page.locator(".choice video")).to_have_count(6)
    paused = "videos => videos.every(video => video.paused)"
    assert page.locator(".choice video").evaluate_all(paused)
    page.get_by_role("button", name="Play the previews").click()
    assert not page.locator(".choice video").evaluate_all(paused)
    page.get_by_role("button", name="Pause the previews").click()
    assert page.locator(".choice video").evaluate_all(paused)


@pytest.fixture
def large_album(tmp_path: Path, browser: Browser) -> Iterator[StudioProcess]:
    """A studio with 300 finished videos, one of a photo with a long name."""
    process = StudioProcess(tmp_path / "studio")
    process.fill(300, ASTRONAUT.read_bytes())
    process.start()
    yield process
    process.stop()


LAYOUT_SHIFT = """
window.shift = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""
BYTES_MOVED = """() => performance.getEntriesByType("resource")
  .reduce((sum, entry) => sum + entry.transferSize, 0)"""
SMALL_TARGETS = """() => [...document.querySelectorAll("button, a, label.button, summary")]
  .filter((node) => node.getClientRects().length && !node.matches(".skip"))
  .map((node) => [node.textContent || node.ariaLabel, node.getBoundingClientRect()])
  .filter(([, { width, height }]) => width < 44 || height < 44).map(([text]) => text)"""
OVERFLOW = "() => document.documentElement.scrollWidth - innerWidth"


def test_an_album_of_300_videos_is_light_and_does_not_jump(
    open_in_browser: OpenInBrowser, large_album: StudioProcess
) -> None:
    visit = open_in_browser(large_album)
    page = visit.page
    page.add_init_script(LAYOUT_SHIFT)
    page.reload()
    expect(page.get_by_role("link", name="Download all 300")).to_be_visible()
    visit.require_playing(page.locator(".clip video"))
    assert page.locator(".clip").count() < 60
    assert page.locator(".clip video").count() == 1
    assert page.evaluate(BYTES_MOVED) < 10 * 2**20
    assert page.evaluate("shift") < 0.1
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    last = page.locator('.clip[aria-posinset="300"]')
    expect(last).to_be_visible()
    expect(last).to_have_attribute("aria-setsize", "300")
    assert page.locator(".clip").count() < 60
    assert page.evaluate("shift") < 0.1


@pytest.mark.parametrize(("width", "height"), [(390, 844), (360, 225), (820, 1180)])
def test_the_page_fits_small_windows_and_fingers(
    open_in_browser: OpenInBrowser, large_album: StudioProcess, width: int, height: int
) -> None:
    page = open_in_browser(large_album).page
    page.set_viewport_size({"width": width, "height": height})
    expect(page.get_by_role("link", name="Download all 300")).to_be_visible()
    page.get_by_role("button", name=re.compile("Show .* large")).first.click()
    page.locator("#viewer-again").click()
    expect(page.locator("#bar")).to_be_visible()
    assert page.evaluate(OVERFLOW) <= 0
    assert page.evaluate(SMALL_TARGETS) == []
    bar = page.locator("#bar").evaluate(
        "bar => [getComputedStyle(bar).position, bar.getBoundingClientRect().height]"
    )
    assert bar[0] == "static" or bar[1] < height / 4
