"""Requests of a browser: which hosts an open service answers to, and which pages may use it."""

import asyncio
from urllib.parse import urlsplit

import aiohttp
import pytest

from photoanimer_async.service import AccountBook

from ..conftest import KEY, PhotoHost, Running, Start, added

APP = "https://app.example"
PREFLIGHT = {
    "Origin": APP,
    "Access-Control-Request-Method": "GET",
    "Access-Control-Request-Headers": "apikey,x-requested-with",
}


def origin_of(service: Running) -> str:
    return service.service.base_url.removesuffix("/api/v1")


async def status(service: Running, url: str, **headers: str) -> int:
    async with service.session.get(url, headers=headers) as answer:
        return answer.status


async def raw(url: str, head: str) -> bytes:
    """The answer to a request that is written by hand."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(head.replace("\n", "\r\n").encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


class TestHost:
    @pytest.mark.parametrize(
        "name",
        ["evil.example", "127.0.0.1.evil.example", "192.0.2.1", "localhost@evil.example", "[::"],
    )
    async def test_an_open_service_answers_to_its_own_hosts_only(
        self, service: Running, name: str
    ) -> None:
        port = urlsplit(service.service.base_url).port
        paths = ("/api/v1/mySubscription", "/results/x.mp4", "/docs", "/openapi.json", "/healthz")
        for path in paths:
            for host in (name, f"{name}:{port}"):
                url = origin_of(service) + path
                async with service.session.get(url, headers={"Host": host}) as answer:
                    assert answer.status == 421
                    assert (await answer.json())["code"] == 42101

    async def test_a_rebound_page_cannot_submit(self, service: Running, host: PhotoHost) -> None:
        async with service.session.get(
            f"{service.service.base_url}/faceDriven/submitTaskByUrl",
            params={"imageUrl": host.url("photo.png"), "templateId": "1"},
            headers={"Host": "evil.example"},
        ) as answer:
            assert answer.status == 421
        assert host.requests == []

    @pytest.mark.parametrize(
        "name", ["127.0.0.1", "localhost", "LocalHost.", "[::1]", "127.9.9.9", "localhost:5173"]
    )
    async def test_names_of_this_machine_are_answered(self, service: Running, name: str) -> None:
        assert await status(service, f"{service.service.base_url}/mySubscription", Host=name) == 200

    async def test_the_public_url_is_answered_too(self, start: Start) -> None:
        service = await start(public_url="https://animer.example/behind")
        url = f"{service.service.base_url}/mySubscription"
        assert await status(service, url, Host="animer.example") == 200
        assert await status(service, url, Host="evil.example") == 421

    async def test_a_request_without_host_is_not_a_browsers(self, service: Running) -> None:
        head = f"GET /api/v1/mySubscription HTTP/1.0\nAPIKEY: {KEY}\n\n"
        assert b" 200 OK" in await raw(service.service.base_url, head)

    async def test_a_service_with_keys_answers_to_every_host(
        self, start: Start, book: AccountBook
    ) -> None:
        key = await added(book, "anna")
        service = await start()
        url = f"{service.service.base_url}/mySubscription"
        assert await status(service, url, Host="animer.lan", APIKEY=key) == 200

    async def test_metrics_on_loopback_answer_to_its_own_hosts_only(
        self, measured: Running
    ) -> None:
        for path in ("/metrics", "/healthz"):
            url = f"{measured.service.operations_url}{path}"
            assert await status(measured, url, Host="evil.example") == 421
            assert await status(measured, url, Host="localhost:9464") == 200


class TestCors:
    async def test_without_origins_there_are_no_cors_headers(self, service: Running) -> None:
        url = f"{service.service.base_url}/mySubscription"
        for method, expected in (("GET", 200), ("OPTIONS", 405)):
            async with service.session.request(method, url, headers=PREFLIGHT) as answer:
                assert answer.status == expected
                assert not [name for name in answer.headers if name.startswith("Access-Control")]
                assert "Vary" not in answer.headers

    async def test_pages_of_an_allowed_origin_can_use_the_service(
        self, start: Start, host: PhotoHost
    ) -> None:
        service = await start(allow_origins=["http://localhost:5173", f"{APP}/"])
        task_id = await service.submit(host.url("photo.png"))
        result = (await service.end_of(task_id))["resultUrl"]
        origin = origin_of(service)
        urls = {
            f"{service.service.base_url}/mySubscription": 200,
            f"{service.service.base_url}/faceDriven/getTaskInfo?taskId={task_id}": 200,
            f"{service.service.base_url}/nothing": 404,
            result: 200,
            f"{origin}/results/{'x' * 32}.mp4": 404,
            f"{origin}/openapi.json": 200,
        }
        for url, expected in urls.items():
            for allowed in (APP, "http://localhost:5173"):
                async with service.session.get(url, headers={"Origin": allowed}) as answer:
                    assert answer.status == expected
                    assert answer.headers["Access-Control-Allow-Origin"] == allowed
                    assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
                    assert answer.headers["Vary"] == "Origin"

    async def test_a_part_of_a_result_has_the_headers_too(
        self, start: Start, host: PhotoHost
    ) -> None:
        service = await start(allow_origins=[APP])
        info = await service.end_of(await service.submit(host.url("photo.png")))
        headers = {"Origin": APP, "Range": "bytes=0-4"}
        async with service.session.get(info["resultUrl"], headers=headers) as answer:
            assert answer.status == 206
            assert answer.headers["Access-Control-Allow-Origin"] == APP
            assert "Content-Range" in answer.headers["Access-Control-Expose-Headers"]

    @pytest.mark.parametrize("path", ["/api/v1/faceDriven/submitTaskByUrl", "/results/x.mp4"])
    async def test_preflights_are_answered(self, start: Start, path: str) -> None:
        service = await start(allow_origins=[APP])
        headers = PREFLIGHT | {"Access-Control-Request-Private-Network": "true"}
        async with (
            aiohttp.ClientSession() as session,  # a preflight has no key
            session.options(origin_of(service) + path, headers=headers) as answer,
        ):
            assert answer.status == 204
            assert answer.headers["Access-Control-Allow-Origin"] == APP
            assert answer.headers["Access-Control-Allow-Methods"] == "GET, HEAD, POST"
            assert answer.headers["Access-Control-Allow-Headers"] == "apikey,x-requested-with"
            assert answer.headers["Access-Control-Allow-Private-Network"] == "true"

    @pytest.mark.parametrize("other", ["https://evil.example", "null", "http://app.example", ""])
    async def test_other_origins_get_no_consent(self, start: Start, other: str) -> None:
        service = await start(allow_origins=[APP])
        url = f"{service.service.base_url}/mySubscription"
        for method, expected in (("GET", 200), ("OPTIONS", 405)):
            headers = PREFLIGHT | {"Origin": other}
            async with service.session.request(method, url, headers=headers) as answer:
                assert answer.status == expected
                assert "Access-Control-Allow-Origin" not in answer.headers
