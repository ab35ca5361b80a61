"""Metadata is removed from picture files; the pixels stay as they are."""

import io
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from photoanimer_async.photos.formats import PictureFormat
from photoanimer_async.photos.header import PictureFlawError
from photoanimer_async.photos.metadata import strip_metadata

from ..support.pictures import PROFILE, SECRETS, pixels, shot

FORMATS = pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])


@FORMATS
def test_pixels_and_colour_profile_stay(kind: str) -> None:
    before = shot(kind)
    after = strip_metadata(before, PictureFormat[kind])
    assert pixels(after) == pixels(before)
    with Image.open(io.BytesIO(after)) as image:
        assert image.info["icc_profile"] == PROFILE


@FORMATS
def test_metadata_is_removed(kind: str) -> None:
    before = shot(kind)
    assert any(secret in before for secret in SECRETS)
    after = strip_metadata(before, PictureFormat[kind])
    assert [secret for secret in SECRETS if secret in after] == []
    with Image.open(io.BytesIO(after)) as image:
        assert dict(image.getexif()) == {}


@FORMATS
def test_a_file_without_metadata_is_unchanged(kind: str) -> None:
    plain = strip_metadata(shot(kind), PictureFormat[kind])
    assert strip_metadata(plain, PictureFormat[kind]) == plain


def test_a_bmp_is_unchanged() -> None:
    bitmap = shot("BMP")
    assert strip_metadata(bitmap, PictureFormat.BMP) is bitmap


@pytest.mark.parametrize("trailer", [b"a video", b"\xff\xd8\xff\xe1 a second picture"])
def test_data_after_the_picture_is_removed(trailer: bytes) -> None:
    plain = strip_metadata(shot("JPEG"), PictureFormat.JPEG)
    assert strip_metadata(plain + trailer, PictureFormat.JPEG) == plain


def test_all_scans_of_a_progressive_jpeg_stay() -> None:
    before = shot("JPEG", progressive=True)
    assert before.count(b"\xff\xda") > 2
    assert pixels(strip_metadata(before, PictureFormat.JPEG)) == pixels(before)


def test_thumbnail_and_other_segments_of_a_jpeg_are_removed() -> None:
    plain = strip_metadata(shot("JPEG"), PictureFormat.JPEG)
    thumbnail = b"JFIF\0\1\2\0\0\1\0\1\1\1" + b"\x07\x08\x09"
    jfif = b"\xff\xe0" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    iptc = b"\xff\xed" + struct.pack(">H", 17) + b"keyword of IPTC"
    rest = plain[2 + 18 :]
    after = strip_metadata(b"\xff\xd8" + jfif + iptc + b"\xff" + rest, PictureFormat.JPEG)
    assert pixels(after) == pixels(plain)
    assert b"\x07\x08\x09" not in after[:40]
    assert b"keyword" not in after


def test_the_adobe_segment_stays() -> None:
    file = io.BytesIO()
    Image.new("CMYK", (32, 32), (10, 200, 30, 0)).save(file, "JPEG")
    before = file.getvalue()
    assert b"Adobe" in before
    assert pixels(strip_metadata(before, PictureFormat.JPEG)) == pixels(before)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_cut_off_file_is_refused(kind: str) -> None:
    with pytest.raises(PictureFlawError, match="damaged"):
        strip_metadata(shot(kind)[:-20], PictureFormat[kind])


PICTURES = [(PictureFormat[kind], shot(kind)) for kind in ("JPEG", "PNG", "WEBP")]


@given(st.sampled_from(PICTURES), st.data())
def test_any_damage_gives_a_file_or_an_error(
    picture: tuple[PictureFormat, bytes], data: st.DataObject
) -> None:
    kind, content = picture
    damaged = bytearray(content)
    places = st.tuples(st.integers(12, 400), st.integers(0, 255))
    for place, value in data.draw(st.lists(places, min_size=1, max_size=6)):
        damaged[place] = value
    with suppress(PictureFlawError):
        assert strip_metadata(bytes(damaged), kind)[:2] == content[:2]
