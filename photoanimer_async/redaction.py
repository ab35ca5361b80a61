"""What of a URL or a photo may be shown to a person, a log or an error.

The query of an image URL is often a signature that opens the photo to whoever has it, and
the user part of a URL is a password: neither is ever shown.
"""

import os
import re
from urllib.parse import urlsplit

_LONGEST = 120
_SHORTEST_SECRET = 8
_QUERY_IN_TEXT = re.compile(r"(https?://[^\s?#\"'<>]*)[?#][^\s\"'<>]*", re.IGNORECASE)


def shown_url(url: str) -> str:
    """The URL without user, query and fragment; `…` stands for a query that was left out."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(a URL that can not be read)"
    if ":" in host:
        host = f"[{host}]"
    query = "?…" if parts.query else ""
    return printable(f"{parts.scheme}://{host}{port}{parts.path}{query}")


def shown_origin(url: str) -> str:
    """The URL without its path too, which may hold a token."""
    scheme, colon, rest = shown_url(url).partition("://")
    return f"{scheme}{colon}{rest.partition('/')[0].partition('?')[0]}"


def shown_photo(photo: str | os.PathLike[str] | bytes) -> str:
    """A photo's name in one printable line: its URL, its path, or how many bytes it has."""
    if isinstance(photo, bytes):
        return f"photo of {len(photo)} bytes"
    name = os.fspath(photo)
    return shown_url(name) if is_url(name) else printable(name)


def is_url(photo: str) -> bool:
    """Whether a string is meant as a URL rather than as a path."""
    return photo.lower().startswith(("http://", "https://"))


def printable(text: str) -> str:
    """The text in one line of at most 120 characters, control characters escaped."""
    safe = text
    if not text.isprintable():
        safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return safe if len(safe) <= _LONGEST else f"{safe[: _LONGEST // 2]}…{safe[-_LONGEST // 2 :]}"


def without_queries(text: str) -> str:
    """The text with the query of every URL in it left out."""
    return _QUERY_IN_TEXT.sub(r"\1?…", text)


def without_secret(text: str, secret: str) -> str:
    """The text with a key that it echoes left out; one of less than 8 characters is no secret."""
    return text.replace(secret, "...") if len(secret) >= _SHORTEST_SECRET else text
