"""Check a base URL, and say what was likely meant where it is wrong."""

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from yarl import URL

from photoanimer_async.errors import InvalidRequestError
from photoanimer_async.redaction import printable, shown_url

_API_PATH = "/api/v1"
# Paths that are the beginning of the API's, or go beyond it to one of its calls.
_INCOMPLETE_PATHS = frozenset({"", "/api"})
_CALL = re.compile(r"/+(faceDriven|mySubscription)\b.*", re.DOTALL)
# "localhost:26999" and "example.com:443/api" have a port; "ftp://host" and "mailto:x" a scheme.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?!\d{1,5}(?:[/?#]|$))")


def check_base_url(url: object) -> None:
    """Check that a base URL is an http(s) URL with the API's path and nothing behind it.

    Raises:
        InvalidRequestError: it is not; the text says what was likely meant.
    """
    if not isinstance(url, str):
        kind = type(url).__name__
        raise InvalidRequestError(f"base_url must be a str, not {kind}")
    parts = _split(url)
    if parts is None:
        raise InvalidRequestError(
            f"base_url must be an http or https URL with a host, not {_shown(url)}"
        )
    has_scheme = _SCHEME.match(url.strip()) is not None
    path = parts.path.rstrip("/")
    problem = None
    if not has_scheme:
        problem = "has no scheme"
    elif not url.isprintable() or " " in url:
        problem = "contains spaces or control characters"
    elif parts.query or "?" in url:
        problem = "has a query"
    elif parts.fragment or "#" in url:
        problem = "has a fragment"
    elif _CALL.search(parts.path):
        problem = "names one call of the API"
    elif path in _INCOMPLETE_PATHS:
        problem = "lacks the API's path"
    if problem is not None:
        meant = _meant(parts, has_scheme=has_scheme)
        raise InvalidRequestError(f"base_url {problem}: {_shown(url)}; did you mean {meant}?")


def complete_base_url(url: str) -> str:
    """Return a URL that was typed without its scheme or without the API's path with both.

    `localhost:8765` gives `http://localhost:8765/api/v1`, `www.cutout.pro` gives
    `https://www.cutout.pro/api/v1`. Every other URL is returned as it is, for `check_base_url`.
    """
    parts = _split(url)
    if parts is None or not url.isprintable() or set(url) & set(" ?#@"):
        return url
    has_scheme = _SCHEME.match(url) is not None
    if has_scheme and parts.path.rstrip("/") not in _INCOMPLETE_PATHS:
        return url
    return url if _CALL.search(parts.path) else _meant(parts, has_scheme=has_scheme)


def _split(url: str) -> SplitResult | None:
    """Return the parts of an http(s) URL, also of one without its scheme; `None` for others."""
    text = url.strip()
    scheme = _SCHEME.match(text)
    if scheme is None:
        text = f"http://{text.lstrip('/')}"
    elif scheme[1].lower() not in {"http", "https"} or not text[scheme.end() :].startswith("//"):
        return None
    try:
        parts = urlsplit(text)
        has_host = bool(parts.hostname and URL(text).host)
        _ = parts.port
    except ValueError:
        return None
    is_usable = has_host and parts.netloc.isprintable() and " " not in parts.netloc
    return parts if is_usable else None


def _meant(parts: SplitResult, *, has_scheme: bool) -> str:
    """Return the URL that was likely meant, without a user or a password."""
    host = parts.netloc.rpartition("@")[2]
    path = _CALL.sub("", parts.path).rstrip("/")
    if path in _INCOMPLETE_PATHS:
        path = _API_PATH
    scheme = parts.scheme
    if not has_scheme and not _is_local(parts.hostname or ""):
        scheme = "https"
    return printable(f"{scheme}://{host}{path}")


def _is_local(host: str) -> bool:
    if host == "localhost" or "." not in host.strip("."):
        return True
    try:
        return not ip_address(host).is_global
    except ValueError:
        return False


def _shown(url: str) -> str:
    """Return the URL without its query, which may hold a secret."""
    shown = url.strip().partition("?")[0].partition("#")[0]
    return shown_url(shown) if "://" in shown else printable(repr(shown.rpartition("@")[2]))
