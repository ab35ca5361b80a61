"""What error texts, logs and reprs may show of URLs, photos and keys.

The query of an image URL is often a signature that gives access to the photo, and the user part
of a URL is a password. Neither is ever shown. Texts of the service and names of files are escaped
and cut to one short line before they reach a terminal, a log or an error.
"""

import os
import re
from urllib.parse import urlsplit

_MAX_CHARACTERS = 120
_MIN_SECRET_CHARACTERS = 8
_QUERY_IN_TEXT = re.compile(r"(https?://[^\s?#\"'<>]*)[?#][^\s\"'<>]*", re.IGNORECASE)


def is_url(photo: str) -> bool:
    """Return whether a string is an http(s) URL rather than a path."""
    return photo.lower().startswith(("http://", "https://"))


def shown_url(url: str) -> str:
    """Return the URL without user, query and fragment; `?…` marks an omitted query."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(an invalid URL)"
    if ":" in host:
        host = f"[{host}]"
    query = "?…" if parts.query else ""
    return printable(f"{parts.scheme}://{host}{port}{parts.path}{query}")


def shown_origin(url: str) -> str:
    """Return the URL's scheme, host and port only, for URLs with a token in their path."""
    scheme, colon, rest = shown_url(url).partition("://")
    return f"{scheme}{colon}{rest.partition('/')[0].partition('?')[0]}"


def shown_photo(photo: str | os.PathLike[str] | bytes) -> str:
    """Return a photo's name in one printable line: its redacted URL, its path, or its size."""
    if isinstance(photo, bytes):
        return f"photo of {len(photo)} bytes"
    name = os.fspath(photo)
    return shown_url(name) if is_url(name) else printable(name)


def printable(text: str) -> str:
    """Return the text in one line of at most 121 characters, control characters escaped."""
    safe = text
    if not text.isprintable():
        safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if len(safe) <= _MAX_CHARACTERS:
        return safe
    return f"{safe[: _MAX_CHARACTERS // 2]}…{safe[-_MAX_CHARACTERS // 2 :]}"


def without_queries(text: str) -> str:
    """Return the text with the query of every URL in it replaced by `?…`."""
    return _QUERY_IN_TEXT.sub(r"\1?…", text)


def without_secret(text: str, secret: str) -> str:
    """Return the text with every copy of a key removed.

    A key of fewer than 8 characters is not treated as a secret: it would also match ordinary
    words.
    """
    return text.replace(secret, "...") if len(secret) >= _MIN_SECRET_CHARACTERS else text
