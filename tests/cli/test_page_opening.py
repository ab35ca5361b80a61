"""Opening a page in the user's browser: only where somebody sees it."""

import sys
import webbrowser

import pytest

from photoanimer_async.cli.page_opening import open_page


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The URLs that were opened, in a terminal with a display."""
    urls: list[str] = []

    def remember(url: str) -> bool:
        urls.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", remember)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("DISPLAY", ":0")
    for name in ("SSH_CONNECTION", "SSH_TTY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    return urls


async def test_a_page_is_opened_where_there_is_a_display(opened: list[str]) -> None:
    assert await open_page("http://127.0.0.1:8766/")
    assert opened == ["http://127.0.0.1:8766/"]


async def test_nothing_is_opened_without_a_terminal(
    opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    assert not await open_page("http://127.0.0.1:8766/")
    assert opened == []


async def test_nothing_is_opened_over_ssh(
    opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22")
    assert not await open_page("http://127.0.0.1:8766/")
    assert opened == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a display")
async def test_nothing_is_opened_without_a_display(
    opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY")
    assert not await open_page("http://127.0.0.1:8766/")
    assert opened == []
