"""Batches of clips: each clip is charged once, whatever happens to the studio."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from attrs import define

from photoanimer_async.service import LocalService, ServiceSettings

from ..support.stub_service import StubService, envelope, serving, task
from ..support.videos import mp4
from .conftest import FACELESS, SLOW, WAV, CommentRenderer, OpenStudio, Page, png


async def test_photos_are_animated(page: Page, renderer: CommentRenderer) -> None:
    photos = [await page.add_photo(png(b"%d" % i), f"{i}.png") for i in range(3)]
    clips = await page.start(*photos, template=5)
    assert [clip["cost"] for clip in clips] == [3.75] * 3
    ended = await page.wait_for_clips()
    assert {clip["stage"] for clip in ended.values()} == {"done"}
    video = await page.request("GET", f"/clips/{ended['1']['id']}", 200)
    assert await video.read() == mp4(b"video of template 5")
    assert video.content_type == "video/mp4"
    assert not any(photo["waiting"] for photo in (await page.state())["photos"])
    assert len(renderer.jobs) == 3


async def test_a_failed_clip_can_be_retried_and_does_not_affect_others(
    page: Page, renderer: CommentRenderer
) -> None:
    mountain = await page.add_photo(png(FACELESS), "mountain.png")
    await page.start(mountain, await page.add_photo(png(), "grandma.png"))
    ended = await page.wait_for_clips()
    assert ended["grandma"]["stage"] == "done"
    assert ended["mountain"]["stage"] == "failed"
    assert ended["mountain"]["error"] == "No person's face was found."
    renderer.faces = True
    await page.retry(ended["mountain"], expect=202)
    ended = await page.wait_for_clips()
    assert ended["mountain"]["stage"] == "done"
    await page.retry(ended["mountain"], expect=409)
    assert len(renderer.jobs) == 3


async def test_a_refused_photo_is_not_animated(page: Page) -> None:
    refused, good = await page.add_photo(b"%PDF-1.4"), await page.add_photo(png())
    order = {"photos": [refused["id"]], "template": 2, "voice": False}
    response = await page.request("POST", "/api/clips", 409, json=order)
    assert "None of the photos can be animated" in (await response.json())["error"]
    [clip] = await page.start(refused, good)
    assert clip["photo"] == good["id"]


async def test_a_finished_or_running_clip_is_not_started_again(
    page: Page, renderer: CommentRenderer
) -> None:
    photo = await page.add_photo(png(SLOW))
    both = await asyncio.gather(page.start(photo), page.start(photo))
    assert sorted(map(len, both)) == [0, 1]
    assert await page.start(photo) == []
    renderer.released.set()
    await page.wait_for_clips()
    assert await page.start(photo) == []
    [other] = await page.start(photo, template=3)
    assert other["template"] == 3
    await page.wait_for_clips()
    assert len(renderer.jobs) == 2


async def test_a_voice_is_sent_with_the_talking_expression(
    page: Page, renderer: CommentRenderer
) -> None:
    query = {"name": "hello.wav", "seconds": "4.25"}
    await page.request("PUT", "/api/voice", 201, params=query, data=WAV)
    photo = await page.add_photo(png())
    [clip] = await page.start(photo, template=0, voice=True)
    assert clip["cost"] == 4.25
    assert clip["voice"] == "hello"
    ended = await page.wait_for_clips()
    assert ended["grandma"]["stage"] == "done", ended
    [job] = renderer.jobs
    assert job.voice is not None
    order = {"photos": [photo["id"]], "template": 1, "voice": True}
    response = await page.request("POST", "/api/clips", 400, json=order)
    assert (await response.json())[
        "error"
    ] == "A voice can be used with the talking expression only."


async def test_a_restarted_studio_resumes_its_batches(
    open_studio: OpenStudio, renderer: CommentRenderer
) -> None:
    page = await open_studio()
    query = {"name": "hello.wav", "seconds": "4.25"}
    await page.request("PUT", "/api/voice", 201, params=query, data=WAV)
    slow, quick = (
        await page.add_photo(png(SLOW), "slow.png"),
        await page.add_photo(png(), "quick.png"),
    )
    waiting = await page.add_photo(png(b"later"), "later.png")
    await page.start(slow, quick)
    await page.start(slow, template=0, voice=True)
    await page.wait_until(
        lambda s: sorted(c["stage"] for c in s["clips"]) == ["done", "moving", "moving"]
    )
    again = await open_studio()
    state = await again.state()
    assert {p["name"]: p["waiting"] for p in state["photos"]} == {
        "slow": False,
        "quick": False,
        "later": True,
    }
    assert state["voice"] == {"name": "hello", "seconds": 4.25}
    renderer.released.set()
    ends = await again.wait_for_clips()
    assert {clip["stage"] for clip in ends.values()} == {"done"}
    assert len(renderer.jobs) == 3
    await again.start(waiting)
    await again.wait_for_clips()
    assert len(renderer.jobs) == 4


async def test_a_clip_beyond_the_balance_fails_and_others_proceed(
    open_studio: OpenStudio, renderer: CommentRenderer, tmp_path: Path
) -> None:
    poor = ServiceSettings(data_dir=tmp_path / "poor", port=0, video_balance=3)
    async with LocalService(poor, renderer=renderer) as service:
        page = await open_studio(base_url=service.base_url)
        photo = await page.add_photo(png())
        await page.start(photo, template=1)
        ended = await page.wait_for_clips()
        assert ended["grandma"]["stage"] == "failed"
        assert "video seconds" in ended["grandma"]["error"]
        [affordable] = await page.start(photo, template=2)
        state = await page.wait_until(
            lambda s: {c["id"]: c["stage"] for c in s["clips"]}[affordable["id"]] == "done"
        )
        assert state["account"]["seconds"] == 3


async def test_a_lost_response_is_reported_and_never_resubmitted(
    open_studio: OpenStudio,
) -> None:
    submits = 0

    async def hang_up(request: web.Request) -> web.Response:
        nonlocal submits
        submits += 1
        async with aiohttp.ClientSession() as session:
            await session.get(request.query["imageUrl"])
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    app = web.Application()
    app.router.add_get("/api/v1/faceDriven/submitTaskByUrl", hang_up)
    async with TestServer(app) as server:
        page = await open_studio(base_url=str(server.make_url("/api/v1")))
        photo = await page.add_photo(png())
        await page.start(photo)
        clip = (await page.wait_for_clips())["grandma"]
        assert clip["stage"] == "unclear"
        assert "check your account" in clip["error"]
        assert not clip["repeatable"]
        assert await page.start(photo) == []
        await page.retry(clip, expect=409)
        assert submits == 1


@define
class LostResults(StubService):
    """A service of whose results none can be downloaded, until `results` is set."""

    results: bool = False


@pytest.fixture
async def stub() -> AsyncIterator[LostResults]:
    stub = LostResults()

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/api/"):
            return await stub.answer(request)
        if not stub.results:
            return web.Response(status=404)
        return web.Response(body=mp4(b"fetched at last"), content_type="video/mp4")

    async with serving(answer) as origin:
        stub.base_url = f"{origin}/api/v1"
        stub.finished = lambda request: envelope(
            task(int(request.query["taskId"]), resultUrl=f"{origin}/result.mp4")
        )
        yield stub


async def test_a_video_that_cannot_be_fetched_is_not_bought_again(
    open_studio: OpenStudio, stub: LostResults
) -> None:
    page = await open_studio(base_url=stub.base_url)
    photo = await page.add_photo(png())
    [clip] = await page.start(photo)
    ended = (await page.wait_for_clips())["grandma"]
    assert ended["stage"] == "failed"
    assert ended["paid"]
    assert ended["error"] == (
        "The video was made, but could not be fetched. "
        "Trying again costs nothing: this video is paid for."
    )
    await page.retry(clip, expect=202)
    assert (await page.wait_for_clips())["grandma"]["stage"] == "failed"
    stub.results = True
    assert [started["id"] for started in await page.start(photo)] == [clip["id"]]
    ended = (await page.wait_for_clips())["grandma"]
    assert (ended["stage"], ended["error"], ended["paid"]) == ("done", None, False)
    video = await page.request("GET", f"/clips/{clip['id']}", 200)
    assert await video.read() == mp4(b"fetched at last")
    assert len(stub.submits) == 1


async def forget_task(album_file: Path) -> None:
    """Remove the task of the one clip from the saved album, as an earlier version saved it."""

    def saved_clip() -> tuple[Any, Any]:
        album = json.loads(album_file.read_text())
        return album, album["clips"][0]

    album, clip = await asyncio.to_thread(saved_clip)
    while "task" not in clip:  # its end is saved after it is shown
        await asyncio.sleep(0.005)
        album, clip = await asyncio.to_thread(saved_clip)
    del clip["task"]
    await asyncio.to_thread(album_file.write_text, json.dumps(album))


async def test_the_journal_knows_what_is_paid_for_when_the_album_does_not(
    open_studio: OpenStudio, stub: LostResults, tmp_path: Path
) -> None:
    page = await open_studio(base_url=stub.base_url)
    [clip] = await page.start(await page.add_photo(png()))
    await page.wait_for_clips()
    await forget_task(tmp_path / "studio" / "album.json")
    stub.results = True
    page = await open_studio(base_url=stub.base_url)
    await page.retry(clip, expect=202)
    assert (await page.wait_for_clips())["grandma"]["stage"] == "done"
    assert len(stub.submits) == 1


@pytest.mark.slow
async def test_nothing_is_bought_while_the_journal_cannot_be_read(
    open_studio: OpenStudio, stub: LostResults, tmp_path: Path
) -> None:
    page = await open_studio(base_url=stub.base_url)
    [clip] = await page.start(await page.add_photo(png()))
    await page.wait_for_clips()
    await forget_task(tmp_path / "studio" / "album.json")
    page = await open_studio(base_url=stub.base_url)
    for journal in (tmp_path / "studio" / "journals").glob("*.journal"):
        journal.write_bytes(b"no journal")
    await page.retry(clip, expect=202)
    ended = (await page.wait_for_clips())["grandma"]
    assert ended["stage"] == "failed"
    assert "not known whether it was paid for" in ended["error"]
    assert len(stub.submits) == 1


async def test_two_retries_at_once_fetch_the_video_once(
    open_studio: OpenStudio, stub: LostResults
) -> None:
    page = await open_studio(base_url=stub.base_url)
    [clip] = await page.start(await page.add_photo(png()))
    await page.wait_for_clips()
    stub.results = True
    order = {"clips": [clip["id"]]}
    both = await asyncio.gather(
        *(page.request("POST", "/api/clips/retry", json=order) for _ in range(2))
    )
    assert sorted(response.status for response in both) == [202, 409]
    assert (await page.wait_for_clips())["grandma"]["stage"] == "done"
    assert len(stub.submits) == 1


async def test_a_task_that_has_failed_after_its_batch_is_bought_again(
    open_studio: OpenStudio, stub: LostResults
) -> None:
    page = await open_studio(base_url=stub.base_url)
    [clip] = await page.start(await page.add_photo(png()))
    assert (await page.wait_for_clips())["grandma"]["paid"]
    stub.poll_script = {
        str(stub.next_id): [lambda r: envelope(task(int(r.query["taskId"]), status=2))]
    }
    await page.retry(clip)
    assert not (await page.wait_for_clips())["grandma"]["paid"]
    stub.results = True
    await page.retry(clip)
    assert (await page.wait_for_clips())["grandma"]["stage"] == "done"
    assert len(stub.submits) == 2


async def test_a_task_that_has_failed_is_bought_again(
    open_studio: OpenStudio, stub: LostResults
) -> None:
    stub.results = True
    stub.poll_script = {
        str(stub.next_id + 1): [lambda r: envelope(task(int(r.query["taskId"]), status=2))]
    }
    page = await open_studio(base_url=stub.base_url)
    [clip] = await page.start(await page.add_photo(png()))
    ended = (await page.wait_for_clips())["grandma"]
    assert (ended["stage"], ended["paid"]) == ("failed", False)
    await page.retry(clip, expect=202)
    assert (await page.wait_for_clips())["grandma"]["stage"] == "done"
    assert len(stub.submits) == 2
