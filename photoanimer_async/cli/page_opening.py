"""Opens a page in the user's own browser, where there is one to see it."""

import asyncio
import os
import sys
import webbrowser

_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
_REMOTE = ("SSH_CONNECTION", "SSH_TTY")


async def open_page(url: str) -> bool:
    """Open a URL in a graphical browser; return whether one was started.

    None is started where nobody would see it: without a terminal, over SSH, or on Linux without
    a display, where `webbrowser` would start a text browser in this terminal.
    """
    if not sys.stdout.isatty() or any(os.environ.get(name) for name in _REMOTE):
        return False
    if sys.platform == "linux" and not any(os.environ.get(name) for name in _DISPLAYS):
        return False
    try:
        return await asyncio.to_thread(webbrowser.open, url)
    except webbrowser.Error:
        return False
