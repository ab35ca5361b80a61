"""Who may talk to a studio: one middleware before all else, and headers behind all else.

A studio spends money and shows photos of people, and any page that the browser has open can
send requests to a server on loopback. So:

* The header Host must hold an address or a name of the studio's. A page of another site that
  has its own name point here (DNS rebinding) comes with that name.
* What changes something must come with an Origin that is the studio's own, and nothing may
  come from another site, by what the browser says (Sec-Fetch-Site), but the opening of the page.
* Where the studio can be reached from other machines, a browser must have opened it once with
  the token, and brings it back in a cookie that scripts can not read.

The policy for content allows the studio's own files, and nothing in line.
"""

import hmac
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from attrs import frozen

from photoanimer_async.studio.studio_settings import StudioSettings, is_loopback

_SAFE_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})
_COOKIE = "photoanimer-studio"
_COOKIE_SECONDS = 365 * 24 * 3600

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_LOCKED = (
    "This studio is locked. Open it with the whole link that it has shown in its terminal "
    "when it was started: it ends in /enter/ and the token.\n"
)


@frozen
class Guard:
    """Lets through what may come.

    Args:
        settings: the studio's.
    """

    settings: StudioSettings

    def middleware(self) -> Middleware:
        """The guard as a middleware of `aiohttp.web`."""

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._require_own_name(request)
            self._require_own_page(request)
            self._require_token(request)
            return await handler(request)

        return guarded

    def enter(self, token: str) -> web.Response:
        """Opens the studio in this browser, if the token is the right one."""
        if not self._is_token(token):
            raise web.HTTPForbidden(text=_LOCKED)
        response = web.Response(status=303, headers={hdrs.LOCATION: "/"})
        response.set_cookie(
            _COOKIE, token, max_age=_COOKIE_SECONDS, httponly=True, samesite="Lax", path="/"
        )
        return response

    def _require_own_name(self, request: web.Request) -> None:
        name = _host_name(request.headers.get(hdrs.HOST, ""))
        if name is None or not (self._is_own_address(name) or name in self.settings.allowed_names):
            raise web.HTTPMisdirectedRequest(
                text="The studio is not known under this name: open it by its address.\n"
            )

    def _is_own_address(self, name: str) -> bool:
        """An address can not be pointed elsewhere, as a name can."""
        return is_loopback(name) if is_loopback(self.settings.host) else _is_address(name)

    def _require_own_page(self, request: web.Request) -> None:
        site = request.headers.get("Sec-Fetch-Site", "none")
        opens_page = (
            request.method == hdrs.METH_GET
            and request.headers.get("Sec-Fetch-Mode") == "navigate"
            and request.headers.get("Sec-Fetch-Dest") == "document"
        )
        if site not in {"none", "same-origin"} and not opens_page:
            raise web.HTTPForbidden(text="Other sites may not use the studio.\n")
        if request.method not in _SAFE_METHODS:
            origin = urlsplit(request.headers.get(hdrs.ORIGIN, ""))
            if origin.scheme not in {"http", "https"} or origin.netloc != request.host:
                raise web.HTTPForbidden(text="Only the studio's own page may do this.\n")

    def _require_token(self, request: web.Request) -> None:
        if self.settings.token is None or request.path.startswith("/enter/"):
            return
        if not self._is_token(request.cookies.get(_COOKIE, "")):
            raise web.HTTPUnauthorized(text=_LOCKED)

    def _is_token(self, given: str) -> bool:
        token = self.settings.token or ""
        return bool(token) and hmac.compare_digest(given.encode(), token.encode())


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Adds what every answer has; a signal of `aiohttp.web`, so that no answer goes without."""
    for name, value in HEADERS.items():
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
