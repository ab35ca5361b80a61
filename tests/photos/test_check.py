"""What is taken for a photo, and what is said of what is not."""

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async.errors import InvalidPhotoError
from photoanimer_async.photos.check import (
    MAX_BYTES,
    MAX_URL_BYTES,
    check_photo,
    inspect_photo,
)
from photoanimer_async.photos.formats import PictureFormat
from photoanimer_async.photos.header import PictureFlawError, PictureHeader, read_header

from ..support.pictures import MAKERS, Maker, bmp, jpeg, png, riff, segment, webp

ALL_MAKERS = pytest.mark.parametrize(("kind", "make"), MAKERS.values(), ids=MAKERS)


def flaw(photo: object) -> str:
    with pytest.raises(InvalidPhotoError) as caught:
        inspect_photo(photo)  # type: ignore[arg-type] # also what is no photo at all
    text = str(caught.value)
    assert text.isprintable()
    assert caught.value.photo in text
    return text


class TestFormats:
    @ALL_MAKERS
    def test_is_told_by_content(self, kind: PictureFormat, make: Maker, tmp_path: Path) -> None:
        path = tmp_path / "photo.txt"
        path.write_bytes(make(320, 200))
        assert inspect_photo(path) == PictureHeader(kind, 320, 200)
        assert inspect_photo(str(path)) == inspect_photo(path.read_bytes())

    @ALL_MAKERS
    def test_cut_off_is_an_error(self, kind: PictureFormat, make: Maker) -> None:
        assert "cut off" in flaw(make(320, 200)[:-3])

    @ALL_MAKERS
    def test_cut_off_anywhere_is_an_error(self, kind: PictureFormat, make: Maker) -> None:
        whole = make(32, 16)
        for size in range(len(whole)):
            flaw(whole[:size])

    @ALL_MAKERS
    @pytest.mark.parametrize("size", [(4097, 16), (16, 4097)], ids=str)
    def test_too_many_pixels(self, kind: PictureFormat, make: Maker, size: tuple[int, int]) -> None:
        text = flaw(make(*size))
        assert f"{kind.name} has {size[0]}x{size[1]} pixels" in text
        assert "at most 4096x4096" in text

    @ALL_MAKERS
    def test_too_few_pixels_for_a_face(self, kind: PictureFormat, make: Maker) -> None:
        assert "1x1 pixels; a face needs at least 16x16" in flaw(make(1, 1))

    def test_the_largest_picture_is_taken(self) -> None:
        assert read_header(BytesIO(png(4096, 4096))) == PictureHeader(PictureFormat.PNG, 4096, 4096)
        assert inspect_photo(png(4096, 4096)) is not None

    def test_names_for_http_and_for_files(self) -> None:
        assert [f.content_type for f in PictureFormat] == [
            "image/png", "image/jpeg", "image/bmp", "image/webp"
        ]  # fmt: skip
        assert [f.suffix for f in PictureFormat] == [".png", ".jpg", ".bmp", ".webp"]


class TestJpeg:
    @pytest.mark.parametrize("frame", [0xC0, 0xC1, 0xC2, 0xC9])
    def test_every_kind_of_frame(self, frame: int) -> None:
        assert read_header(BytesIO(jpeg(99, 77, frame=frame))) == PictureHeader(
            PictureFormat.JPEG, 99, 77
        )

    def test_large_segments_before_the_frame_are_stepped_over(self, tmp_path: Path) -> None:
        # A thumbnail's own frame and end marker, and a profile in many parts.
        thumbnail = segment(0xE1, jpeg(8, 8) + bytes(60_000))
        profile = b"".join(segment(0xE2, bytes([n]) * 65_000) for n in range(100))
        path = tmp_path / "phone.jpg"
        path.write_bytes(jpeg(640, 480, before=thumbnail + profile + b"\xff\xff\xff\x01"))
        assert inspect_photo(path) == PictureHeader(PictureFormat.JPEG, 640, 480)

    def test_the_end_of_a_thumbnail_is_not_the_end_of_the_photo(self) -> None:
        thumbnail = segment(0xE1, jpeg(8, 8))
        assert "cut off" in flaw(jpeg(640, 480, before=thumbnail, end=b""))

    @pytest.mark.parametrize("trailer", [b"\0" * 20_000, b"\xff\xd9 made by a phone"])
    def test_bytes_after_the_end_are_let_be(self, trailer: bytes) -> None:
        assert inspect_photo(jpeg(640, 480) + trailer) is not None

    def test_a_video_behind_the_photo_is_let_be(self) -> None:
        video = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 400 + b"\xff\x17"
        assert inspect_photo(jpeg(640, 480) + video) is not None

    @pytest.mark.parametrize("filler", [b"\0", b"\x12\xff\x00", b"\xff\xd0ab"], ids=repr)
    def test_a_long_picture_without_an_end_is_cut_off(self, filler: bytes) -> None:
        assert "cut off" in flaw(jpeg(640, 480, scan=filler * 30_000, end=b""))

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
    def test_damage(self, damage: bytes) -> None:
        assert "JPEG" in flaw(damage) or "cut off" in flaw(damage)


class TestOtherDamage:
    def test_png_without_its_header_in_front(self) -> None:
        assert "damaged PNG" in flaw(png(32, 32).replace(b"IHDR", b"CgBI"))

    def test_something_behind_the_end_of_a_png(self) -> None:
        assert "its end is not where it should be" in flaw(png(32, 32) + b"PK\x03\x04 hidden")

    def test_webp_that_begins_between_two_pictures(self) -> None:
        assert "damaged WEBP" in flaw(webp(32, 32).replace(b"\x9d\x01\x2a", b"\0\0\0"))

    def test_webp_of_another_chunk(self) -> None:
        assert "damaged WEBP" in flaw(riff(b"EXIF", bytes(40)))

    def test_bmp_that_states_no_length(self) -> None:
        assert inspect_photo(bmp(32, 32, stated=0)) == PictureHeader(PictureFormat.BMP, 32, 32)

    def test_bmp_from_the_top_down(self) -> None:
        assert inspect_photo(bmp(32, -64)) == PictureHeader(PictureFormat.BMP, 32, 64)

    def test_bmp_of_negative_width(self) -> None:
        assert "-32x32 pixels" in flaw(bmp(-32, 32))


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
def test_other_content_is_named(content: bytes, named: str, tmp_path: Path) -> None:
    path = tmp_path / "portrait.jpg"
    path.write_bytes(content)
    text = flaw(path)
    assert named in text
    assert "portrait.jpg" in text
    assert "PNG, JPEG, BMP and WEBP" in text


class TestFiles:
    def test_missing(self, tmp_path: Path) -> None:
        assert "there is no such file" in flaw(tmp_path / "gone.jpg")
        assert "there is no such file" in flaw("")

    def test_a_folder(self, tmp_path: Path) -> None:
        assert "is a folder, not a file" in flaw(tmp_path)

    def test_a_pipe_is_not_opened(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.jpg")
        assert "is a pipe" in flaw(tmp_path / "pipe.jpg")

    def test_a_device_is_not_read(self) -> None:
        assert "is a device" in flaw("/dev/zero")

    def test_empty(self, tmp_path: Path) -> None:
        path = tmp_path / "empty.jpg"
        path.touch()
        assert "is empty" in flaw(path)
        assert "is empty" in flaw(b"")

    def test_too_large_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "large.png"
        path.write_bytes(png(640, 480))
        os.truncate(path, MAX_BYTES)
        text = flaw(path)
        assert "PNG has 15.0 MB; allowed is less than 15 MB" in text

    def test_a_loop_of_links(self, tmp_path: Path) -> None:
        loop = tmp_path / "loop.jpg"
        loop.symlink_to(loop)
        assert "cannot be read: Too many levels of symbolic links" in flaw(loop)

    @pytest.mark.parametrize("name", ["a\0b.jpg", "\ud800.jpg"], ids=ascii)
    def test_a_name_that_no_file_can_have(self, name: str) -> None:
        assert "no file can have such a name" in flaw(name)

    def test_a_name_that_is_too_long(self) -> None:
        assert "File name too long" in flaw("n" * 300)

    @pytest.mark.parametrize(
        "name", [b"two\nlines", b"tab\t\x1b[31mred", b"\xff\xfe latin", "👵🏽".encode(), b"'\"`$"]
    )
    def test_names_are_shown_safely(self, name: bytes, tmp_path: Path) -> None:
        path = tmp_path / os.fsdecode(name)
        path.write_bytes(b"no photo")
        assert "is text" in flaw(path)
        path.write_bytes(jpeg(64, 64))
        assert inspect_photo(path) is not None

    @pytest.mark.parametrize("photo", [None, 7, bytearray(b"x"), ["a.jpg"]], ids=repr)
    def test_what_is_no_photo_at_all(self, photo: object) -> None:
        assert f"not {type(photo).__name__}" in flaw(photo)

    def test_a_few_kilobytes_are_read(self, tmp_path: Path) -> None:
        path = tmp_path / "large.jpg"
        exif = b"".join(segment(0xE1, bytes(65_000)) for _ in range(40))
        path.write_bytes(jpeg(4000, 3000, before=exif, scan=bytes(3_000_000)))
        before = _bytes_read()
        inspect_photo(path)
        assert _bytes_read() - before < 8192


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
    def test_are_only_looked_at(self, url: str) -> None:
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
    def test_that_can_not_be_fetched(self, url: str, named: str) -> None:
        text = flaw(url)
        assert named in text
        assert "secret" not in text

    def test_no_query_is_shown(self) -> None:
        assert "token" not in flaw("http://me@example.com/a.jpg?token=1")

    @pytest.mark.parametrize("scheme", ["ftp", "file", "s3", "data"])
    def test_of_other_schemes(self, scheme: str) -> None:
        assert f"{scheme} URLs are not supported; http and https are" in flaw(f"{scheme}://x/a.jpg")


async def test_the_loop_is_not_blocked(tmp_path: Path) -> None:
    path = tmp_path / "photo.webp"
    path.write_bytes(webp(64, 48))
    with blockbuster_ctx():
        assert await check_photo(path) == PictureHeader(PictureFormat.WEBP, 64, 48)
        assert await check_photo(jpeg(64, 48)) == PictureHeader(PictureFormat.JPEG, 64, 48)
        assert await check_photo("https://example.com/a.jpg") is None
        with pytest.raises(InvalidPhotoError):
            await check_photo(tmp_path)


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
            said: object = read()
        except (PictureFlawError, InvalidPhotoError) as error:
            said = str(error)
        assert isinstance(said, PictureHeader) or (isinstance(said, str) and said.isprintable())
