"""Serves the description of the service: as JSON for programs, and as a page for people.

The page is one static file that fetches the JSON and lists what is in it. It loads nothing else,
and its content security policy allows nothing else.
"""

import functools
import json
import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from typing import Final

from aiohttp import web

from photoanimer_async.service.http.openapi import (
    DESCRIPTION_PATH,
    PAGE_PATH,
    ROOT_PATH,
    describe,
)

_PAGE: Final = (files(__package__) / "docs.html").read_text(encoding="utf-8")


def add_documentation(app: web.Application, prefix: str) -> None:
    """Serve the description and the page, to which `/` leads.

    Args:
        app: the application.
        prefix: the beginning of the API page's paths.
    """
    page_headers = {
        "Content-Security-Policy": (
            f"default-src 'none'; connect-src 'self'; "
            f"script-src {_hash_of('script')}; style-src {_hash_of('style')}"
        ),
        "X-Content-Type-Options": "nosniff",
    }

    async def serve_description(_: web.Request) -> web.Response:
        return web.Response(text=_description(prefix), content_type="application/json")

    async def serve_page(_: web.Request) -> web.Response:
        return web.Response(text=_PAGE, content_type="text/html", headers=page_headers)

    async def redirect_to_page(_: web.Request) -> web.Response:
        # Relative, so that it is right behind a reverse proxy too.
        return web.Response(status=302, headers={"Location": PAGE_PATH.removeprefix("/")})

    app.router.add_get(ROOT_PATH, redirect_to_page, allow_head=False)
    app.router.add_get(DESCRIPTION_PATH, serve_description, allow_head=False)
    app.router.add_get(PAGE_PATH, serve_page, allow_head=False)


@functools.cache
def _description(prefix: str) -> str:
    return json.dumps(describe(prefix), ensure_ascii=False, indent=1)


def _hash_of(tag: str) -> str:
    """Return the hash by which a content security policy allows the page's one inline element."""
    [content] = re.findall(f"<{tag}>(.*?)</{tag}>", _PAGE, re.DOTALL)
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"
