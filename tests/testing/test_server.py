"""The double as a server: start, script, notifications, and what `check` raises."""

import asyncio
import logging
import threading
from pathlib import Path
from typing import Any

import pytest
import requests
from aiohttp import web

from photoanimer_async import (
    InsufficientCreditsError,
    TaskFailedError,
)
from photoanimer_async.testing import (
    PhotoAnimerServer,
    ScriptError,
    UnusedRulesError,
)

from ..support.stub_service import serving

PHOTO = "https://example.com/me.jpg?signature=s3cret"


async def test_a_task_finishes_at_once(server: PhotoAnimerServer, tmp_path: Path) -> None:
    async with server.client() as client:
        animation = await client.animate(PHOTO, template=1, output_format="gif", save_to=tmp_path)
    assert animation.path is not None
    assert animation.path.read_bytes().startswith(b"GIF89a")
    assert animation.info.result_url is not None
    video = await asyncio.to_thread(requests.get, animation.info.result_url)
    assert video.headers["Content-Type"] == "video/mp4"
    assert video.content[4:8] == b"ftyp"


async def test_a_start_or_an_end_that_is_cancelled_leaves_no_server() -> None:
    starting = asyncio.create_task(PhotoAnimerServer().__aenter__())
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert threads_of_servers() == []
    server = await PhotoAnimerServer().__aenter__()
    ending = asyncio.create_task(server.__aexit__(None, None, None))
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    assert threads_of_servers() == []


def threads_of_servers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "photo-animer"]


def test_blocking_code_is_served_too(server: PhotoAnimerServer) -> None:
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


async def test_failed_tasks_are_refunded_to_the_balance() -> None:
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


def test_any_other_key_is_refused(server: PhotoAnimerServer) -> None:
    answer = requests.get(
        f"{server.base_url}/mySubscription", headers={"APIKEY": "mine"}, timeout=10
    )
    assert answer.json()["code"] == 4003


async def test_notifications_can_be_late_repeated_or_dropped(server: PhotoAnimerServer) -> None:
    server.script("notification 1: drop; notification of task 2: duplicate")
    server.script("notification 3: delay 50ms")
    received: asyncio.Queue[Any] = asyncio.Queue()

    async def receive(request: web.Request) -> web.Response:
        received.put_nowait(await request.json())
        return web.Response()

    async with serving(receive) as url, server.client() as client:
        server.notify(f"{url}/hook")
        ids = []
        for _ in range(4):
            ids.append(await client.submit(PHOTO, template=1))
            await client.wait(ids[-1])
        found = [(await received.get())["eventData"]["taskId"] for _ in range(4)]
    assert sorted(found) == sorted([ids[1], ids[1], ids[2], ids[3]])
    server.check()


async def test_a_rule_that_was_never_applied_raises(server: PhotoAnimerServer) -> None:
    server.script("submit 3: reset after; task 1: fail; poll 7: html")
    server.script("balance: html", must_be_used=False)
    async with server.client() as client:
        with pytest.raises(TaskFailedError):
            await client.animate(PHOTO, template=1)
    with pytest.raises(UnusedRulesError) as error:
        server.check()
    assert str(error.value) == (
        "never applied: 'submit 3: reset after', 'poll 7: html'. Counted: 1 of submit, "
        "1 of poll, 0 of balance, 0 of download, 1 of task, 0 of notification. "
        "If that is intended, use script(..., must_be_used=False)"
    )


def test_a_bug_of_the_double_itself_raises(server: PhotoAnimerServer) -> None:
    server.check()
    logging.getLogger("photoanimer_async.service.app").error("event=fault")
    with pytest.raises(AssertionError, match="the double has a bug: event=fault"):
        server.check()


def test_a_syntax_error_adds_no_rule(server: PhotoAnimerServer) -> None:
    with pytest.raises(ScriptError, match="found 'restart'"):
        server.script("submit 1: html", "submit 1: restart")
    server.check()


def test_before_the_start_there_is_no_address() -> None:
    with pytest.raises(RuntimeError, match="use it as a context manager"):
        _ = PhotoAnimerServer().base_url


def test_an_error_during_the_start_is_raised(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "not there"))
    with pytest.raises(FileNotFoundError), PhotoAnimerServer():
        pass
