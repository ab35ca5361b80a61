"""Stopping clips: what waits is withdrawn, what was submitted is cancelled where possible."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from photoanimer_async.studio.album import Album
from photoanimer_async.studio.studio_folder import AlbumFile

from ..support.stub_service import StubService, envelope, serving, task
from ..support.videos import mp4
from .conftest import SLOW, CommentRenderer, OpenStudio, Page, png


async def start_slowly(page: Page, count: int) -> list[Any]:
    """Start clips of which the service has one, which does not end."""
    photos = [await page.add_photo(png(SLOW + b"%d" % i), f"{i}.png") for i in range(count)]
    await page.start(*photos)
    state = await page.wait_until(lambda s: any(c["stage"] == "moving" for c in s["clips"]))
    return list(state["clips"])


def by_stage(clips: list[Any], stage: str) -> list[Any]:
    return [clip for clip in clips if clip["stage"] == stage]


async def test_a_waiting_clip_is_withdrawn_and_its_photo_selected_again(
    open_studio: OpenStudio, renderer: CommentRenderer
) -> None:
    page = await open_studio(in_flight=1)
    clips = await start_slowly(page, 3)
    waiting = by_stage(clips, "waiting")
    assert len(waiting) == 2

    assert await page.stop(waiting[0]) == {"stopped": 1, "paid": 0}

    state = await page.state()
    assert {clip["id"] for clip in state["clips"]} == {c["id"] for c in clips} - {waiting[0]["id"]}
    assert [p["id"] for p in state["photos"] if p["waiting"]] == [waiting[0]["photo"]]
    renderer.released.set()
    assert {clip["stage"] for clip in (await page.wait_for_clips()).values()} == {"done"}
    assert len(renderer.jobs) == 2


async def test_all_clips_are_stopped_and_can_be_started_again(
    open_studio: OpenStudio, renderer: CommentRenderer
) -> None:
    page = await open_studio(in_flight=2)
    clips = await start_slowly(page, 4)

    assert await page.stop(*clips) == {"stopped": 4, "paid": 0}

    state = await page.wait_until(lambda s: not s["clips"])
    assert all(photo["waiting"] for photo in state["photos"])
    renderer.released.set()
    assert len(await page.start(*state["photos"])) == 4
    assert {clip["stage"] for clip in (await page.wait_for_clips()).values()} == {"done"}


async def test_what_ends_while_it_is_stopped_is_kept(page: Page, renderer: CommentRenderer) -> None:
    clips = await start_slowly(page, 2)
    renderer.released.set()
    await page.wait_for_clips()
    assert await page.stop(*clips) == {"stopped": 0, "paid": 0}
    assert {clip["stage"] for clip in (await page.state())["clips"]} == {"done"}


async def test_what_was_to_be_stopped_is_not_submitted_after_a_restart(
    open_studio: OpenStudio, renderer: CommentRenderer
) -> None:
    page = await open_studio(in_flight=1)
    clips = await start_slowly(page, 3)
    running = asyncio.create_task(page.stop(*clips))
    await page.wait_until(lambda s: any(c["stopping"] for c in s["clips"]) or not s["clips"])
    running.cancel()
    await asyncio.wait([running])
    page = await open_studio(in_flight=1)
    await page.wait_until(lambda s: not s["clips"])
    assert len(renderer.jobs) == 1


async def test_a_service_that_cannot_cancel_goes_on_with_what_is_paid_for(
    open_studio: OpenStudio,
) -> None:
    stub, is_done = StubService(), asyncio.Event()

    async def answer(request: Any) -> Any:
        if request.path.startswith("/api/"):
            return await stub.answer(request)
        return envelope(status=404) if request.path == "/openapi.json" else mp4_response()

    async with serving(answer) as origin:
        link = f"{origin}/result.mp4"
        stub.finished = lambda request: envelope(
            task(int(request.query["taskId"]), int(is_done.is_set()), resultUrl=link)
        )
        page = await open_studio(base_url=f"{origin}/api/v1", in_flight=1)
        assert not (await page.state())["account"]["cancels"]
        clips = await start_slowly(page, 3)

        assert await page.stop(*clips) == {"stopped": 2, "paid": 1}

        [paid] = (await page.state())["clips"]
        assert (paid["stage"], paid["paid"], paid["stopping"]) == ("moving", True, False)
        is_done.set()
        [ended] = (await page.wait_for_clips()).values()
        assert ended["stage"] == "done"
        assert len(stub.submits) == 1


def mp4_response() -> Any:

    return web.Response(body=mp4(b"the video"), content_type="video/mp4")


async def test_a_clip_that_is_stopped_while_it_is_being_started_is_removed(
    page: Page, renderer: CommentRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    saving, go_on = asyncio.Event(), asyncio.Event()
    save = AlbumFile.save

    async def save_slowly(file: AlbumFile, album: Album) -> None:
        if not saving.is_set():
            saving.set()
            await go_on.wait()
        await save(file, album)

    photo = await page.add_photo(png(SLOW))
    monkeypatch.setattr(AlbumFile, "save", save_slowly)
    starting = asyncio.create_task(page.start(photo))
    await saving.wait()
    [clip] = (await page.state())["clips"]
    stopping = asyncio.create_task(page.stop(clip))
    go_on.set()
    await starting
    assert await stopping == {"stopped": 1, "paid": 0}
    await page.wait_until(lambda state: not state["clips"])
    renderer.released.set()
    await page.start(photo)
    assert (await page.wait_for_clips())["grandma"]["stage"] == "done"
