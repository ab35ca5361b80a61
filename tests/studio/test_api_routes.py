"""The JSON API and its event stream."""

from .conftest import SLOW, CommentRenderer, Page, png


async def test_malformed_requests_are_rejected(page: Page) -> None:
    for path in ("/api/links", "/api/clips"):
        await page.request("POST", path, 400, json={"something": "else"})
        await page.request(
            "POST", path, 400, data="{", headers={"Content-Type": "application/json"}
        )
        await page.request("POST", path, 400, data="{}")


async def test_photos_keep_the_order_in_which_the_page_added_them(page: Page) -> None:
    for at, name in ((3.5, "third"), (1.5, "first"), (2.5, "second")):
        params = {"name": f"{name}.png", "at": str(at)}
        await page.request("POST", "/api/photos", 201, params=params, data=png(name.encode()))
    photos = (await page.state())["photos"]
    ordered = sorted(photos, key=lambda photo: photo["added"])
    assert [photo["name"] for photo in ordered] == ["first", "second", "third"]
    state = await page.wait_until(lambda s: s["previews"]["of"] == ordered[0]["id"])
    assert not state["previews"]["possible"]


async def test_progress_is_sent_as_events(page: Page, renderer: CommentRenderer) -> None:
    await page.start(await page.add_photo(png(SLOW)))
    await page.wait_until(lambda state: state["clips"][0]["stage"] == "moving")
    renderer.released.set()
    await page.wait_until(lambda state: state["clips"][0]["stage"] == "done")
