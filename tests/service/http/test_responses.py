"""Errors of HTTP and of the service, in envelopes."""

import asyncio
import sqlite3
from urllib.parse import quote

import pytest
from aiohttp import web
from yarl import URL

from ..conftest import KEY, Customer, InstantRenderer, PhotoHost, Running, Start, redirect


class TestSlashes:
    @pytest.mark.parametrize(
        "path",
        ["/api/v1/{}/", "//api/v1/{}", "/api/v1//{}", "/api//v1/{}", "///api//v1///{}///"],
    )
    async def test_more_slashes_are_accepted(
        self, service: Running, host: PhotoHost, path: str
    ) -> None:
        origin = service.service.base_url.removesuffix("/api/v1")
        submit = path.format("faceDriven//submitTaskByUrl")
        query = f"imageUrl={host.url('photo.png')}&templateId=1"
        async with service.session.get(f"{origin}{submit}?{query}") as answer:
            task_id = (await answer.json())["data"]
        poll = path.format("faceDriven/getTaskInfo")
        async with service.session.get(f"{origin}{poll}?taskId={task_id}") as answer:
            assert (await answer.json())["data"]["taskId"] == task_id
        async with service.session.post(origin + path.format("mySubscription")) as answer:
            assert answer.status == 405
            assert answer.headers["Allow"] == "GET"

    async def test_a_path_of_other_parts_is_unknown(self, service: Running) -> None:
        origin = service.service.base_url.removesuffix("/api/v1")
        for path in ("/api/v1/my/Subscription", "/api/v1/mySubscription/x", "/x//mySubscription"):
            async with service.session.get(origin + path) as answer:
                assert answer.status == 404


class TestHostileRequests:
    """No request can make the service answer with an internal error."""

    @pytest.mark.parametrize("method", [b"GET", b"POST", b"OPTIONS", b"HEAD", b"FOO"])
    @pytest.mark.parametrize(
        "path", [b"/faceDriven/submitTaskByUrl", b"/faceDriven/getTaskInfo", b"/mySubscription"]
    )
    async def test_odd_headers_and_bodies(
        self, service: Running, method: bytes, path: bytes
    ) -> None:
        deep = b"[" * 100_000
        for fields, body in (
            (b"Content-Type: application/json", deep),
            (b"Content-Type: application/json; charset=zlib_codec", b"{}"),
            (b"Content-Type: text/\xff; charset=\xff", b"{}"),
            (b"Content-Encoding: gzip", b"{}"),
            (b"Cookie: a=\xff\xfe; b=\xc3\xa9; =;;;", b""),
            (b"Expect: something", b""),
            (b"Origin: \xff", b""),
        ):
            length = b"Content-Length: %d" % len(body)
            head = [method + b" /api/v1" + path + b" HTTP/1.1", b"APIKEY: k", b"Host: localhost"]
            request = b"\r\n".join([*head, b"Connection: close", fields, length, b"", body])
            assert 200 <= await raw_status(service, request) < 500

    @pytest.mark.parametrize("key", [b"\xff", b"\xc3\xa9", b"\xed\xa0\x80", b"a" * 8000])
    async def test_odd_keys(self, service: Running, key: bytes) -> None:
        head = b"GET /api/v1/mySubscription HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        assert await raw_status(service, head + b"APIKEY: " + key + b"\r\n\r\n") == 200

    @pytest.mark.parametrize(
        "url",
        [
            "http://a..b/",
            f"http://{'a' * 300}/",
            "http://.example/",
            "http://%ff/",
            "http://a%00b/",
            "http://xn--a/",
            "http://x:99999/",
            "http://\u202e.example/",
            "http://h/\ud800",
        ],
    )
    async def test_odd_urls(self, service: Running, host: PhotoHost, url: str) -> None:
        async def to_url(_: web.Request) -> web.Response:
            return redirect(url.encode("ascii", "replace").decode())

        host.answers["redirect"] = to_url
        for image_url in (url, host.url("redirect")):
            quoted = quote(image_url, safe="", errors="surrogatepass")
            query = URL(f"?imageUrl={quoted}&templateId=1", encoded=True)
            address = URL(f"{service.service.base_url}/faceDriven/submitTaskByUrl").join(query)
            async with service.session.get(address) as answer:
                assert (await answer.json())["code"] in {40002, 40011}


async def raw_status(service: Running, request: bytes) -> int:
    address = URL(service.service.base_url)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return int(answer.split()[1])


class TestPathsAndMethods:
    async def test_an_unknown_path_is_a_404(self, service: Running) -> None:
        async with service.session.get(f"{service.service.base_url}/faceDriven/nothing") as answer:
            assert answer.status == 404
            envelope = await answer.json()
        assert envelope["code"] == 40404
        assert envelope["msg"] == "there is nothing at '/api/v1/faceDriven/nothing'"

    @pytest.mark.parametrize("method", ["HEAD", "POST", "DELETE"])
    async def test_other_methods_than_get_are_a_405(
        self, service: Running, host: PhotoHost, method: str
    ) -> None:
        async with service.session.request(
            method,
            f"{service.service.base_url}/faceDriven/submitTaskByUrl",
            params={"imageUrl": host.url("photo.png"), "templateId": "1"},
        ) as answer:
            assert answer.status == 405
            assert answer.headers["Allow"] == "GET"
            if method != "HEAD":
                assert (await answer.json())["code"] == 40405
        assert host.requests == []

    async def test_an_internal_error_is_a_500_in_an_envelope(
        self,
        service: Running,
        host: PhotoHost,
        logged_errors: list[object],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async def full(self: object, *args: object) -> None:
            raise sqlite3.ProgrammingError("a mistake")

        monkeypatch.setattr("photoanimer_async.service.storing.task_store.TaskStore.add", full)
        async with service.session.get(
            f"{service.service.base_url}/faceDriven/submitTaskByUrl",
            params={"imageUrl": host.url("photo.png"), "templateId": "1"},
        ) as answer:
            assert answer.status == 500
            assert (await answer.json())["code"] == 50000
        assert len(logged_errors) == 1
        logged_errors.clear()

    async def test_a_lasting_shortage_is_one_line_of_the_log(
        self,
        service: Running,
        host: PhotoHost,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async def full(self: object, *args: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        caplog.set_level("INFO")
        monkeypatch.setattr("photoanimer_async.service.storing.task_store.TaskStore.add", full)
        for _ in range(5):
            answer = await Customer(service, KEY).submit(host.url("photo.png"))
            assert answer["code"] == 50301
        assert caplog.text.count("event=shortage") == 1
        assert caplog.text.count("event=refused") == 1

    async def test_an_invalid_host_header_is_refused(self, start: Start, host: PhotoHost) -> None:
        service = await start(keys={KEY})
        task_id = await service.submit(host.url("photo.png"))
        await service.end_of(task_id)
        async with service.session.get(
            f"{service.service.base_url}/faceDriven/getTaskInfo",
            params={"taskId": str(task_id)},
            headers={"Host": "evil/<script>"},
        ) as answer:
            envelope = await answer.json()
        assert envelope["code"] == 40002
        assert envelope["msg"].startswith("the header Host is 'evil/<script>'")


async def test_who_makes_too_many_requests_waits_for_the_answer(
    start: Start, host: PhotoHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("photoanimer_async.service.http.responses._REFUSAL_SECONDS", 3600.0)
    service = await start(InstantRenderer(gate=asyncio.Event()), queue_limit=1)
    await service.submit(host.url("photo.png"))
    customer = Customer(service, KEY)
    refused = asyncio.create_task(customer.submit(host.url("photo.png")))
    await asyncio.sleep(0.2)
    assert (await customer.call("mySubscription"))["code"] == 0
    assert not refused.done()
    refused.cancel()  # the sender hangs up
    await asyncio.wait([refused])
    monkeypatch.setattr("photoanimer_async.service.http.responses._REFUSAL_SECONDS", 0.01)
    assert (await customer.submit(host.url("photo.png")))["code"] == 42901
