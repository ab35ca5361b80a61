"""The image host of a client, chosen or not."""

import aiohttp
import pytest

from photoanimer_async import HostingError, InvalidRequestError, LocalImageHost, PhotoAnimerClient
from photoanimer_async.storage.default_host import chosen_host

from ..support.pictures import png

PHOTO = png(64, 64)


@pytest.mark.parametrize(
    "base_url",
    ["http://127.0.0.1:8000/api/v1", "http://localhost/", "http://a.localhost", "http://[::1]:1"],
)
async def test_photos_are_served_to_a_service_on_this_machine(
    session: aiohttp.ClientSession, base_url: str
) -> None:
    host = chosen_host(None, base_url)
    assert isinstance(host, LocalImageHost)
    async with host.publish(PHOTO) as url, session.get(url) as response:
        assert await response.read() == PHOTO
        assert host.fetches(url) == 1


@pytest.mark.parametrize("base_url", ["https://www.cutout.pro/api/v1", "http://10.0.0.1"])
async def test_for_any_other_service_the_error_lists_the_alternatives(base_url: str) -> None:
    url, store, service = "public URL", "PHOTOANIMER_HOST=s3://.* --host or host=", "--local"
    with pytest.raises(HostingError, match=f"{url}.*{store}.*LocalImageHost.*{service}"):
        chosen_host(None, base_url).publish(PHOTO)


def test_an_argument_takes_precedence_over_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base_url = "http://127.0.0.1/api/v1"
    assert isinstance(chosen_host(None, base_url), LocalImageHost)
    monkeypatch.setenv("PHOTOANIMER_HOST", "s3://from-the-environment")
    assert repr(chosen_host(None, base_url)) == "ObjectStoreHost('s3://from-the-environment')"
    assert repr(chosen_host("gs://given", base_url)) == "ObjectStoreHost('gs://given')"
    own = LocalImageHost()
    assert chosen_host(own, base_url) is own


def test_an_invalid_choice_is_refused_when_the_client_is_created(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PHOTOANIMER_HOST", "photos")
    with pytest.raises(InvalidRequestError, match="the image host is 'photos'"):
        PhotoAnimerClient("key")
