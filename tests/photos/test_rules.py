"""What the service would refuse is refused before a submit, without reading much."""

import os
from pathlib import Path

import pytest

from photoanimer_async.photos.check import inspect_photo
from photoanimer_async.photos.formats import PictureFormat
from photoanimer_async.photos.header import PictureHeader
from photoanimer_async.photos.rules import MAX_BYTES

from ..support.pictures import CASES, EVERY_FORMAT, Maker, jpeg, png, refusal, segment


@EVERY_FORMAT
@pytest.mark.parametrize("size", [(4097, 16), (16, 4097)], ids=str)
def test_more_than_4096_pixels_are_refused(
    kind: PictureFormat, make: Maker, size: tuple[int, int]
) -> None:
    text = refusal(make(*size))
    assert f"{kind.name} has {size[0]}x{size[1]} pixels" in text
    assert "at most 4096x4096" in text


@EVERY_FORMAT
def test_fewer_than_16_pixels_are_refused(kind: PictureFormat, make: Maker) -> None:
    assert "1x1 pixels; a face needs at least 16x16" in refusal(make(1, 1))


def test_4096_pixels_are_accepted() -> None:
    largest = PictureHeader(PictureFormat.PNG, 4096, 4096)
    assert inspect_photo(png(4096, 4096)) == largest


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.jpg"
    path.touch()
    assert "is empty" in refusal(path)
    assert "is empty" in refusal(b"")


def test_15_mb_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(png(640, 480))
    os.truncate(path, MAX_BYTES)
    text = refusal(path)
    assert "PNG has 15.0 MB; allowed is less than 15 MB" in text


def test_only_a_few_kilobytes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    exif = b"".join(segment(0xE1, bytes(65_000)) for _ in range(40))
    path.write_bytes(jpeg(4000, 3000, before=exif, scan=bytes(3_000_000)))
    before = _bytes_read()
    inspect_photo(path)
    assert _bytes_read() - before < 8192


@pytest.mark.parametrize("frame", [0xC2, 0xC6, 0xCA])
def test_a_jpeg_of_very_many_scans_is_refused(frame: int, tmp_path: Path) -> None:
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
