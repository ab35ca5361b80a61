"""Formats are detected from the content of a file."""

from io import BytesIO
from pathlib import Path

import pytest

from photoanimer_async.photos.check import inspect_photo
from photoanimer_async.photos.formats import PictureFormat, describe_content, second_kind
from photoanimer_async.photos.header import PictureHeader

from ..support.pictures import EVERY_FORMAT, Maker, png, refusal


@EVERY_FORMAT
def test_the_content_counts_and_not_the_name(
    kind: PictureFormat, make: Maker, tmp_path: Path
) -> None:
    path = tmp_path / "photo.txt"
    path.write_bytes(make(320, 200))
    assert inspect_photo(path) == PictureHeader(kind, 320, 200)
    assert inspect_photo(str(path)) == inspect_photo(path.read_bytes())


def test_mime_types_and_suffixes() -> None:
    assert [f.content_type for f in PictureFormat] == [
        "image/png", "image/jpeg", "image/bmp", "image/webp"
    ]  # fmt: skip
    assert [f.suffix for f in PictureFormat] == [".png", ".jpg", ".bmp", ".webp"]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"hello, I am a text\n", "is text"),
        (b"BMW is a maker of cars, and begins as a bitmap does", "is text"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html><title>404</title>", "is an HTML page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is an SVG"),
        (b"GIF89a\1\0\1\0", "is a GIF"),
        (b"II*\0\x08\0\0\0", "is a TIFF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "is a HEIC"),
        (b"\0\0\0\x18ftypavif\0\0\0\0", "is an AVIF"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "is a video"),
        (b"%PDF-1.7\n", "is a PDF"),
        (b"PK\x03\x04\x14\0", "is a ZIP archive"),
        (b"\0\1\2\3\xfe", "of an unknown kind (it begins with 00 01 02 03)"),
    ],
)
def test_a_refusal_says_what_the_file_is(content: bytes, named: str, tmp_path: Path) -> None:
    path = tmp_path / "portrait.jpg"
    path.write_bytes(content)
    text = refusal(path)
    assert named in text
    assert "portrait.jpg" in text
    assert "PNG, JPEG, BMP and WEBP" in text


@pytest.mark.parametrize(
    ("content", "second"),
    [
        (png(64, 48), None),
        (png(64, 48) + b"PK\x05\x06" + bytes(18), "a ZIP archive"),
        (b"\xff\xd8\xff\xfe\0\x0b%PDF-1.4\n", "a PDF"),
    ],
    ids=["png", "zip", "pdf"],
)
def test_a_polyglot_is_detected(content: bytes, second: str | None) -> None:
    assert second_kind(BytesIO(content), len(content)) == second


def test_empty_content_is_described() -> None:
    assert describe_content(BytesIO()) == "empty"
