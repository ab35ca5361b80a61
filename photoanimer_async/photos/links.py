"""Links that are requested exactly as they were written, also after redirects.

A signature covers each character of a link. aiohttp re-encodes the links that redirects lead to,
and yarl the ones with a character outside ASCII, so that their servers refuse them (HTTP 403).
"""

from collections.abc import Mapping
from string import ascii_letters, digits, punctuation
from typing import TypedDict
from urllib.parse import quote, urlsplit, urlunsplit

import aiohttp
from aiohttp import hdrs
from yarl import URL

# With "%", so that nothing is escaped twice.
_UNCHANGED = ascii_letters + digits + "".join(sorted(set(punctuation) - set('"<>\\')))
_SCHEMES = frozenset({"http", "https"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_HEADER_BYTES = 262_144
_MAX_HEADERS = 4096


class HeaderLimits(TypedDict):
    """Keywords of aiohttp's requests: how long the headers of an answer may be."""

    max_line_size: int
    max_field_size: int
    max_headers: int


HEADER_LIMITS: HeaderLimits = {
    "max_line_size": _MAX_HEADER_BYTES,
    "max_field_size": _MAX_HEADER_BYTES,
    "max_headers": _MAX_HEADERS,
}
"""Far above aiohttp's own, with which it throws away an answer that was paid for."""


def exact_url(link: str) -> URL:
    """Return a link without changing it.

    Only what no request can contain is escaped: spaces, control characters, quotation marks, angle
    brackets, backslashes, and characters outside ASCII, as UTF-8. An international host name is
    converted to its ASCII form.

    Raises:
        ValueError: it cannot be parsed as a URL.
    """
    scheme, host, path, query, _ = urlsplit(link)
    if not host.isascii():
        host = URL(f"//{host}").raw_authority
    written = urlunsplit((scheme, host, path, query, ""))
    url = URL(quote(written, safe=_UNCHANGED, errors="surrogateescape"), encoded=True)
    _ = url.host, url.port  # raises ValueError for invalid ones
    return url


async def open_link(
    session: aiohttp.ClientSession,
    url: URL,
    *,
    method: str = hdrs.METH_GET,
    headers: Mapping[str, str],
    timeout: aiohttp.ClientTimeout,
    max_redirects: int,
    decompress: bool = True,
) -> aiohttp.ClientResponse:
    """Request a link, follow its redirects, and return the last response.

    No middleware of the session is applied, and its `raise_for_status` is not.

        async with await open_link(session, exact_url(link), ...) as response:
            ...

    Args:
        session: sends the requests; it need not have `requote_redirect_url=False`.
        url: from `exact_url`.
        method: GET or HEAD.
        headers: of each request.
        timeout: of each request.
        max_redirects: how many are followed; one more raises.
        decompress: whether to decode compressed content.

    Raises:
        aiohttp.ClientError, TimeoutError, OSError: as aiohttp does; `TooManyRedirects`,
            `InvalidUrlRedirectClientError` and `NonHttpUrlRedirectClientError` for redirects.
    """
    history: list[aiohttp.ClientResponse] = []
    while True:
        response = await session.request(
            method,
            url,
            headers=headers,
            allow_redirects=False,
            raise_for_status=False,
            timeout=timeout,
            auto_decompress=decompress,
            middlewares=(),
            **HEADER_LIMITS,
        )
        location = response.headers.get(hdrs.LOCATION)
        if response.status not in _REDIRECTS or location is None:
            return response
        async with response:
            history.append(response)
            if len(history) > max_redirects:
                raise aiohttp.TooManyRedirects(history[0].request_info, tuple(history))
            url = _target(url, location)


def _target(url: URL, location: str) -> URL:
    """Return the URL that a redirect leads to."""
    try:
        target = exact_url(location)
    except ValueError as error:
        raise aiohttp.InvalidUrlRedirectClientError(location, "not a URL") from error
    if target.scheme and target.scheme.lower() not in _SCHEMES:
        raise aiohttp.NonHttpUrlRedirectClientError(location)
    # As in browsers, "http:path" is relative.
    return target if target.scheme and target.raw_authority else url.join(target)
