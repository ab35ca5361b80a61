"""What error texts, logs and reprs may show of URLs, photos and keys.

The query of an image URL is often a signature that gives access to the photo, and the user part
of a URL is a password. Neither is ever shown. Names of files are escaped and cut to one short line
before they reach a terminal, a log or an error. Texts of others (the service's answers, names given
by callers, errors of foreign code) pass `safe_text` once, where they enter.
"""

import os
import re
from urllib.parse import urlsplit

URL_SCHEMES = ("http://", "https://")
"""How nearly all URLs begin; see `is_url`."""

_MAX_CHARACTERS = 120
_MAX_TEXT = 1000
_MIN_SECRET_CHARACTERS = 8
_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACE = re.compile("[\t-\r\x85\u2028\u2029]")
# Control characters, and those that turn the direction of the text around them.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_QUERY_IN_TEXT = re.compile(
    r"(https?://[^\s?#\"'<>]*)[?#](?!…([\s:,;.)]|$))[^\s\"'<>]*", re.IGNORECASE
)


def is_url(photo: str) -> bool:
    """Return whether a string is an http(s) URL rather than a path."""
    return photo.startswith(URL_SCHEMES) or photo[:8].lower().startswith(URL_SCHEMES)


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
    name = os.fsdecode(photo)
    return shown_url(name) if is_url(name) else printable(name)


def printable(text: str) -> str:
    """Return the text in one line of at most 121 characters, control characters escaped."""
    safe = text
    if not text.isprintable():
        safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if len(safe) <= _MAX_CHARACTERS:
        return safe
    return f"{safe[: _MAX_CHARACTERS // 2]}…{safe[-_MAX_CHARACTERS // 2 :]}"


def encodable(text: str) -> str:
    """Return the text with each half of a surrogate pair replaced by U+FFFD, so that it is Unicode.

    Services that cut texts in the middle of a character send such halves; no database and no file
    takes them.
    """
    return text if text.isascii() else _SURROGATE.sub("\ufffd", _joined(text))


def safe_text(text: str, *, mark: str = "\ufffd", limit: int = _MAX_TEXT) -> str:
    """Return the text of others in one line that every database, terminal, page and header takes.

    Args:
        text: any text.
        mark: replaces each character that is no text.
        limit: characters, at most; longer texts are cut.
    """
    if not text.isprintable():
        text = _UNSAFE.sub(mark, _SPACE.sub(" ", _joined(text[: 2 * limit])))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _joined(text: str) -> str:
    """Return the text with the halves of a surrogate pair joined to one character."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def without_queries(text: str) -> str:
    """Return the text with the query of every URL in it replaced by `?…`."""
    return _QUERY_IN_TEXT.sub(r"\1?…", text)


def shown_error(error: BaseException, text: str = "") -> BaseException:
    """Return an error of the same name and with the same traceback, for logs.

    It has no cause, and by default no text: those of foreign code may contain URLs of photos, or
    keys.

    Args:
        error: the error.
        text: what to show in place of its text.
    """
    kind = type(error)
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    shown: BaseException = type(kind.__name__, (Exception,), names)(*[text] * bool(text))
    return shown.with_traceback(error.__traceback__)


def without_secret(text: str, secret: str) -> str:
    """Return the text with every copy of a key removed.

    A key of fewer than 8 characters is not treated as a secret: it would also match ordinary
    words.
    """
    return text.replace(secret, "...") if len(secret) >= _MIN_SECRET_CHARACTERS else text
