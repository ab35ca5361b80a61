"""What a double fetches and renders."""

import pytest

from photoanimer_async import RefusedRequestError
from photoanimer_async.engine.samples import ASTRONAUT
from photoanimer_async.service.fetching.received_file import ReceivedFile
from photoanimer_async.testing import PhotoAnimerServer
from photoanimer_async.testing.fakes import LoopbackFetcher


async def test_a_photo_on_this_machine_is_fetched(server: PhotoAnimerServer) -> None:
    async with server.client() as client:
        await client.animate(ASTRONAUT.read_bytes(), template=2)
        with pytest.raises(RefusedRequestError, match=r"imageUrl .* could not be fetched"):
            await client.submit("http://127.0.0.1:9/me.jpg", template=2)


class RecordingFetcher:
    def __init__(self) -> None:
        self.urls: list[str] = []

    async def fetch(self, url: str, *, size_limit: int, accept: str) -> ReceivedFile:
        self.urls.append(url)
        return ReceivedFile.of(b"")


@pytest.mark.parametrize(
    ("url", "is_fetched"),
    [
        ("http://127.0.0.1:9/a.jpg", True),
        ("http://[::1]/a.jpg", True),
        ("http://localhost/a.jpg", True),
        ("https://example.com/a.jpg", False),
        ("http://10.0.0.1/a.jpg", False),
        ("ftp://example.com/a.jpg", True),  # the real fetcher refuses it
        ("http://[", True),
    ],
)
async def test_nothing_is_fetched_from_other_machines(url: str, *, is_fetched: bool) -> None:
    recorded = RecordingFetcher()
    file = await LoopbackFetcher(recorded).fetch(url, size_limit=1000, accept="image/*")
    assert recorded.urls == ([url] if is_fetched else [])
    assert file.read().startswith(b"" if is_fetched else b"\x89PNG")
    file.close()
