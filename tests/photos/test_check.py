"""What the service would refuse is refused before a submit, without reading much."""

import os
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from photoanimer_async.errors import InvalidPhotoError
from photoanimer_async.models import Photo
from photoanimer_async.photos.check import (
    MAX_URL_BYTES,
    check_photo,
    detect_media_format,
    inspect_photo,
    photo_digest,
)
from photoanimer_async.photos.formats import PictureFormat
from photoanimer_async.photos.header import PictureHeader
from photoanimer_async.photos.rules import MAX_BYTES

from ..support.pictures import (
    CASES,
    EVERY_FORMAT,
    Maker,
    heic,
    jpeg,
    png,
    quarters,
    refusal,
    segment,
    webp,
)


class TestLimits:
    @EVERY_FORMAT
    @pytest.mark.parametrize("size", [(4097, 16), (16, 4097)], ids=str)
    def test_more_than_4096_pixels_are_refused(
        self, kind: PictureFormat, make: Maker, size: tuple[int, int]
    ) -> None:
        text = refusal(make(*size))
        assert f"{kind.name} has {size[0]}x{size[1]} pixels" in text
        assert "at most 4096x4096" in text

    @EVERY_FORMAT
    def test_fewer_than_16_pixels_are_refused(self, kind: PictureFormat, make: Maker) -> None:
        assert "1x1 pixels; a face needs at least 16x16" in refusal(make(1, 1))

    def test_4096_pixels_are_accepted(self) -> None:
        largest = PictureHeader(PictureFormat.PNG, 4096, 4096)
        assert inspect_photo(png(4096, 4096)) == largest

    def test_an_empty_file_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "empty.jpg"
        path.touch()
        assert "is empty" in refusal(path)
        assert "is empty" in refusal(b"")

    def test_15_mb_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "large.png"
        path.write_bytes(png(640, 480))
        os.truncate(path, MAX_BYTES)
        text = refusal(path)
        assert "PNG has 15.0 MB; allowed is less than 15 MB" in text

    def test_only_a_few_kilobytes_are_read(self, tmp_path: Path) -> None:
        path = tmp_path / "large.jpg"
        exif = b"".join(segment(0xE1, bytes(65_000)) for _ in range(40))
        path.write_bytes(jpeg(4000, 3000, before=exif, scan=bytes(3_000_000)))
        before = _bytes_read()
        inspect_photo(path)
        assert _bytes_read() - before < 8192

    @pytest.mark.parametrize("frame", [0xC2, 0xC6, 0xCA])
    def test_a_jpeg_of_very_many_scans_is_refused(self, frame: int, tmp_path: Path) -> None:
        photo = (CASES / "as-mpo.jpg").read_bytes().replace(b"\xff\xc2", bytes((0xFF, frame)), 1)
        (tmp_path / "photo.jpg").write_bytes(photo)
        for each in (photo, tmp_path / "photo.jpg"):
            assert "scans, which no camera writes" in refusal(each)


def _bytes_read() -> int:
    """Bytes that this process has asked files for, as Linux counts them."""
    counters = Path("/proc/self/io")
    if not counters.exists():
        pytest.skip("only Linux counts what a process reads")
    first = counters.read_text().splitlines()[0]
    return int(first.removeprefix("rchar: "))


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
