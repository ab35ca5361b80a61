"""Decoding of photos."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms
from PIL.JpegImagePlugin import JpegImageFile

from photoanimer_async.engine import PictureError
from photoanimer_async.engine.picture import MAX_SIDE, Picture, fit, load_picture

from ..support.pictures import CASES


def encoded(image: Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def gradient(mode: str = "RGB") -> Image.Image:
    """Dark on the left, bright on the right, 32 x 24."""
    row = np.linspace(20, 235, 32).astype(np.uint8)
    return Image.fromarray(np.tile(row, (24, 1))).convert(mode)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "BMP", "WEBP"])
def test_four_formats_are_decoded(file_format: str) -> None:
    picture = load_picture(encoded(gradient(), file_format))
    assert picture.shape == (24, 32, 3)
    assert picture.dtype == np.uint8
    assert np.abs(picture.astype(int) - np.asarray(gradient())).max() <= 4


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_png_modes_are_converted_to_rgb(mode: str) -> None:
    expected = np.asarray(gradient(mode).convert("RGB"))
    assert (load_picture(encoded(gradient(mode))) == expected).all()


def test_cmyk_is_converted_to_rgb() -> None:
    picture = load_picture(encoded(gradient("CMYK"), "JPEG", quality=95))
    assert np.abs(picture.astype(int) - np.asarray(gradient())).max() <= 6


def test_sixteen_bit_grey_keeps_its_brightness() -> None:
    wide = np.linspace(0, 65535, 32).astype(np.uint16)
    picture = load_picture(encoded(Image.fromarray(np.tile(wide, (24, 1)))))
    assert (picture[0, :, 0] == np.round(np.linspace(0, 255, 32)).astype(np.uint8)).all()


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparent_pixels_become_white(mode: str) -> None:
    image = gradient(mode)
    image.putalpha(
        Image.fromarray(np.repeat(np.array([[0], [255]], np.uint8), [12, 12], 0).repeat(32, 1))
    )
    picture = load_picture(encoded(image))
    assert (picture[:12] == 255).all()
    assert (picture[12:] == np.asarray(gradient())[12:]).all()


def test_a_transparent_palette_colour_becomes_white() -> None:
    image = Image.new("P", (4, 4))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((0, 0), 1)
    picture = load_picture(encoded(image, transparency=0))
    assert picture[0, 0].tolist() == [0, 255, 0]
    assert picture[3, 3].tolist() == [255, 255, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied(orientation: int) -> None:
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[:20, :30] = 255  # bright at the upper left, as the photographer saw it
    back: dict[int, Callable[[Picture], Picture]] = {  # how the camera stored it
        1: lambda x: x,
        2: lambda x: x[:, ::-1],
        3: lambda x: x[::-1, ::-1],
        4: lambda x: x[::-1],
        5: lambda x: x.transpose(1, 0, 2),
        6: np.rot90,
        7: lambda x: x.transpose(1, 0, 2)[::-1, ::-1],
        8: lambda x: np.rot90(x, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(back[orientation](upright)))
    picture = load_picture(encoded(stored, exif=exif))
    assert (picture == upright).all()


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_damaged_exif_does_not_make_a_photo_unreadable(file_format: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "camera"
    # A text in the place of a number, which Pillow cannot write again.
    damaged = exif.tobytes().replace(b"\x01\x0f\x00\x02", b"\x01\x02\x00\x02")
    assert damaged != exif.tobytes()
    assert load_picture(encoded(gradient(), file_format, exif=damaged)).shape == (32, 24, 3)


def test_other_colour_spaces_are_converted_to_srgb() -> None:
    image = Image.new("RGB", (8, 8), (200, 60, 30))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"XYZr").replace(b"gXYZ", b"rXYZ").replace(b"XYZr", b"gXYZ")
    as_srgb = load_picture(encoded(image, icc_profile=srgb)).astype(int)
    as_swapped = load_picture(encoded(image, icc_profile=swapped)).astype(int)
    assert np.abs(as_srgb - [200, 60, 30]).max() <= 1
    assert np.abs(as_swapped - [60, 200, 30]).max() <= 1  # its red is sRGB's green


def test_a_broken_colour_profile_is_ignored() -> None:
    picture = load_picture(encoded(gradient(), icc_profile=b"no profile"))
    assert (picture == np.asarray(gradient())).all()


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "BMP"])
def test_a_truncated_file_is_rejected(file_format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(Image.fromarray(noise), file_format)
    with pytest.raises(PictureError, match="damaged or truncated"):
        load_picture(data[: len(data) // 2])


def test_a_png_with_damaged_pixels_is_rejected() -> None:
    file = io.BytesIO()
    Image.new("L", (64, 64), 128).save(file, "PNG")
    with pytest.raises(PictureError, match="damaged"):
        load_picture(file.getvalue().replace(b"IDATx", b"IDATy"))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"just some text, whatever its name", id="text"),
        pytest.param(encoded(gradient(), "GIF"), id="gif"),
        pytest.param(encoded(gradient(), "TIFF"), id="tiff"),
    ],
)
def test_other_formats_are_rejected(data: bytes) -> None:
    with pytest.raises(PictureError, match="allowed are PNG, JPEG, BMP and WEBP"):
        load_picture(data)


def png_header(width: int, height: int) -> bytes:
    """Return a PNG header without pixels."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


@pytest.mark.parametrize(
    ("file_format", "mode"),
    [
        *(("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")),
        *(("JPEG", mode) for mode in ("L", "RGB", "CMYK")),
        *(("BMP", mode) for mode in ("1", "L", "P", "RGB")),
        *(("WEBP", mode) for mode in ("RGB", "RGBA")),
    ],
)
def test_a_large_photo_is_shrunk_to_what_is_wanted(file_format: str, mode: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    image = gradient().resize((1600, 1000)).convert(mode)
    options = {} if file_format == "BMP" else {"exif": exif}
    data = encoded(image, file_format, **options)
    small, expected = load_picture(data, 300), fit(load_picture(data), 300)
    assert max(small.shape) == 300
    assert small.shape == expected.shape
    assert np.abs(small.astype(int) - expected).mean() < 3


def test_a_large_jpeg_is_shrunk_while_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    prepare = JpegImageFile.load_prepare

    def record(image: JpegImageFile) -> None:
        decoded.append(image.size)
        prepare(image)

    monkeypatch.setattr(JpegImageFile, "load_prepare", record)
    picture = load_picture(encoded(gradient().resize((4000, 3000)), "JPEG"), 900)
    assert picture.shape == (675, 900, 3)
    assert decoded == [(1000, 750)]


def test_transparency_by_colour_survives_shrinking() -> None:
    image = Image.new("RGB", (800, 800), (255, 0, 0))
    data = encoded(image, "PNG", transparency=(255, 0, 0))
    assert (load_picture(data, 100) == 255).all()


@pytest.mark.parametrize("size", [(MAX_SIDE + 1, 10), (10, MAX_SIDE + 1), (12_000, 12_000)])
def test_a_too_large_picture_is_rejected_by_its_header(size: tuple[int, int]) -> None:
    data = png_header(*size) + struct.pack(">I", 4) + b"IDAT" + b"\0" * 8
    with pytest.raises(PictureError, match=f"{size[0]}x{size[1]} pixels; at most 4096x4096"):
        load_picture(data)


def test_a_decompression_bomb_is_rejected() -> None:
    with pytest.raises(PictureError, match="far too many pixels"):
        load_picture(png_header(60_000, 60_000) + struct.pack(">I", 4) + b"IDAT" + b"\0" * 8)


@pytest.mark.parametrize(
    ("size", "longest", "expected"),
    [
        ((4000, 3000), 1280, (1280, 960)),
        ((3000, 4000), 1280, (960, 1280)),
        ((1280, 400), 1280, (1280, 400)),
        ((100, 80), 1280, (100, 80)),
        ((4000, 1), 100, (100, 1)),
    ],
)
def test_fit_keeps_the_ratio_and_never_enlarges(
    size: tuple[int, int], longest: int, expected: tuple[int, int]
) -> None:
    fitted = fit(np.zeros((size[1], size[0], 3), np.uint8), longest)
    assert (fitted.shape[1], fitted.shape[0]) == expected


def test_a_jpeg_with_too_many_scans_is_rejected() -> None:
    file = io.BytesIO()
    Image.new("L", (64, 64), 128).save(file, "JPEG", progressive=True)
    whole = file.getvalue()
    last_scan = whole[whole.rindex(b"\xff\xda") : -2]
    few, many = (whole[:-2] + last_scan * times + whole[-2:] for times in (100, 1000))
    assert load_picture(few).shape == (64, 64, 3)
    with pytest.raises(PictureError, match="far too many scans"):
        load_picture(many)


@pytest.mark.parametrize("trailer", [b"", b"made by a phone", b"\0" * 2000])
def test_a_jpeg_without_an_end_marker_is_read(trailer: bytes) -> None:
    whole = encoded(gradient(), "JPEG")
    assert (load_picture(whole[:-2] + trailer) == load_picture(whole)).all()


def test_a_jpeg_with_more_pictures_behind_it_is_read() -> None:
    file = io.BytesIO()
    gradient().save(file, "MPO", save_all=True, append_images=[Image.new("RGB", (9, 9))])
    assert (load_picture(file.getvalue()) == load_picture(encoded(gradient(), "JPEG"))).all()


def test_an_mpo_of_endless_scans_is_refused() -> None:
    with pytest.raises(PictureError, match="far too many scans"):
        load_picture((CASES / "as-mpo.jpg").read_bytes())
