"""Photos are checked, or made fit, before they get a URL."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from attrs import define, field
from blockbuster import blockbuster_ctx
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
from photoanimer_async.photos.check import (
    MAX_URL_BYTES,
    check_photo,
    detect_media_format,
    inspect_photo,
    photo_digest,
)
from photoanimer_async.photos.formats import PictureFormat
from photoanimer_async.photos.header import PictureHeader

from ..support import batches
from ..support.pictures import (
    exif,
    heic,
    jpeg,
    png,
    quarters,
    refusal,
    saved,
    webp,
)
from ..support.stub_service import KEY, StubService, envelope, quick_client


class TestUrls:
    @pytest.mark.parametrize(
        "url",
        [
            "https://example.com/a.jpg?X-Signature=%2F+#x",
            "HTTP://[::1]:8080/ü b.png",
            "http://example.com/" + "a" * (MAX_URL_BYTES - 19),
        ],
        ids=range(3),
    )
    def test_valid_urls_are_accepted_and_not_fetched(self, url: str) -> None:
        assert inspect_photo(url) is None

    @pytest.mark.parametrize(
        ("url", "named"),
        [
            ("http://example.com/" + "a" * (MAX_URL_BYTES - 18), "4097 bytes; at most 4096"),
            ("http:///a.jpg", "has no host"),
            ("http://example.com/a\nb.jpg", "control characters"),
            ("http://example.com:port/", "malformed"),
            ("http://[::1/", "malformed"),
            ("http://example.com/\ud800", "malformed"),
            ("https://me:secret@example.com/a.jpg", "user name"),
        ],
        ids=range(7),
    )
    def test_urls_that_cannot_be_fetched_are_refused(self, url: str, named: str) -> None:
        text = refusal(url)
        assert named in text
        assert "secret" not in text

    def test_a_refusal_omits_the_query(self) -> None:
        assert "token" not in refusal("http://me@example.com/a.jpg?token=1")


async def test_check_photo_does_not_block_the_loop(tmp_path: Path) -> None:
    path = tmp_path / "photo.webp"
    path.write_bytes(webp(64, 48))
    with blockbuster_ctx():
        assert await check_photo(path) == PictureHeader(PictureFormat.WEBP, 64, 48)
        assert await check_photo(jpeg(64, 48)) == PictureHeader(PictureFormat.JPEG, 64, 48)
        assert await check_photo("https://example.com/a.jpg") is None
        with pytest.raises(InvalidPhotoError):
            await check_photo(tmp_path)


class TestDigest:
    async def test_content_counts_and_not_the_name(self, tmp_path: Path) -> None:
        path = tmp_path / "photo.png"
        path.write_bytes(png(64, 48))
        assert await photo_digest(path) == await photo_digest(png(64, 48))
        assert await photo_digest(path) != await photo_digest(png(48, 64))

    async def test_a_url_counts_by_its_text(self) -> None:
        first, second = "http://h/a.jpg?v=1", "http://h/a.jpg?v=2"
        assert await photo_digest(first) == await photo_digest(first)
        assert await photo_digest(first) != await photo_digest(second)

    async def test_only_photos_to_be_prepared_may_have_other_formats(self) -> None:
        photo = heic(quarters())
        assert await photo_digest(photo, prepare=True)
        with pytest.raises(InvalidPhotoError, match="is a HEIC"):
            await photo_digest(photo)


def test_a_file_that_has_changed_is_inspected_again(tmp_path: Path) -> None:
    photo = tmp_path / "a.png"
    photo.write_bytes(png(64, 64))
    for _ in range(2):
        assert inspect_photo(photo) == PictureHeader(PictureFormat.PNG, 64, 64)
    photo.write_bytes(png(65, 64))
    assert inspect_photo(photo) == PictureHeader(PictureFormat.PNG, 65, 64)
    photo.write_bytes(b"text")
    with pytest.raises(InvalidPhotoError, match="is text"):
        inspect_photo(photo)


class TestMediaFormat:
    def test_photos_and_voices_are_recognized(self, tmp_path: Path) -> None:
        voice = tmp_path / "voice.mp3"
        voice.write_bytes(b"ID3" + bytes(100))
        assert detect_media_format(png(64, 64)).suffix == ".png"
        assert detect_media_format(voice).suffix == ".mp3"

    @pytest.mark.parametrize(
        ("photo", "reason"),
        [(b"text", "is text"), ("https://example.com/a.jpg", "has a URL already")],
    )
    def test_anything_else_is_refused(self, photo: Photo, reason: str) -> None:
        with pytest.raises(InvalidPhotoError, match=reason):
            detect_media_format(photo)


# --- what photos of a call or batch go through ---


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
