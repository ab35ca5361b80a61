"""A ledger service that answers with every fault at once, and allows few requests a second."""

import asyncio
import gzip
import time
from collections.abc import Callable

from aiohttp import web
from attrs import define, field

from .ledger_service import LedgerService, envelope, video

_LONE_SURROGATE = "no face \ud83d"
_DENIED = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'
_PROBLEM = b'{"type": "about:blank", "title": "Forbidden", "status": 403}'


@define
class HostileService(LedgerService):
    """The ledger service, with a rate and with faults in answers of all kinds.

    Attributes:
        rate: requests a second that the API answers; others get 429. Results are not limited.
        share: of the answers that have a fault, of each kind of request.
        silence: seconds until an answer that comes late.
        refused: requests that were over the rate.
    """

    rate: float = 1.0
    share: float = 0.25
    silence: float = 100.0
    refused: int = 0
    downloads: dict[int, int] = field(factory=dict)
    faults_seen: dict[str, int] = field(factory=dict)
    _allowed: float = field(init=False, default=0.0)

    async def submit(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        if (busy := self._over_the_rate()) is not None:
            return busy
        if self._chance():
            refusal = self.rng.choice(
                [self._close, self._html, self._unavailable, _refused_with_200, _bare_500]
            )
            return refusal(self._noted(request, refusal))
        task_id = self._accept(request.query["imageUrl"])
        return await self._answered(request, envelope(task_id))

    async def get_task_info(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        if (busy := self._over_the_rate()) is not None:
            return busy
        task_id = int(request.query["taskId"])
        data: dict[str, object] = {"taskId": task_id, "status": 0}
        if time.monotonic() >= self.ready[task_id]:
            if task_id in self.failed:
                data |= {"status": 2, "failReason": _LONE_SURROGATE}
            else:
                link = f"http://{request.host}/results/{task_id}.mp4?sig=a%2Fb%20c"
                data |= {"status": 1, "resultUrl": link}
        return await self._answered(request, envelope(data))

    async def result(self, request: web.Request) -> web.StreamResponse:
        task_id = int(request.match_info["task_id"])
        if request.rel_url.raw_query_string != "sig=a%2Fb%20c":
            return web.Response(status=403)
        self.downloads[task_id] = self.downloads.get(task_id, 0) + 1
        # A finished task whose result is not there yet.
        if task_id % 10 == 0 and self.downloads[task_id] == 1:
            return web.Response(status=404)
        if not self._chance():
            return web.Response(body=video(task_id), content_type="video/mp4")
        fault = self.rng.choice([_denied, _problem, _cut, _page, _truncated_gzip, _expired])
        return await fault(self._noted(request, fault), web.Response(body=video(task_id)))

    async def ledger(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "charges": self.charges,
                "failed": self.failed,
                "requests": self.requests,
                "refused": self.refused,
                "faults": self.faults_seen,
            }
        )

    async def _answered(self, request: web.Request, response: web.Response) -> web.StreamResponse:
        """Answer, with one of the faults that come after the service has acted."""
        if not self._chance():
            return response
        fault = self.rng.choice(
            [
                _closed,
                _gateway_timeout,
                self._silent,
                _long_header,
                _many_headers,
                _raw_tab,
                _other_charset,
                _dripping,
                _cut,
                _odd_retry_after,
            ]
        )
        return await fault(self._noted(request, fault), response)

    async def _silent(self, _: web.Request, response: web.Response) -> web.Response:
        await asyncio.sleep(self.silence)
        return response

    def _over_the_rate(self) -> web.Response | None:
        now = time.monotonic()
        if now < self._allowed:
            self.refused += 1
            odd = self.rng.choice([{}, {"Retry-After": "soon"}, {"Retry-After": "-1"}])
            return envelope(None, code=429, msg="slow down", status=429, headers=odd)
        self._allowed = max(now, self._allowed + 1 / self.rate)
        return None

    def _chance(self) -> bool:
        return self.rng.random() < self.share

    def _noted(self, request: web.Request, fault: Callable[..., object]) -> web.Request:
        name = f"{request.path.split('/')[-1].rsplit('.')[-1]}: {fault.__name__.strip('_')}"
        self.faults_seen[name] = self.faults_seen.get(name, 0) + 1
        return request


# --- refusals, before anything is charged ---


def _refused_with_200(_: web.Request) -> web.Response:
    return envelope(None, code=500, msg="internal error")


def _bare_500(_: web.Request) -> web.Response:
    return web.Response(status=500, text="oops")


# --- faults of an answer that says what has been done ---


async def _closed(request: web.Request, response: web.Response) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return response


async def _gateway_timeout(_: web.Request, _response: web.Response) -> web.Response:
    return web.Response(status=504, text="<html>", content_type="text/html")


async def _long_header(_: web.Request, response: web.Response) -> web.Response:
    response.headers["X-Trace"] = "x" * 9000
    return response


async def _many_headers(_: web.Request, response: web.Response) -> web.Response:
    for number in range(140):
        response.headers[f"X-{number}"] = "1"
    return response


async def _raw_tab(_: web.Request, response: web.Response) -> web.Response:
    return _with_message(response, b"a\tb")


async def _other_charset(_: web.Request, response: web.Response) -> web.Response:
    return _with_message(response, "成功".encode("gbk"))


async def _odd_retry_after(_: web.Request, response: web.Response) -> web.Response:
    response.headers["Retry-After"] = "Mon, 01 Jan 2024 00:00:00 +99999999999999"
    return response


def _with_message(response: web.Response, message: bytes) -> web.Response:
    assert isinstance(response.body, bytes)
    return web.Response(
        body=response.body.replace(b'"msg": null', b'"msg": "%s"' % message),
        content_type="application/json",
    )


async def _dripping(request: web.Request, response: web.Response) -> web.StreamResponse:
    assert isinstance(response.body, bytes)
    stream = web.StreamResponse(headers={"Content-Type": response.content_type})
    await stream.prepare(request)
    for byte in response.body:
        await stream.write(bytes([byte]))
        await asyncio.sleep(0.01)
    return stream


async def _cut(request: web.Request, response: web.Response) -> web.StreamResponse:
    body = response.body
    assert isinstance(body, bytes)
    stream = web.StreamResponse(headers={"Content-Length": str(len(body))})
    stream.content_type = response.content_type
    await stream.prepare(request)
    await stream.write(body[: len(body) // 2])
    assert request.transport is not None
    request.transport.abort()
    return stream


# --- what stands in the place of a result ---


async def _denied(_: web.Request, _response: web.Response) -> web.Response:
    return web.Response(body=_DENIED, content_type="application/xml")


async def _problem(_: web.Request, _response: web.Response) -> web.Response:
    return web.Response(body=_PROBLEM, content_type="application/problem+json")


async def _page(_: web.Request, _response: web.Response) -> web.Response:
    return web.Response(text="<html>please log in</html>", content_type="video/mp4")


async def _truncated_gzip(_: web.Request, response: web.Response) -> web.Response:
    assert isinstance(response.body, bytes)
    packed = gzip.compress(response.body)
    return web.Response(body=packed[:-20], headers={"Content-Encoding": "gzip"})


async def _expired(_: web.Request, _response: web.Response) -> web.Response:
    return web.Response(status=403)
