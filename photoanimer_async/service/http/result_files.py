"""Sends result files, whole or in ranges."""

import asyncio
import mimetypes
from pathlib import Path

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter


class ResultResponse(web.FileResponse):
    """A file response with ranges, ETag, Last-Modified and conditional requests.

    aiohttp supports `If-Range` with a date only. With an entity tag, which an interrupted download
    has, the range is sent only if the tag is still the file's, and otherwise the whole file (RFC
    9110, 13.1.5).
    """

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send the headers and the file."""
        tag = request.headers.get(hdrs.IF_RANGE, "")
        if '"' in tag and tag != await asyncio.to_thread(_entity_tag, self._path):
            headers = request.headers.copy()
            headers.popall(hdrs.RANGE, None)
            request = request.clone(headers=headers)
        return await super().prepare(request)

    async def whole(self) -> web.Response:
        """Return the whole file as a response in memory, without ranges."""
        body = await asyncio.to_thread(self._path.read_bytes)
        tag = await asyncio.to_thread(_entity_tag, self._path)
        kind, _ = mimetypes.guess_type(self._path)
        answer = web.Response(body=body, headers=self.headers)
        answer.content_type = kind or "application/octet-stream"
        answer.headers[hdrs.ETAG] = tag or ""
        return answer


def _entity_tag(path: Path) -> str | None:
    """Return the tag that aiohttp gives the file; `None` if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
