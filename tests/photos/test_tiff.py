"""The photo of a TIFF file is its largest picture, wherever in the file that is."""

import io
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from photoanimer_async.errors import InvalidPhotoError
from photoanimer_async.photos.check import inspect_photo
from photoanimer_async.photos.header import PictureFlawError
from photoanimer_async.photos.preparation import prepare_content
from photoanimer_async.photos.tiff import with_largest_first

from ..support.pictures import saved

RED, BLUE = (200, 30, 30), (30, 30, 200)
CFA, LINEAR_RAW = 32_803, 34_892


def tiff(*pictures: Image.Image, **options: object) -> bytes:
    first, *others = pictures
    return saved(first, "TIFF", save_all=True, append_images=others, **options)


def picture(side: int, colour: tuple[int, int, int]) -> Image.Image:
    return Image.new("RGB", (side, side), colour)


def by_hand(
    *directories: dict[int, int], order: str = "<", big: bool = False, start: bytes = b""
) -> bytes:
    """A TIFF without pixels: each directory is below the one before it (`SubIFDs`)."""
    mark = b"II" if order == "<" else b"MM"
    head = struct.pack(f"{order}HHHQ", 43, 8, 0, 16) if big else struct.pack(f"{order}HI", 42, 16)
    content = (mark + head + start).ljust(16, b"\0")
    for number, tags in enumerate(directories):
        entries = dict(tags)
        size = (16 if big else 6) + (len(tags) + 1) * (20 if big else 12)
        if number + 1 < len(directories):
            entries[330] = len(content) + size
        else:
            entries[700] = 0
        pack = f"{order}HHQQ" if big else f"{order}HHII"
        content += struct.pack(f"{order}{'Q' if big else 'H'}", len(entries))
        for tag, value in sorted(entries.items()):
            content += struct.pack(pack, tag, 16 if big else 4, 1, value)
        content += struct.pack(f"{order}{'Q' if big else 'I'}", 0)
    return content


def prepared(content: bytes) -> Image.Image:
    after = prepare_content(content)
    assert after is not None
    return Image.open(io.BytesIO(after)).convert("RGB")


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("sides", [(64, 200), (200, 64), (32, 64, 200, 100)])
def test_the_largest_picture_is_prepared(sides: tuple[int, ...], *, big: bool) -> None:
    colours = {max(sides): RED}
    pictures = [picture(side, colours.get(side, BLUE)) for side in sides]
    image = prepared(tiff(*pictures, big_tiff=big))
    assert image.size == (200, 200)
    red, _, blue = image.getpixel((5, 5))  # type: ignore[misc] # three channels
    assert red > 150 > blue


def test_a_file_whose_first_picture_is_the_largest_is_not_copied() -> None:
    file = io.BytesIO(tiff(picture(200, RED), picture(64, BLUE)))
    assert with_largest_first(file) is file


def test_a_picture_below_a_thumbnail_is_found() -> None:
    content = bytearray(tiff(picture(64, BLUE), picture(200, RED)))
    # The second picture is moved from the chain into the first one's SubIFDs.
    with Image.open(io.BytesIO(content)) as image:
        assert isinstance(image, TiffImagePlugin.TiffImageFile)
        image.seek(1)
        second = image._frame_pos[1]  # no public name
    place = content.index(struct.pack("<I", second), 8)
    content[place : place + 4] = bytes(4)
    (first,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, first)
    struct.pack_into("<HHII", content, first + 2 + 12 * (count - 1), 330, 4, 1, second)
    assert prepared(bytes(content)).size == (200, 200)


def test_a_mask_is_no_photo() -> None:
    photo, mask = picture(100, RED), picture(300, BLUE)
    mask.encoderinfo = {"tiffinfo": {254: 4}}
    content = tiff(photo, mask)
    assert prepared(content).size == (100, 100)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    "directories",
    [
        ({254: 1, 256: 160, 257: 120, 262: 2}, {256: 6000, 257: 4000, 262: CFA}),
        ({256: 6000, 257: 4000, 262: LINEAR_RAW},),
        ({256: 160, 257: 120, 262: 2, 50_706: 0x0104},),
    ],
    ids=["sensor below a thumbnail", "linear raw", "DNG"],
)
def test_camera_raw_files_are_refused(
    directories: tuple[dict[int, int], ...], order: str, *, big: bool
) -> None:
    content = by_hand(*directories, order=order, big=big)
    with pytest.raises(InvalidPhotoError, match=r"camera raw file.*export it as JPEG"):
        prepare_content(content)


def test_a_canon_raw_file_is_refused() -> None:
    content = by_hand({256: 5000, 257: 3000, 262: 6}, start=b"CR\x02\0")
    with pytest.raises(InvalidPhotoError, match="camera raw file"):
        prepare_content(content)


def test_a_big_tiff_needs_preparation(tmp_path: Path) -> None:
    path = tmp_path / "large.tif"
    path.write_bytes(tiff(picture(64, RED), big_tiff=True))
    with pytest.raises(InvalidPhotoError, match=r"is a TIFF.*prepare=True"):
        inspect_photo(path)
    assert prepare_content(path) is not None


@pytest.mark.parametrize("content", [b"II*\0", b"II+\0\x08\0\0\0" + b"\xff" * 8, b"MM\0*" * 9])
def test_damaged_directories_are_refused(content: bytes) -> None:
    with pytest.raises(PictureFlawError):
        with_largest_first(io.BytesIO(content))


@given(st.sampled_from([False, True]), st.data())
def test_any_damage_gives_a_file_or_an_error(big: bool, data: st.DataObject) -> None:
    content = bytearray(by_hand({256: 16, 257: 12}, {256: 60, 257: 40, 330: 16}, big=big))
    places = st.tuples(st.integers(4, len(content) - 1), st.integers(0, 255))
    for place, value in data.draw(st.lists(places, min_size=1, max_size=6)):
        content[place] = value
    with suppress(PictureFlawError):
        with_largest_first(io.BytesIO(content))
