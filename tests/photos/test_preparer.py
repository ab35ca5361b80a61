"""Photos are checked, or made fit, before they get a URL."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from attrs import define, field
from PIL import Image

from photoanimer_async import (
    HostingError,
    InvalidPhotoError,
    LocalImageHost,
    Outcome,
    Photo,
    PhotoAnimerClient,
    PreparationError,
)
from photoanimer_async.photos.check import check_photo, photo_digest
from photoanimer_async.photos.formats import PictureFormat
from photoanimer_async.photos.header import PictureHeader

from ..support import batches
from ..support.pictures import exif, heic, png, quarters, saved
from ..support.stub_service import KEY, StubService, envelope, quick_client


@define
class InspectingHost:
    """Publishes photos on loopback, and remembers what they were."""

    seen: list[PictureHeader | None] = field(factory=list)
    local: LocalImageHost = field(factory=LocalImageHost)

    @asynccontextmanager
    async def publish(self, photo: Photo) -> AsyncIterator[str]:
        self.seen.append(await check_photo(photo))
        async with self.local.publish(photo) as url:
            yield url


async def outcomes_of(
    client: PhotoAnimerClient, photos: list[Photo], **how: object
) -> list[Outcome]:
    """Return the outcomes in the order of the photos."""
    outcomes = await batches.outcomes_of(client, photos, **how)
    return sorted(outcomes, key=lambda outcome: outcome.index)


@pytest.fixture
def turned(tmp_path: Path) -> Path:
    """A photo that lies on its side."""
    path = tmp_path / "turned.jpg"
    path.write_bytes(saved(quarters(), "JPEG", exif=exif(6)))
    return path


class TestPrepare:
    async def test_it_is_an_option(self, stub: StubService, turned: Path) -> None:
        host = InspectingHost()
        async with quick_client(stub.base_url, host=host) as client:
            await client.animate(turned)
            await client.animate(turned, prepare=True)
            await client.animate(heic(quarters()), prepare=True)
            with pytest.raises(InvalidPhotoError, match=r"is a HEIC.*prepare=True"):
                await client.animate(heic(quarters()))
        assert host.seen == [
            PictureHeader(PictureFormat.JPEG, 64, 32),
            PictureHeader(PictureFormat.JPEG, 32, 64),
            PictureHeader(PictureFormat.JPEG, 64, 32),
        ]

    async def test_urls_are_not_prepared(
        self, client: PhotoAnimerClient, stub: StubService
    ) -> None:
        await client.animate("http://127.0.0.1:9/a.heic", prepare=True)
        assert stub.submits[0].query["imageUrl"] == "http://127.0.0.1:9/a.heic"

    async def test_a_photo_is_identified_by_its_original(
        self, client: PhotoAnimerClient, stub: StubService, turned: Path, tmp_path: Path
    ) -> None:
        photos: list[Photo] = [turned, heic(quarters())]
        journal = tmp_path / "batch.db"
        for prepare in (True, True, False):
            outcomes = await outcomes_of(client, photos, journal=journal, prepare=prepare)
            assert outcomes[0].ok
        assert len(stub.submits) == 2
        assert await photo_digest(turned) == await photo_digest(turned, prepare=True)

    async def test_equal_originals_are_paid_for_once(
        self, client: PhotoAnimerClient, stub: StubService
    ) -> None:
        photo = heic(quarters())
        outcomes = await outcomes_of(client, [photo, photo], prepare=True, deduplicate=True)
        assert [outcome.ok for outcome in outcomes] == [True, True]
        assert len(stub.submits) == 1

    async def test_a_prepared_batch_can_be_resumed(
        self, stub: StubService, turned: Path, tmp_path: Path
    ) -> None:
        photo = tmp_path / "me.tif"
        photo.write_bytes(saved(quarters(), "TIFF"))
        stub.submit_script = [lambda _: envelope(code=4001, msg="Insufficient credits")]
        journal = tmp_path / "batch.db"
        host = InspectingHost()
        async with quick_client(stub.base_url, host=host) as client:
            with pytest.raises(Exception, match="Insufficient credits"):
                await outcomes_of(client, [photo], journal=journal, prepare=True)
            outcomes = [o async for o in client.resume(journal, prepare=True)]
        assert [outcome.ok for outcome in outcomes] == [True]
        assert host.seen == [PictureHeader(PictureFormat.JPEG, 64, 32)] * 2

    async def test_without_a_decoder_the_photo_stays_planned(
        self,
        client: PhotoAnimerClient,
        stub: StubService,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        photo = heic(quarters())
        journal = tmp_path / "batch.db"
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "pillow_heif", None)
            [outcome] = await outcomes_of(client, [photo], journal=journal, prepare=True)
        assert isinstance(outcome.error, PreparationError)
        [outcome] = await outcomes_of(client, [photo], journal=journal, prepare=True)
        assert outcome.ok

    async def test_a_hosting_error_names_the_original(self, turned: Path) -> None:
        async with PhotoAnimerClient(KEY, base_url="http://service.example/api/v1") as client:
            with pytest.raises(HostingError) as caught:
                await client.animate(turned, prepare=True)
        assert str(caught.value).startswith(f"{turned}: ")


class TestHostile:
    @pytest.mark.parametrize("prepare", [False, True])
    async def test_each_has_an_error_and_the_batch_continues(
        self, client: PhotoAnimerClient, tmp_path: Path, prepare: bool
    ) -> None:
        odd = (b"two\nlines.jpg", b"quote'\".jpg", "emoji 👵🏽.jpg".encode(), b"latin \xe9.jpg")
        contents: dict[str, bytes] = {
            "bomb.png": png(60_000, 60_000),
            "polyglot.jpg": saved(quarters(), "JPEG") + b"PK\x05\x06" + bytes(18),
            "dot.png": saved(Image.new("L", (1, 1)), "PNG"),
            "empty.jpg": b"",
            **{os.fsdecode(name): b"no photo" for name in odd},
        }
        for name, content in contents.items():
            (tmp_path / name).write_bytes(content)
        os.mkfifo(tmp_path / "pipe.jpg")
        (tmp_path / "loop.jpg").symlink_to("loop.jpg")
        (tmp_path / "folder.jpg").mkdir()
        hostile: list[Photo] = [tmp_path / name for name in contents]
        hostile += [tmp_path / "pipe.jpg", tmp_path / "loop.jpg", tmp_path / "folder.jpg"]
        hostile += ["/dev/zero", "/dev/null", tmp_path / "gone.jpg", "a\0b.jpg"]
        outcomes = await outcomes_of(client, [*hostile, png(64, 64)], prepare=prepare)
        assert outcomes.pop().ok
        assert [type(outcome.error) for outcome in outcomes] == [InvalidPhotoError] * len(hostile)
        assert all(str(outcome.error).isprintable() for outcome in outcomes)

    async def test_odd_file_names_are_fine(self, client: PhotoAnimerClient, tmp_path: Path) -> None:
        photos: list[Photo] = []
        for name in (b"two\nlines.jpg", b"'\".jpg", "👵🏽.jpg".encode(), b"\xe9.jpg", b"-.jpg"):
            path = tmp_path / os.fsdecode(name)
            path.write_bytes(saved(quarters(), "JPEG", exif=exif(6)))
            photos.append(path)
        journal = tmp_path / "batch.db"
        outcomes = await outcomes_of(client, photos, prepare=True, journal=journal)
        assert all(outcome.ok for outcome in outcomes)

    async def test_4097_pixels_need_preparation(self, client: PhotoAnimerClient) -> None:
        photo = saved(Image.new("L", (4097, 64)), "PNG")
        [refused] = await outcomes_of(client, [photo])
        assert "4097x64 pixels; at most 4096x4096" in str(refused.error)
        [taken] = await outcomes_of(client, [photo], prepare=True)
        assert taken.ok

    async def test_an_unreadable_file_is_refused(
        self, client: PhotoAnimerClient, tmp_path: Path
    ) -> None:
        path = tmp_path / "secret.jpg"
        path.write_bytes(png(64, 64))
        path.chmod(0)
        if os.access(path, os.R_OK):
            pytest.skip("root may read everything")
        [outcome] = await outcomes_of(client, [path])
        assert "cannot be read: Permission denied" in str(outcome.error)
