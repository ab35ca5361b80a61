"""The page's files, read once: there is no way from a request to any other file."""

from collections.abc import Mapping
from importlib.resources import files

from attrs import frozen

INDEX = "index.html"
_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


@frozen
class PageFile:
    """One of them."""

    content: str
    content_type: str


def load_page() -> Mapping[str, PageFile]:
    """All of them by name. Blocking."""
    folder = files("photoanimer_async.studio") / "page"
    return {
        entry.name: PageFile(entry.read_text(encoding="utf-8"), content_type)
        for entry in folder.iterdir()
        for suffix, content_type in _TYPES.items()
        if entry.name.endswith(suffix)
    }
