"""The double: a real server on loopback, what it notes, and what it objects to."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from aiohttp import web

from photoanimer_async import (
    AmbiguousSubmitError,
    InsufficientCreditsError,
    RefusedRequestError,
    TaskFailedError,
)
from photoanimer_async.engine.samples import ASTRONAUT
from photoanimer_async.testing import (
    Charge,
    PhotoAnimerServer,
    ScriptError,
    Subject,
    UnusedRulesError,
)

PHOTO = "https://example.com/me.jpg?signature=s3cret"


@pytest.fixture
def server() -> Iterator[PhotoAnimerServer]:
    with PhotoAnimerServer() as server:
        yield server


async def test_a_photo_becomes_a_file_at_once(server: PhotoAnimerServer, tmp_path: Path) -> None:
    async with server.client() as client:
        animation = await client.animate(PHOTO, template=1, output_format="gif", save_to=tmp_path)
    assert animation.path is not None
    assert animation.path.read_bytes().startswith(b"GIF89a")
    assert animation.info.result_url is not None
    video = await asyncio.to_thread(requests.get, animation.info.result_url)
    assert video.headers["Content-Type"] == "video/mp4"
    assert video.content[4:8] == b"ftyp"


def test_code_that_blocks_is_served_as_well(server: PhotoAnimerServer) -> None:
    headers = {"APIKEY": server.api_key}
    query = {"imageUrl": PHOTO, "templateId": "5"}
    submit = f"{server.base_url}/faceDriven/submitTaskByUrl"
    task_id = requests.get(submit, params=query, headers=headers, timeout=10).json()["data"]
    info = requests.get(
        f"{server.base_url}/faceDriven/getTaskInfo",
        params={"taskId": task_id},
        headers=headers,
        timeout=10,
    ).json()
    assert info["data"]["status"] == 1
    assert server.ledger.seconds == 3.75


async def test_the_ledger_knows_what_was_charged(server: PhotoAnimerServer) -> None:
    server.script("submit 2: reset after", "submit 3: reset")
    async with server.client() as client:
        task_id = await client.submit(PHOTO, template=1)
        for _ in range(2):
            with pytest.raises(AmbiguousSubmitError):
                await client.submit("https://example.com/you.jpg", template=2)
    first, second = server.ledger.charges
    assert first == Charge(
        task_id=int(task_id), task=1, submit=1, image_url=PHOTO, template=1, seconds=7.13
    )
    assert (second.submit, second.seconds) == (2, 2.13)
    assert server.ledger.seconds == 9.26
    assert [request.fault for request in server.ledger.submits] == [
        None,
        "reset after",
        "reset",
    ]
    assert server.ledger.polls == server.ledger.downloads == []


async def test_the_balance_goes_down_and_failures_are_given_back() -> None:
    async with PhotoAnimerServer(seconds=10) as server, server.client() as client:
        server.script("task 2: fail")
        await client.animate(PHOTO, template=2)
        with pytest.raises(TaskFailedError):
            await client.animate(PHOTO, template=3)
        assert (await client.get_balance()).video == 7.87
        await client.animate(PHOTO, template=3)
        with pytest.raises(InsufficientCreditsError):
            await client.submit(PHOTO, template=2)
        assert [charge.seconds for charge in server.ledger.charges] == [2.13, 6.75, 6.75]


async def test_the_ledger_can_be_read_and_tells_no_signature(
    server: PhotoAnimerServer, tmp_path: Path
) -> None:
    assert str(server.ledger) == "no requests"
    server.script("task 1: takes 3 polls; submit 2: refuse 4001; poll 1: status 503")
    async with server.client() as client:
        await client.animate(PHOTO, template=1, save_to=tmp_path)
        with pytest.raises(InsufficientCreditsError):
            await client.submit(PHOTO, template=1)
        with pytest.raises(RefusedRequestError):
            await client.get_task_info(1)
    assert str(server.ledger).splitlines() == [
        "submit 1 (task 1) https://example.com/me.jpg?…: accepted, 7.13 video seconds",
        "poll 1 (task 1): not acted on  [status 503]",
        "poll 2 to 4 (task 1): processing",
        "poll 5 (task 1): finished",
        "download 1 (task 1): HTTP status 200",
        "submit 2 https://example.com/me.jpg?…: not acted on  [refuse 4001]",
        "poll 6: code 40004, there is no task with taskId 1",
    ]
    assert "s3cret" not in str(server.ledger) + repr(server.ledger) + repr(server.ledger.charges)


async def test_a_photo_on_this_machine_is_really_fetched(server: PhotoAnimerServer) -> None:
    async with server.client() as client:
        await client.animate(ASTRONAUT.read_bytes(), template=2)
        with pytest.raises(RefusedRequestError, match=r"imageUrl .* could not be fetched"):
            await client.submit("http://127.0.0.1:9/me.jpg", template=2)


def test_another_key_is_not_accepted(server: PhotoAnimerServer) -> None:
    answer = requests.get(
        f"{server.base_url}/mySubscription", headers={"APIKEY": "mine"}, timeout=10
    )
    assert answer.json()["code"] == 4003


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[str, asyncio.Queue[Any]]]:
    """The URL of an app that takes notifications, and what it was sent."""
    taken: asyncio.Queue[Any] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        taken.put_nowait(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook", taken
    finally:
        await runner.cleanup()


async def test_notifications_come_late_twice_or_never(server: PhotoAnimerServer) -> None:
    server.script("notification 1: drop; notification of task 2: duplicate")
    server.script("notification 3: delay 50ms")
    async with listening() as (url, taken), server.client() as client:
        server.notify(url)
        ids = []
        for _ in range(4):
            ids.append(await client.submit(PHOTO, template=1))
            await client.wait(ids[-1])
        found = [(await taken.get())["eventData"]["taskId"] for _ in range(4)]
    assert sorted(found) == sorted([ids[1], ids[1], ids[2], ids[3]])
    server.check()


async def test_a_rule_that_nothing_came_of_is_objected_to(server: PhotoAnimerServer) -> None:
    server.script("submit 3: reset after; task 1: fail; poll 7: html")
    server.script("balance: html", must_be_used=False)
    async with server.client() as client:
        with pytest.raises(TaskFailedError):
            await client.animate(PHOTO, template=1)
    with pytest.raises(UnusedRulesError) as error:
        server.check()
    assert str(error.value) == (
        "nothing came of 'submit 3: reset after', 'poll 7: html': there were 1 of submit, "
        "1 of poll, 0 of balance, 0 of download, 1 of task, 0 of notification. "
        "If that is as it should be: script(..., must_be_used=False)"
    )


def test_a_fault_of_the_double_itself_is_objected_to(server: PhotoAnimerServer) -> None:
    server.check()
    logging.getLogger("photoanimer_async.service.app").error("event=fault")
    with pytest.raises(AssertionError, match="the double has a fault: event=fault"):
        server.check()


def test_what_is_no_script_changes_nothing(server: PhotoAnimerServer) -> None:
    with pytest.raises(ScriptError, match="found 'restart'"):
        server.script("submit 1: html", "submit 1: restart")
    server.check()


def test_before_its_start_it_has_no_address() -> None:
    with pytest.raises(RuntimeError, match="use it as a context manager"):
        _ = PhotoAnimerServer().base_url


def test_what_keeps_it_from_starting_is_raised(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "not there"))
    with pytest.raises(FileNotFoundError), PhotoAnimerServer():
        pass


def test_requests_have_their_subjects(server: PhotoAnimerServer) -> None:
    requests.get(
        f"{server.base_url}/mySubscription", headers={"APIKEY": server.api_key}, timeout=10
    )
    [balance] = server.ledger.requests
    assert balance.subject is Subject.BALANCE
    assert (balance.number, balance.task, balance.status) == (1, None, 200)
    assert balance.envelope["data"]["videoBalance"] > 0
