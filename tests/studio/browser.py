"""A studio as a process of its own, and a browser to look at it with."""

import os
import signal
import sqlite3
import subprocess
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

from attrs import define, field
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import ConsoleMessage, Locator, Page, ViewportSize

from ..support.ports import free_port

COMMAND = Path(sysconfig.get_path("scripts")) / "photoanimer"
SCREENSHOTS = Path(__file__).parent.parent.parent / "build" / "screenshots"
SIZES: dict[str, ViewportSize] = {
    "desktop": {"width": 1280, "height": 860},
    "phone": {"width": 390, "height": 844},
}
_ALL_SETTLED = """() => Promise.allSettled(
  document.getAnimations().filter(a => a instanceof CSSTransition).map(a => a.finished))"""


@define
class StudioProcess:
    """`photoanimer studio --local`, which can be killed and started again."""

    data: Path
    port: int = field(factory=free_port)
    _process: "subprocess.Popen[str] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Starts it, and waits until it is open."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PHOTOANIMER_")}
        self._process = subprocess.Popen(
            [COMMAND, "studio", "--local", "--data", self.data, "--port", str(self.port)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self.url in self._process.stdout.readline()

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ends it as Ctrl-C would."""
        if self._process is not None:
            self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(how)
        self._process.communicate()
        self._process = None

    @property
    def submits(self) -> int:
        """How many tasks its service was ever asked for; to be looked up when it is closed."""
        database = self.data / "this-machine" / "service" / "tasks.db"
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            (count,) = connection.execute("SELECT count(*) FROM task").fetchone()
        connection.close()
        return int(count)


@define
class Visit:
    """Somebody's visit to the page: every state that matters is looked at and checked."""

    page: Page
    size: str
    said: list[str] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        def hear(message: ConsoleMessage) -> None:
            # That the studio was away, or has refused something, is what a test may want.
            wanted = message.text.startswith("Failed to load resource")
            if message.type in {"error", "warning"} and not wanted:
                self.said.append(message.text)

        self.page.on("console", hear)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))

    def look(self, state: str) -> None:
        """Keeps how it looks by day and by night, and finds what keeps people out."""
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            self.page.evaluate(_ALL_SETTLED)
            self.page.screenshot(path=SCREENSHOTS / f"{state}-{self.size}-{scheme}.png")
            self._require_accessible(f"{state}, {self.size}, {scheme}")

    def _require_accessible(self, where: str) -> None:
        self.page.evaluate(AXE_SCRIPT)
        found = self.page.evaluate("() => axe.run()")
        assert found["passes"], "axe has looked at nothing"
        serious = [
            f"{where}: {violation['id']}: {violation['nodes'][0]['html']}"
            f" ({violation['nodes'][0]['failureSummary']})"
            for violation in found["violations"]
            if violation["impact"] in {"serious", "critical"}
        ]
        assert not serious, "\n".join(serious)

    def drop(self, *photos: Path) -> None:
        """Drops files on the page."""
        transfer = self.page.evaluate_handle("() => new DataTransfer()")
        for photo in photos:
            content = list(photo.read_bytes())
            transfer.evaluate(
                "(transfer, [name, content]) =>"
                " transfer.items.add(new File([new Uint8Array(content)], name))",
                [photo.name, content],
            )
        self.page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})

    def until(self, condition: Callable[[], object]) -> None:
        """Waits for what no locator can tell."""
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "it did not happen"
            self.page.wait_for_timeout(50)

    def require_playing(self, video: Locator) -> None:
        """The video has pictures, and goes on."""
        video.scroll_into_view_if_needed()
        self.until(lambda: video.evaluate("video => video.readyState >= 3 && !video.paused"))
        before = video.evaluate("video => video.currentTime")
        self.until(lambda: video.evaluate("video => video.currentTime") != before)
        assert video.evaluate("video => video.videoWidth") > 0
