"""Batches of clips: each clip is charged once, whatever happens to the studio."""

import asyncio
from pathlib import Path

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from photoanimer_async.service import LocalService, ServiceSettings

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
    await page.request("POST", f"/api/clips/{ended['mountain']['id']}/retry", 202)
    ended = await page.wait_for_clips()
    assert ended["mountain"]["stage"] == "done"
    await page.request("POST", f"/api/clips/{ended['mountain']['id']}/retry", 409)
    assert len(renderer.jobs) == 3


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
        await page.request("POST", f"/api/clips/{clip['id']}/retry", 409)
        assert submits == 1
