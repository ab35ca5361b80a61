"""A photo's URL is checked with one HEAD request to its server."""

from pathlib import Path

import aiohttp
import pytest
from aiohttp import hdrs, web
from attrs import define, field

from photoanimer_async import InvalidPhotoError, PhotoAnimerClient, PreparationError, State
from photoanimer_async.photos.header import PictureFlawError
from photoanimer_async.photos.rules import MAX_BYTES
from photoanimer_async.photos.url_check import check_url

from ..support.batches import outcomes_of, read_all
from ..support.stub_service import KEY, Reply, StubService, serving


@define
class PhotoServer:
    """Gives one answer to every request, and records the requests."""

    status: int = 200
    headers: dict[str, str] = field(factory=dict)
    requests: list[web.Request] = field(factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        response = web.StreamResponse(status=self.status, headers=self.headers)
        await response.prepare(request)
        return response


async def check(path: str, answer: Reply) -> None:
    async with serving(answer) as origin, aiohttp.ClientSession() as session:
        await check_url(session, origin + path)


async def test_a_signed_url_is_sent_as_it_is_in_one_head_request() -> None:
    server = PhotoServer(200, {"Content-Type": "image/jpeg", "Content-Length": "12345"})
    await check("/a%20b c.jpg?X-Signature=%2F+ü&x=1", server.answer)
    [request] = server.requests
    assert request.method == "HEAD"
    assert request.raw_path == "/a%20b%20c.jpg?X-Signature=%2F+%C3%BC&x=1"


async def test_a_redirect_to_a_signed_url_is_followed_as_it_was_written() -> None:
    server = PhotoServer(302, {hdrs.LOCATION: "/b.jpg?X-Signature=%2F+%7E%2b"})
    with pytest.raises(PreparationError):
        await check("/a.jpg", server.answer)
    assert server.requests[1].method == "HEAD"
    assert server.requests[1].raw_path == "/b.jpg?X-Signature=%2F+%7E%2b"


@pytest.mark.parametrize("status", [200, 204, 401, 403, 405, 429, 501])
async def test_an_indefinite_answer_is_accepted(status: int) -> None:
    await check("/a.jpg", PhotoServer(status, {"Content-Type": "application/octet-stream"}).answer)


@pytest.mark.parametrize(
    ("status", "headers", "text"),
    [
        (404, {}, "has no such photo (HTTP status 404)"),
        (410, {}, "has no such photo (HTTP status 410)"),
        (200, {"Content-Type": "text/html; charset=utf-8"}, "says that it is text/html;"),
        (200, {"Content-Type": "image/heic"}, "says that it is image/heic; allowed are PNG"),
        (200, {"Content-Length": str(MAX_BYTES)}, "has 15.0 MB; allowed is less than 15 MB"),
        (200, {"Content-Length": "0"}, "says that it is empty"),
    ],
)
async def test_a_definite_answer_refuses_the_photo(
    status: int, headers: dict[str, str], text: str
) -> None:
    server = PhotoServer(status, {"Content-Type": "image/jpeg"} | headers)
    with pytest.raises(PictureFlawError) as caught:
        await check("/a.jpg?token=s3cret", server.answer)
    assert text in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_server_error_is_not_an_invalid_photo(status: int) -> None:
    with pytest.raises(PreparationError, match=f"HTTP status {status}"):
        await check("/a.jpg", PhotoServer(status).answer)


async def test_at_most_five_redirects_are_followed() -> None:
    server = PhotoServer(302, {hdrs.LOCATION: "/again.jpg"})
    with pytest.raises(PreparationError, match="more than 5 redirects"):
        await check("/a.jpg", server.answer)
    assert len(server.requests) == 6


async def test_a_lost_connection_is_not_an_invalid_photo() -> None:
    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    with pytest.raises(PreparationError, match="connection lost"):
        await check("/a.jpg", hang_up)


@pytest.mark.parametrize("url", ["http://ex ample/a.jpg", "http://exämple..com/a.jpg"])
async def test_an_impossible_host_name_is_an_error(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises((PictureFlawError, PreparationError)):
            await check_url(session, url)


class TestOfTheClient:
    """Its option `check_urls`."""

    async def test_urls_are_not_requested_by_default(self, client: PhotoAnimerClient) -> None:
        server = PhotoServer(404)
        async with serving(server.answer) as origin:
            assert (await outcomes_of(client, [f"{origin}/a.jpg"]))[0].ok
        assert server.requests == []

    async def test_one_head_request_without_the_key(self, client: PhotoAnimerClient) -> None:
        server = PhotoServer(200, {"Content-Type": "image/jpeg", "Content-Length": "12345"})
        async with serving(server.answer) as origin:
            url = f"{origin}/a%20b c.jpg?X-Signature=%2F+ü&x=1"
            assert (await outcomes_of(client, [url], check_urls=True))[0].ok
        [request] = server.requests
        assert request.method == "HEAD"
        assert request.raw_path.startswith("/a%20b%20c.jpg?X-Signature=%2F+%C3%BC")
        assert KEY not in str(request.headers)
        assert "APIKEY" not in request.headers

    async def test_a_missing_photo_is_refused_before_the_submit(
        self, client: PhotoAnimerClient, stub: StubService
    ) -> None:
        server = PhotoServer(404)
        async with serving(server.answer) as origin:
            [outcome] = await outcomes_of(client, [f"{origin}/a.jpg?token=s3cret"], check_urls=True)
        assert isinstance(outcome.error, InvalidPhotoError)
        assert str(outcome.error).startswith(f"{origin}/a.jpg?…: its server has no such photo")
        assert "s3cret" not in str(outcome.error)
        assert stub.submits == []

    async def test_an_unreachable_host_leaves_the_photo_planned(
        self, client: PhotoAnimerClient, tmp_path: Path
    ) -> None:
        journal = tmp_path / "batch.db"
        server = PhotoServer(503)
        async with serving(server.answer) as origin:
            [outcome] = await outcomes_of(
                client, [f"{origin}/a.jpg"], check_urls=True, journal=journal
            )
        assert isinstance(outcome.error, PreparationError)
        assert "HTTP status 503" in str(outcome.error)
        [outcome] = await outcomes_of(client, [f"{origin}/a.jpg"], check_urls=True, journal=journal)
        assert "connection failed" in str(outcome.error)
        assert (await read_all(journal))[0].counts == {State.PLANNED: 1}
