"""From photos to clips: each paid for once, whatever happens to the studio."""

import asyncio
import io
import zipfile
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from photoanimer_async import PhotoAnimerClient, PhotoAnimerError
from photoanimer_async.service import LocalService, ServiceSettings
from photoanimer_async.studio import Studio, StudioSettings
from photoanimer_async.studio.expression_names import EXPRESSIONS

from .conftest import FACELESS, SLOW, CommentRenderer, Open, Page, png
from .test_uploads import WAV


async def test_photos_come_to_life(page: Page, renderer: CommentRenderer) -> None:
    photos = [await page.add(png(b"%d" % i), f"{i}.png") for i in range(3)]
    clips = await page.start(*photos, template=5)
    assert [clip["cost"] for clip in clips] == [3.75] * 3
    ended = await page.settled()
    assert {clip["stage"] for clip in ended.values()} == {"done"}
    video = await page.ask("GET", f"/clips/{ended['1']['id']}", 200)
    assert await video.read() == b"video of template 5"
    assert video.content_type == "video/mp4"
    assert not any(photo["waiting"] for photo in (await page.state())["photos"])
    assert len(renderer.jobs) == 3


async def test_a_video_is_sent_in_ranges_as_players_ask_for_it(page: Page) -> None:
    [clip] = await page.start(await page.add(png()))
    await page.settled()
    part = await page.ask("GET", f"/clips/{clip['id']}", 206, headers={"Range": "bytes=6-7"})
    assert await part.read() == b"of"


async def test_progress_is_told_while_it_happens(page: Page, renderer: CommentRenderer) -> None:
    await page.start(await page.add(png(SLOW)))
    await page.when(lambda state: state["clips"][0]["stage"] == "moving")
    renderer.released.set()
    await page.when(lambda state: state["clips"][0]["stage"] == "done")


async def test_one_failure_touches_no_other_and_can_be_tried_again(
    page: Page, renderer: CommentRenderer
) -> None:
    mountain = await page.add(png(FACELESS), "mountain.png")
    await page.start(mountain, await page.add(png(), "grandma.png"))
    ended = await page.settled()
    assert ended["grandma"]["stage"] == "done"
    assert ended["mountain"]["stage"] == "failed"
    assert ended["mountain"]["error"] == "No person's face was found."
    renderer.faces = True
    await page.ask("POST", f"/api/clips/{ended['mountain']['id']}/retry", 202)
    ended = await page.settled()
    assert ended["mountain"]["stage"] == "done"
    await page.ask("POST", f"/api/clips/{ended['mountain']['id']}/retry", 409)
    assert len(renderer.jobs) == 3


async def test_what_is_there_or_on_its_way_is_not_paid_for_again(
    page: Page, renderer: CommentRenderer
) -> None:
    photo = await page.add(png(SLOW))
    both = await asyncio.gather(page.start(photo), page.start(photo))
    assert sorted(map(len, both)) == [0, 1]
    assert await page.start(photo) == []
    renderer.released.set()
    await page.settled()
    assert await page.start(photo) == []
    [other] = await page.start(photo, template=3)
    assert other["template"] == 3
    await page.settled()
    assert len(renderer.jobs) == 2


async def test_a_voice_goes_along(page: Page, renderer: CommentRenderer) -> None:
    query = {"name": "hello.wav", "seconds": "4.25"}
    await page.ask("PUT", "/api/voice", 201, params=query, data=WAV)
    photo = await page.add(png())
    [clip] = await page.start(photo, template=0, voice=True)
    assert clip["cost"] == 4.25
    assert clip["voice"] == "hello"
    ended = await page.settled()
    assert ended["grandma"]["stage"] == "done", ended
    [job] = renderer.jobs
    assert job.voice is not None
    order = {"photos": [photo["id"]], "template": 1, "voice": True}
    answer = await page.ask("POST", "/api/clips", 400, json=order)
    assert (await answer.json())["error"] == "A voice goes with talking only."


async def test_a_studio_that_is_closed_and_opened_goes_on(
    open_studio: Open, renderer: CommentRenderer
) -> None:
    page = await open_studio()
    query = {"name": "hello.wav", "seconds": "4.25"}
    await page.ask("PUT", "/api/voice", 201, params=query, data=WAV)
    slow, quick = await page.add(png(SLOW), "slow.png"), await page.add(png(), "quick.png")
    waiting = await page.add(png(b"later"), "later.png")
    await page.start(slow, quick)
    await page.start(slow, template=0, voice=True)
    await page.when(
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
    ends = await again.settled()
    assert {clip["stage"] for clip in ends.values()} == {"done"}
    assert len(renderer.jobs) == 3
    await again.start(waiting)
    await again.settled()
    assert len(renderer.jobs) == 4


async def test_what_the_account_has_is_told(page: Page) -> None:
    state = await page.when(lambda s: s["account"]["seconds"] is not None)
    assert state["account"] == {"service": None, "seconds": 123.5, "error": None}


async def test_what_the_balance_does_not_allow_is_told_and_the_rest_goes_on(
    open_studio: Open, renderer: CommentRenderer, tmp_path: Path
) -> None:
    poor = ServiceSettings(data_dir=tmp_path / "poor", port=0, video_balance=3)
    async with LocalService(poor, renderer=renderer) as service:
        page = await open_studio(base_url=service.base_url)
        photo = await page.add(png())
        await page.start(photo, template=1)
        ended = await page.settled()
        assert ended["grandma"]["stage"] == "failed"
        assert "video seconds" in ended["grandma"]["error"]
        [affordable] = await page.start(photo, template=2)
        state = await page.when(
            lambda s: {c["id"]: c["stage"] for c in s["clips"]}[affordable["id"]] == "done"
        )
        assert state["account"]["seconds"] == 3


async def test_a_lost_answer_is_told_and_not_asked_for_again_once_it_was_taken(
    open_studio: Open,
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
        photo = await page.add(png())
        await page.start(photo)
        clip = (await page.settled())["grandma"]
        assert clip["stage"] == "unclear"
        assert "look at your account" in clip["error"]
        assert not clip["repeatable"]
        assert await page.start(photo) == []
        await page.ask("POST", f"/api/clips/{clip['id']}/retry", 409)
        assert submits == 1


async def test_a_clip_can_be_removed_when_it_has_ended(
    page: Page, renderer: CommentRenderer, tmp_path: Path
) -> None:
    [clip] = await page.start(await page.add(png(SLOW)))
    answer = await page.ask("DELETE", f"/api/clips/{clip['id']}", 409)
    assert "has been paid for" in (await answer.json())["error"]
    renderer.released.set()
    await page.settled()
    await page.ask("DELETE", f"/api/clips/{clip['id']}", 204)
    state = await page.state()
    assert state["clips"] == state["photos"] == []
    for place in ("videos", "photos"):
        assert list((tmp_path / "studio" / place).iterdir()) == []
    await page.ask("GET", f"/clips/{clip['id']}", 404)


async def test_a_photo_can_wait_once_more(page: Page) -> None:
    photo = await page.add(png())
    await page.start(photo)
    await page.settled()
    await page.ask("PUT", f"/api/photos/{photo['id']}/waiting", 204)
    assert (await page.state())["photos"][0]["waiting"]
    await page.ask("DELETE", f"/api/photos/{photo['id']}/waiting", 204)
    [kept] = (await page.state())["photos"]
    assert not kept["waiting"]


async def test_videos_are_downloaded_one_by_one_or_all_in_a_zip(page: Page) -> None:
    same_name = [await page.add(png(b"%d" % i), "Änne: 1954.png") for i in range(2)]
    clips = await page.start(*same_name)
    await page.settled()
    one = await page.ask("GET", f"/clips/{clips[0]['id']}/download", 200)
    assert one.content_disposition is not None
    assert one.content_disposition.filename == "Änne_ 1954 - A wink.mp4"
    packed = await page.ask("GET", "/album.zip", 200)
    with zipfile.ZipFile(io.BytesIO(await packed.read())) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["Änne_ 1954 - A wink.mp4", "Änne_ 1954 - A wink-2.mp4"]
        assert archive.read(archive.namelist()[1]) == b"video of template 2"


async def test_one_studio_is_at_work_in_a_folder(
    page: Page, open_studio: Open, tmp_path: Path
) -> None:
    client = PhotoAnimerClient("any", base_url="http://127.0.0.1:9/api/v1")
    settings = StudioSettings(data_dir=tmp_path / "studio", use_engine=False)
    with pytest.raises(PhotoAnimerError, match="another studio is at work in it"):
        async with Studio(client, settings):
            pytest.fail("it was opened")


async def test_an_album_that_is_damaged_is_left_as_it_is(open_studio: Open, tmp_path: Path) -> None:
    album = tmp_path / "studio" / "album.json"
    album.parent.mkdir()
    album.write_text('{"version": 1, "photographs": [')
    with pytest.raises(PhotoAnimerError, match=r"album\.json: is no album, or is damaged"):
        await open_studio()
    assert album.read_text() == '{"version": 1, "photographs": ['


def test_the_expressions_are_called_what_the_engine_calls_them() -> None:
    from photoanimer_async.engine.expressions import expression  # noqa: PLC0415 - is heavy

    for template, text in EXPRESSIONS.items():
        ours = expression(template.value)
        assert (text.title, text.description) == (ours.title, ours.description)
