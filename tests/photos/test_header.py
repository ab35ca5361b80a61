"""Headers are read, and incomplete pictures detected, from a few KiB of a file."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async.errors import InvalidPhotoError
from photoanimer_async.photos.check import inspect_photo
from photoanimer_async.photos.formats import PictureFormat
from photoanimer_async.photos.header import PictureFlawError, PictureHeader, read_header

from ..support.pictures import (
    EVERY_FORMAT,
    MAKERS,
    Maker,
    bmp,
    jpeg,
    png,
    refusal,
    riff,
    segment,
    webp,
)


@EVERY_FORMAT
def test_a_file_without_its_end_is_refused(kind: PictureFormat, make: Maker) -> None:
    assert "cut off" in refusal(make(320, 200)[:-3])


@EVERY_FORMAT
def test_a_file_cut_off_anywhere_is_refused(kind: PictureFormat, make: Maker) -> None:
    whole = make(32, 16)
    for size in range(len(whole)):
        refusal(whole[:size])


class TestJpeg:
    @pytest.mark.parametrize("frame", [0xC0, 0xC1, 0xC2, 0xC9])
    def test_every_kind_of_frame_is_read(self, frame: int) -> None:
        assert read_header(BytesIO(jpeg(99, 77, frame=frame))) == PictureHeader(
            PictureFormat.JPEG, 99, 77
        )

    def test_large_segments_before_the_frame_are_skipped(self, tmp_path: Path) -> None:
        # A thumbnail's own frame and end marker, and a profile in many parts.
        thumbnail = segment(0xE1, jpeg(8, 8) + bytes(60_000))
        profile = b"".join(segment(0xE2, bytes([n]) * 65_000) for n in range(100))
        path = tmp_path / "phone.jpg"
        path.write_bytes(jpeg(640, 480, before=thumbnail + profile + b"\xff\xff\xff\x01"))
        assert inspect_photo(path) == PictureHeader(PictureFormat.JPEG, 640, 480)

    def test_the_end_marker_of_a_thumbnail_does_not_count(self) -> None:
        thumbnail = segment(0xE1, jpeg(8, 8))
        assert "cut off" in refusal(jpeg(640, 480, before=thumbnail, end=b""))

    @pytest.mark.parametrize("trailer", [b"\0" * 20_000, b"\xff\xd9 made by a phone"])
    def test_bytes_after_the_end_marker_are_allowed(self, trailer: bytes) -> None:
        assert inspect_photo(jpeg(640, 480) + trailer) is not None

    def test_an_appended_video_is_allowed(self) -> None:
        video = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 400 + b"\xff\x17"
        assert inspect_photo(jpeg(640, 480) + video) is not None

    @pytest.mark.parametrize("filler", [b"\0", b"\x12\xff\x00", b"\xff\xd0ab"], ids=repr)
    def test_a_long_scan_without_an_end_marker_is_refused(self, filler: bytes) -> None:
        assert "cut off" in refusal(jpeg(640, 480, scan=filler * 30_000, end=b""))

    @pytest.mark.parametrize(
        "damage",
        [
            b"\xff\xd8\xffgarbage",
            b"\xff\xd8\xff\xd9",
            b"\xff\xd8" + segment(0xDA, b"\0"),
            b"\xff\xd8\xff\xe0\0\1",
            b"\xff\xd8" + b"\xff" * 10_000,
            b"\xff\xd8" + b"\xff\1" * 9999,
        ],
        ids=range(6),
    )
    def test_damaged_segments_are_refused(self, damage: bytes) -> None:
        assert "JPEG" in refusal(damage) or "cut off" in refusal(damage)


class TestOtherFormats:
    def test_a_png_must_begin_with_its_header(self) -> None:
        assert "damaged PNG" in refusal(png(32, 32).replace(b"IHDR", b"CgBI"))

    @pytest.mark.parametrize("trailer", [b"\n", b"\0" * 5000, b"made by a phone", png(16, 16)])
    def test_bytes_after_the_end_of_a_png_are_allowed(self, trailer: bytes) -> None:
        assert inspect_photo(png(32, 32) + trailer) == PictureHeader(PictureFormat.PNG, 32, 32)

    def test_a_png_with_zeros_in_place_of_its_end_is_refused(self) -> None:
        assert "cut off" in refusal(png(32, 32)[:-12] + bytes(500))

    def test_a_webp_must_begin_with_a_key_frame(self) -> None:
        assert "damaged WEBP" in refusal(webp(32, 32).replace(b"\x9d\x01\x2a", b"\0\0\0"))

    def test_a_webp_must_begin_with_a_picture_chunk(self) -> None:
        assert "damaged WEBP" in refusal(riff(b"EXIF", bytes(40)))

    def test_a_bmp_may_omit_its_length(self) -> None:
        assert inspect_photo(bmp(32, 32, stated=0)) == PictureHeader(PictureFormat.BMP, 32, 32)

    def test_a_bmp_may_store_rows_top_down(self) -> None:
        assert inspect_photo(bmp(32, -64)) == PictureHeader(PictureFormat.BMP, 32, 64)

    def test_a_bmp_of_negative_width_is_refused(self) -> None:
        assert "-32x32 pixels" in refusal(bmp(-32, 32))


@given(
    st.binary(max_size=200), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM"])
)
def test_any_bytes_give_a_header_or_an_error(data: bytes, start: bytes) -> None:
    _require_header_or_error(start + data)


@given(st.sampled_from([make(32, 24) for _, make in MAKERS.values()]), st.data())
def test_any_damage_gives_a_header_or_an_error(photo: bytes, data: st.DataObject) -> None:
    damaged = bytearray(photo)
    places = st.tuples(st.integers(0, min(len(photo), 120) - 1), st.integers(0, 255))
    for place, value in data.draw(st.lists(places, min_size=1, max_size=6)):
        damaged[place] = value
    _require_header_or_error(bytes(damaged))


def _require_header_or_error(data: bytes) -> None:
    readers: list[Callable[[], PictureHeader | None]] = [
        lambda: read_header(BytesIO(data)),
        lambda: inspect_photo(data),
    ]
    for read in readers:
        try:
            result: object = read()
        except (PictureFlawError, InvalidPhotoError) as error:
            result = str(error)
        assert isinstance(result, PictureHeader) or (
            isinstance(result, str) and result.isprintable()
        )
