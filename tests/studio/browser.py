"""A studio in a process of its own, and a page opened in a browser."""

import asyncio
import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sysconfig
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Literal

import requests
from attrs import define, field
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import ConsoleMessage, Locator, Page, ViewportSize

from photoanimer_async import Template
from photoanimer_async.studio.album import Album, Clip, Photograph, Stage, derive_clip_id
from photoanimer_async.studio.studio_folder import AlbumFile, StudioFolder

from ..support.ports import free_port

VIDEO = files("photoanimer_async.testing") / "sample.mp4"
COMMAND = Path(sysconfig.get_path("scripts")) / "photoanimer"
SCREENSHOTS = Path(__file__).parent.parent.parent / "build" / "screenshots"
SIZES: dict[str, ViewportSize] = {
    "desktop": {"width": 1280, "height": 860},
    "phone": {"width": 390, "height": 844},
}
_TRANSITIONS_FINISHED = """() => Promise.allSettled(
  document.getAnimations().filter(a => a instanceof CSSTransition).map(a => a.finished))"""


@define
class StudioProcess:
    """`photoanimer studio --local`, which can be killed and restarted."""

    data: Path
    port: int = field(factory=free_port)
    _process: "subprocess.Popen[str] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start the process, and wait until it listens."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PHOTOANIMER_")}
        self._process = subprocess.Popen(
            [COMMAND, "studio", "--local", "--data", self.data, "--port", str(self.port)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self.url in self._process.stdout.readline()

    def fill(self, count: int, photo: bytes) -> None:
        """Put an album of finished videos into the folder, before the start."""
        with ThreadPoolExecutor() as thread:  # this one has Playwright's event loop
            thread.submit(self._fill, count, photo).result()

    def _fill(self, count: int, photo: bytes) -> None:
        folder = StudioFolder(self.data / "this-machine")
        folder.create()
        album = Album()
        for number in range(count):
            name = "x" * 64 if number == 0 else f"Photo {number}"
            photo_id = f"{number:024}"
            (folder.photos / f"{photo_id}.jpg").write_bytes(photo)
            clip_id = derive_clip_id(photo_id, Template.T1, None)
            (folder.videos / f"{clip_id}.mp4").write_bytes(VIDEO.read_bytes())
            photograph = Photograph(
                id=photo_id,
                name=name,
                added=float(number),
                file=f"{photo_id}.jpg",
                faces=1,
                waiting=False,
            )
            clip = Clip(
                id=clip_id,
                photograph=photo_id,
                template=Template.T1,
                cost=7.13,
                batch="filled",
                added=1.0,
                ended=2.0 + number,
                stage=Stage.DONE,
                video=f"{clip_id}.mp4",
            )
            album.put(photograph, clip)
        asyncio.run(AlbumFile(folder.album).save(album))

    def kill(self) -> None:
        """End the process with SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the process with SIGTERM."""
        if self._process is not None:
            self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.communicate()
        self._process = None

    def clear(self) -> None:
        """Remove all photos, clips and the voice."""
        with requests.get(f"{self.url}api/events", stream=True, timeout=60) as events:
            lines = events.iter_lines(decode_unicode=True)
            state = json.loads(next(line for line in lines if line.startswith("data: "))[6:])
        paths = [f"clips/{clip['id']}" for clip in state["clips"]]
        paths += [f"photos/{photo['id']}/waiting" for photo in state["photos"]]
        for path in [*paths, "voice"]:
            response = requests.delete(
                f"{self.url}api/{path}", headers={"Origin": self.url.rstrip("/")}, timeout=60
            )
            # Removing a photo's last clip has removed the photo.
            assert response.status_code in {204, 404}, response.text

    @property
    def submits(self) -> int:
        """The number of tasks submitted to its service; read it after the process has ended."""
        database = self.data / "this-machine" / "service" / "tasks.db"
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            (count,) = connection.execute("SELECT count(*) FROM task").fetchone()
        connection.close()
        return int(count)


@define
class OpenPage:
    """One open page, and what its console reported."""

    page: Page
    console: list[str] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        def collect(message: ConsoleMessage) -> None:
            # Tests stop the studio and send refused requests on purpose.
            expected = message.text.startswith("Failed to load resource")
            if message.type in {"error", "warning"} and not expected:
                self.console.append(message.text)

        self.page.on("console", collect)
        self.page.on("pageerror", lambda error: self.console.append(str(error)))

    def capture(self, state: str) -> None:
        """Take screenshots and check accessibility with axe, in all sizes and colour schemes."""
        size_before = self.page.viewport_size
        schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
        for (size, viewport), scheme in itertools.product(SIZES.items(), schemes):
            self.page.set_viewport_size(viewport)
            self.page.emulate_media(color_scheme=scheme)
            self.page.evaluate(_TRANSITIONS_FINISHED)
            self.page.screenshot(path=SCREENSHOTS / f"{state}-{size}-{scheme}.png")
            self._require_accessible(f"{state}, {size}, {scheme}")
        assert size_before is not None
        self.page.set_viewport_size(size_before)

    def _require_accessible(self, state: str) -> None:
        self.page.evaluate(AXE_SCRIPT)
        found = self.page.evaluate("() => axe.run()")
        assert found["passes"], "axe checked nothing"
        serious = [
            f"{state}: {violation['id']}: {violation['nodes'][0]['html']}"
            f" ({violation['nodes'][0]['failureSummary']})"
            for violation in found["violations"]
            if violation["impact"] in {"serious", "critical"}
        ]
        assert not serious, "\n".join(serious)

    def drop(self, *photos: Path) -> None:
        """Drop files on the page."""
        transfer = self.page.evaluate_handle("() => new DataTransfer()")
        for photo in photos:
            content = list(photo.read_bytes())
            transfer.evaluate(
                "(transfer, [name, content]) =>"
                " transfer.items.add(new File([new Uint8Array(content)], name))",
                [photo.name, content],
            )
        self.page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait for a condition that no locator can express."""
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "the condition was not met within 60 seconds"
            self.page.wait_for_timeout(50)

    def require_playing(self, video: Locator) -> None:
        """Assert that the video shows frames and advances."""
        video.scroll_into_view_if_needed()
        self.wait_until(lambda: video.evaluate("video => video.readyState >= 3 && !video.paused"))
        before = video.evaluate("video => video.currentTime")
        self.wait_until(lambda: video.evaluate("video => video.currentTime") != before)
        assert video.evaluate("video => video.videoWidth") > 0
