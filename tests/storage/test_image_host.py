"""What an image host can tell about a submit whose answer was lost."""

from contextlib import nullcontext

from photoanimer_async import Evidence, LocalImageHost
from photoanimer_async.storage.default_host import DefaultImageHost
from photoanimer_async.storage.image_host import evidence_of

from ..support.pictures import png


class Mute:
    """A host of the user's own that counts nothing."""

    def publish(self, photo: object) -> nullcontext[str]:
        return nullcontext("http://h/a.jpg")


async def test_a_fetch_proves_that_the_submit_arrived() -> None:
    host = LocalImageHost()
    async with host.publish(png(64, 64)) as url:
        assert await evidence_of(host, url, within=0) is Evidence.NOT_FETCHED
        host._publications[url.rpartition("/")[2]].fetches += 1
        assert await evidence_of(host, url, within=60) is Evidence.FETCHED
    # Withdrawn: its number is not known any more, which is not the same as none.
    assert await evidence_of(host, url, within=0) is Evidence.NONE


async def test_the_default_host_tells_what_its_server_has_seen() -> None:
    host = DefaultImageHost("http://127.0.0.1:1/api/v1")
    async with host.publish(png(64, 64)) as url:
        assert await evidence_of(host, url, within=0) is Evidence.NOT_FETCHED


async def test_nothing_is_made_up_about_urls_and_hosts_that_tell_nothing() -> None:
    assert await evidence_of(LocalImageHost(), "http://h/a.jpg", within=0) is Evidence.NONE
    assert await evidence_of(Mute(), "http://h/a.jpg", within=0) is Evidence.NONE
