"""What web pages may do with the service: a check of the Host header, and answers to CORS.

An open service on loopback accepts every key, so any page in a browser on this machine could use
it if the browser let it. The browser keeps pages of other origins away, because the header APIKEY
needs the service's consent (CORS); but a site can let its own name resolve to this machine (DNS
rebinding), and is then of the same origin. So such a service requires that the Host header is an
address of this machine, `localhost`, or the host of its public URL: those cannot be rebound. A
service with keys needs no such check, because a page does not know a key.

Web apps of the origins in `allow_origins` get the consent: CORS headers on every answer, results
included, and an answer to preflights. Without such origins there are no CORS headers.
"""

import re
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from attrs import frozen

from photoanimer_async.photos.loopback import is_loopback
from photoanimer_async.redaction import printable
from photoanimer_async.service.error_codes import HOST_NOT_ALLOWED, RequestRefusedError

_METHODS: Final = "GET, HEAD, POST"
_HEADERS: Final = "APIKEY"
_READABLE_HEADERS: Final = "Accept-Ranges, Content-Length, Content-Range, ETag, Retry-After"
_PREFLIGHT_SECONDS: Final = 600
_NAMES: Final = re.compile(r"[A-Za-z0-9-]+(?:[ ]?,[ ]?[A-Za-z0-9-]+){0,63}")
_ASKS_FOR_PRIVATE_NETWORK: Final = "Access-Control-Request-Private-Network"
_ALLOWS_PRIVATE_NETWORK: Final = "Access-Control-Allow-Private-Network"


def own_hosts_only(
    is_needed: Callable[[web.Request], bool], public_url: str | None = None
) -> Callable[[web.Request], None]:
    """Return a check that refuses requests whose Host is not this machine's own.

    Args:
        is_needed: returns whether the check is needed for a request.
        public_url: the URL under which others reach the service; its host is allowed too.
    """
    public_name = None if public_url is None else urlsplit(public_url).hostname

    def check(request: web.Request) -> None:
        host = request.headers.get(hdrs.HOST)  # a browser always sends it
        if host is not None and not _is_own(host, public_name) and is_needed(request):
            raise RequestRefusedError(
                HOST_NOT_ALLOWED,
                f"the header Host is {printable(host)[:120]!r}; this service is for this "
                "machine only: use 127.0.0.1 or localhost, or start it with a key or with "
                "--public-url",
            )

    return check


@frozen
class CrossOriginAccess:
    """Gives web apps of some origins access to the service.

    Attributes:
        origins: the origins, as `https://app.example`.
    """

    origins: Collection[str]

    def add_to(self, app: web.Application) -> None:
        """Answer preflights and add the headers in an application, if there are origins."""
        if self.origins:
            app.middlewares.append(self._middleware())
            app.on_response_prepare.append(self._add_headers)

    def _middleware(self) -> Middleware:
        @web.middleware
        async def answer_preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
            is_preflight = (
                request.method == hdrs.METH_OPTIONS
                and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
                and self._is_allowed(request)
            )
            return self._preflight(request) if is_preflight else await handler(request)

        return answer_preflight

    def _is_allowed(self, request: web.Request) -> bool:
        return request.headers.get(hdrs.ORIGIN) in self.origins

    def _preflight(self, request: web.Request) -> web.Response:
        wanted = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "")
        response = web.Response(status=204)
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = _METHODS
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = (
            wanted if _NAMES.fullmatch(wanted) else _HEADERS
        )
        response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = str(_PREFLIGHT_SECONDS)
        if _ASKS_FOR_PRIVATE_NETWORK in request.headers:
            response.headers[_ALLOWS_PRIVATE_NETWORK] = "true"
        return response

    async def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        if self._is_allowed(request):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = request.headers[hdrs.ORIGIN]
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _READABLE_HEADERS


@lru_cache(maxsize=256)  # parsing a header costs as much as reading a task
def _is_own(host: str, public_name: str | None) -> bool:
    name = _host_name(host)
    return is_loopback(name) or (bool(name) and name == public_name)


def _host_name(host: str) -> str:
    """Return the name or address of a Host header, without port; empty if it is malformed."""
    try:
        parts = urlsplit(f"//{host}")
        name = parts.hostname or ""
    except ValueError:
        return ""
    return name.removesuffix(".") if parts.netloc == host and parts.username is None else ""
