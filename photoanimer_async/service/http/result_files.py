"""Sends result files, whole or in ranges."""

import asyncio
import mimetypes
import re
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter

_ONE_RANGE: Final = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{1,18})?|-[0-9]{1,18})")


class ResultResponse(web.FileResponse):
    """A file response with ranges, ETag, Last-Modified and conditional requests.

    aiohttp supports `If-Range` with a date only. With an entity tag, which an interrupted download
    has, the range is sent only if the tag is still the file's, and otherwise the whole file (RFC
    9110, 13.1.5). A `Range` with several ranges, of another unit, or malformed is ignored, as the
    RFC allows (14.2).
    """

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send the headers and the file."""
        wanted = request.headers.get(hdrs.RANGE)
        if wanted is not None and not await self._is_supported(wanted, request):
            headers = request.headers.copy()
            headers.popall(hdrs.RANGE, None)
            request = request.clone(headers=headers)
        try:
            return await super().prepare(request)
        except TimeoutError as error:
            # The system ended the connection, see `connections`; aiohttp expects this error.
            raise ConnectionResetError("the client takes nothing of the file") from error

    async def _is_supported(self, wanted: str, request: web.BaseRequest) -> bool:
        """Return whether a part of the file may be sent."""
        found = _ONE_RANGE.fullmatch(wanted)
        if found is None or (found[1] and found[2] and int(found[1]) > int(found[2])):
            return False
        tag = request.headers.get(hdrs.IF_RANGE, "")
        return '"' not in tag or tag == await asyncio.to_thread(_entity_tag, self._path)

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
