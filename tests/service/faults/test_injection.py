"""What a plain HTTP client sees of each fault, on a real connection."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
import requests
from attrs import frozen

from photoanimer_async.testing import PhotoAnimerServer

PHOTO = "https://example.com/me.jpg?signature=s3cret"


@pytest.fixture
def server() -> Iterator[PhotoAnimerServer]:
    with PhotoAnimerServer() as server:
        yield server
        server.check()


@frozen
class Caller:
    server: PhotoAnimerServer
    session: aiohttp.ClientSession

    async def get(self, path: str, **query: object) -> tuple[int, str, bytes]:
        """HTTP status, content type and body."""
        url = path if "://" in path else f"{self.server.base_url}/{path}"
        params = {name: str(value) for name, value in query.items()}
        async with self.session.get(url, params=params) as response:
            return response.status, response.content_type, await response.read()

    async def call(self, path: str, **query: object) -> Any:
        url = f"{self.server.base_url}/{path}"
        params = {name: str(value) for name, value in query.items()}
        async with self.session.get(url, params=params) as response:
            return await response.json()

    async def submit(self, template: int = 2) -> Any:
        return await self.call("faceDriven/submitTaskByUrl", imageUrl=PHOTO, templateId=template)

    async def poll(self, task_id: int) -> Any:
        return await self.call("faceDriven/getTaskInfo", taskId=task_id)

    async def result_url(self) -> str:
        task_id = (await self.submit())["data"]
        url: str = (await self.poll(task_id))["data"]["resultUrl"]
        return url


@pytest.fixture
async def caller(server: PhotoAnimerServer) -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession(headers={"APIKEY": server.api_key}) as session:
        yield Caller(server, session)


async def test_without_a_script_a_task_is_finished_at_the_first_poll(caller: Caller) -> None:
    url = await caller.result_url()
    status, content_type, video = await caller.get(url)
    assert (status, content_type) == (200, "video/mp4")
    assert video[4:8] == b"ftyp"
    assert (await caller.call("mySubscription"))["code"] == 0


async def test_status_sends_an_http_error(caller: Caller) -> None:
    caller.server.script("submit 1: status 429 retry-after 2s; submit 2: status 503")
    async with caller.session.get(f"{caller.server.base_url}/faceDriven/submitTaskByUrl") as answer:
        assert answer.status == 429
        assert answer.headers["Retry-After"] == "2"
        assert answer.content_type == "text/html"
    status, _, _ = await caller.get("faceDriven/submitTaskByUrl")
    assert status == 503
    assert caller.server.ledger.charges == []
    assert (await caller.submit())["code"] == 0


async def test_refuse_sends_an_error_in_an_envelope(caller: Caller) -> None:
    caller.server.script('balance 1: refuse 4003; balance 2: refuse 503 "Busy" status 503')
    envelope = await caller.call("mySubscription")
    assert envelope["code"] == 4003
    assert envelope["msg"].startswith("The header APIKEY is missing")
    status, content_type, body = await caller.get("mySubscription")
    assert (status, content_type) == (503, "application/json")
    assert b'"msg": "Busy"' in body


@pytest.mark.parametrize(("when", "charged"), [("before", 0.0), ("after", 2.13)])
async def test_html_replaces_the_answer(caller: Caller, when: str, charged: float) -> None:
    caller.server.script(f"submit 1: html {when}")
    status, content_type, _ = await caller.get(
        "faceDriven/submitTaskByUrl", imageUrl=PHOTO, templateId=2
    )
    assert (status, content_type) == (200, "text/html")
    assert caller.server.ledger.seconds == charged


@pytest.mark.parametrize(("when", "charged"), [("before", 0.0), ("after", 2.13)])
def test_reset_resets_the_connection(server: PhotoAnimerServer, when: str, charged: float) -> None:
    server.script(f"submit 1: reset {when}")
    # aiohttp would repeat the request by itself.
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        requests.get(
            f"{server.base_url}/faceDriven/submitTaskByUrl",
            params={"imageUrl": PHOTO, "templateId": "2"},
            headers={"APIKEY": server.api_key},
            timeout=10,
        )
    assert server.ledger.seconds == charged


async def submit_without_answer(caller: Caller) -> None:
    """Submit a photo, and hang up some time after the server has acted on it."""
    submit = asyncio.create_task(caller.submit())
    while not caller.server.ledger.requests:
        await asyncio.sleep(0.005)
    _, waiting = await asyncio.wait([submit], timeout=0.1)
    assert waiting
    submit.cancel()
    await asyncio.wait([submit])


@pytest.mark.parametrize(("when", "charged"), [("before", 0.0), ("after", 2.13)])
async def test_timeout_sends_no_answer(caller: Caller, when: str, charged: float) -> None:
    caller.server.script(f"submit 1: timeout {when}")
    await submit_without_answer(caller)
    assert caller.server.ledger.seconds == charged


async def test_the_server_stops_while_a_request_waits() -> None:
    async with PhotoAnimerServer() as server:
        server.script("balance: timeout")
        headers = {"APIKEY": server.api_key}
        session = aiohttp.ClientSession(headers=headers)
        waiting = asyncio.create_task(session.get(f"{server.base_url}/mySubscription"))
        while not server.ledger.requests:
            await asyncio.sleep(0.005)
    async with session:
        with pytest.raises(aiohttp.ClientError):
            await waiting


async def test_delay_sends_the_answer_late(caller: Caller) -> None:
    caller.server.script("submit 1: delay 60s; submit 2: delay 10ms")
    await submit_without_answer(caller)
    assert caller.server.ledger.seconds == 2.13
    assert (await caller.submit())["code"] == 0


async def test_drip_sends_the_body_in_pieces(caller: Caller) -> None:
    url = await caller.result_url()
    _, _, video = await caller.get(url)
    caller.server.script("download 2: drip 500ms")
    pieces = []
    async with caller.session.get(url) as response:
        assert response.content_length == len(video)
        assert response.content_type == "video/mp4"
        async for piece, _ in response.content.iter_chunks():
            pieces.append(piece)
    assert b"".join(pieces) == video
    assert len(pieces) > 1


@pytest.mark.parametrize("percent", [0, 50, 99])
async def test_truncate_ends_a_result_early(caller: Caller, percent: int) -> None:
    url = await caller.result_url()
    _, _, video = await caller.get(url)
    caller.server.script(f"download 2 of task 1: truncate {percent}%")
    received = b""
    async with caller.session.get(url) as response:
        assert response.content_length == len(video)
        with pytest.raises(aiohttp.ClientPayloadError):
            async for piece, _ in response.content.iter_chunks():
                received += piece
        etag = response.headers["ETag"]
    assert received == video[: len(video) * percent // 100]
    headers = {"Range": f"bytes={len(received)}-", "If-Range": etag}
    async with caller.session.get(url, headers=headers) as response:
        assert response.status == 206
        assert received + await response.read() == video


async def test_truncate_ends_an_answer_early(caller: Caller) -> None:
    caller.server.script("submit 1: truncate 50%")
    with pytest.raises(aiohttp.ClientPayloadError):
        await caller.submit()
    assert caller.server.ledger.seconds == 2.13


async def test_expired_refuses_a_download(caller: Caller) -> None:
    url = await caller.result_url()
    caller.server.script("download 1 of task 1: expired")
    status, content_type, body = await caller.get(url)
    assert (status, content_type) == (403, "application/xml")
    assert b"expired" in body
    status, _, _ = await caller.get(url)
    assert status == 200


async def test_takes_a_number_of_polls(caller: Caller) -> None:
    caller.server.script("task 2: takes 3 polls")
    first, second = (await caller.submit())["data"], (await caller.submit())["data"]
    found = [(await caller.poll(second))["data"]["status"] for _ in range(5)]
    assert found == [0, 0, 0, 1, 1]
    assert (await caller.poll(first))["data"]["status"] == 1


async def test_takes_a_number_of_seconds(caller: Caller) -> None:
    caller.server.script("task 1: takes 60s; task 2: takes 10ms")
    first, second = (await caller.submit())["data"], (await caller.submit())["data"]
    while (await caller.poll(second))["data"]["status"] == 0:
        await asyncio.sleep(0.005)
    assert (await caller.poll(first))["data"]["status"] == 0


async def test_fail_ends_the_task_with_its_code(caller: Caller) -> None:
    caller.server.script('task 1: fail; task 2: fail 9010 "content"; task 2: takes 1 poll')
    first, second = (await caller.submit())["data"], (await caller.submit())["data"]
    failed = (await caller.poll(first))["data"]
    assert (failed["status"], failed["failCode"]) == (2, 7001)
    assert failed["failReason"] == "No person's face was found in the photo."
    assert (await caller.poll(second))["data"]["status"] == 0
    failed = (await caller.poll(second))["data"]
    assert (failed["status"], failed["failCode"], failed["failReason"]) == (2, 9010, "content")


async def test_the_first_matching_rule_counts(caller: Caller) -> None:
    caller.server.script("balance 2: status 500; balance every 2: status 502; balance 3-: html")
    found = [(await caller.get("mySubscription"))[:2] for _ in range(4)]
    assert found == [
        (200, "application/json"),
        (500, "text/html"),
        (200, "text/html"),
        (502, "text/html"),
    ]


async def test_of_task_counts_within_a_task(caller: Caller) -> None:
    caller.server.script("poll 2 of task 2: status 500")
    first, second = (await caller.submit())["data"], (await caller.submit())["data"]
    found = [
        (await caller.get("faceDriven/getTaskInfo", taskId=task_id))[0]
        for task_id in (first, second, first, second, second)
    ]
    assert found == [200, 200, 200, 500, 200]


async def test_other_paths_have_no_faults(caller: Caller) -> None:
    caller.server.script("submit: status 500", must_be_used=False)
    assert (await caller.get("nothing/here"))[0] == 404
    assert (await caller.call("faceDriven/getTaskInfo", taskId="none"))["code"] == 40002
