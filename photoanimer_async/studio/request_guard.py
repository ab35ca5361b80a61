"""Access control: a middleware that checks every request, and the security headers.

A studio spends money and shows photos of people, and any page open in the browser can send
requests to a server on loopback. Therefore:

* The Host header must be an address, or a host name of the studio. This stops DNS rebinding,
  where a foreign site resolves its own name to this address.
* A request that changes something must have the studio's own Origin. The browser's
  Sec-Fetch-Site header must not name another site, except for opening the page.
* If the studio can be reached from other machines, a browser must first open the link with the
  token, and then sends it in a cookie that scripts cannot read.

The content security policy allows the studio's own files only, and nothing inline.
"""

import hmac
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from attrs import frozen

from photoanimer_async.photos.loopback import is_loopback
from photoanimer_async.studio.studio_settings import StudioSettings

_SAFE_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})
_COOKIE = "photoanimer-studio"
_COOKIE_SECONDS = 365 * 24 * 3600

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_LOCKED = (
    "This studio is locked. Open it with the complete link that it printed in its terminal at "
    "the start: the link ends with /enter/ and the token.\n"
)


@frozen
class RequestGuard:
    """Checks the host, the origin and the token of requests.

    Args:
        settings: the studio's settings.
    """

    settings: StudioSettings

    def middleware(self) -> Middleware:
        """Return the `aiohttp.web` middleware that rejects forbidden requests."""

        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._require_own_host(request)
            self._require_own_page(request)
            self._require_token(request)
            return await handler(request)

        return check

    async def enter(self, request: web.Request) -> web.Response:
        """Check the token of the link `/enter/{token}`, and store it in a cookie."""
        token = request.match_info["token"]
        if not self._is_token(token):
            raise web.HTTPForbidden(text=_LOCKED)
        response = web.Response(status=303, headers={hdrs.LOCATION: "/"})
        response.set_cookie(
            _COOKIE, token, max_age=_COOKIE_SECONDS, httponly=True, samesite="Lax", path="/"
        )
        return response

    def _require_own_host(self, request: web.Request) -> None:
        name = _host_name(request.headers.get(hdrs.HOST, ""))
        if name is None or not (self._is_own_address(name) or name in self.settings.allowed_names):
            raise web.HTTPMisdirectedRequest(
                text="This host name is not allowed: open the studio by its address.\n"
            )

    def _is_own_address(self, name: str) -> bool:
        """Return whether the host is an address: unlike a name, it cannot be rebound."""
        return is_loopback(name) if is_loopback(self.settings.host) else _is_address(name)

    def _require_own_page(self, request: web.Request) -> None:
        site = request.headers.get("Sec-Fetch-Site", "none")
        opens_page = (
            request.method == hdrs.METH_GET
            and request.headers.get("Sec-Fetch-Mode") == "navigate"
            and request.headers.get("Sec-Fetch-Dest") == "document"
        )
        if site not in {"none", "same-origin"} and not opens_page:
            raise web.HTTPForbidden(text="Requests from other sites are not allowed.\n")
        if request.method not in _SAFE_METHODS:
            origin = urlsplit(request.headers.get(hdrs.ORIGIN, ""))
            if origin.scheme not in {"http", "https"} or origin.netloc != request.host:
                raise web.HTTPForbidden(text="Only the studio's own page may send this request.\n")

    def _require_token(self, request: web.Request) -> None:
        if self.settings.token is None or request.path.startswith("/enter/"):
            return
        if not self._is_token(request.cookies.get(_COOKIE, "")):
            raise web.HTTPUnauthorized(text=_LOCKED)

    def _is_token(self, given: str) -> bool:
        token = self.settings.token or ""
        # Not every byte of a cookie has to be text.
        return bool(token) and hmac.compare_digest(given.encode(errors="replace"), token.encode())


async def add_security_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Add the headers; an `on_response_prepare` signal, so that no response is left out."""
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
    response.headers.popall(hdrs.SERVER, None)


def _host_name(host: str) -> str | None:
    try:
        parts = urlsplit(f"//{host}")
    except ValueError:
        return None
    return parts.hostname if parts.netloc == host and not parts.username else None


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
