"""Pictures are converted to upright JPEG in sRGB, within the limits."""

import io
import os
import struct
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from photoanimer_async.errors import InvalidPhotoError, PreparationError
from photoanimer_async.photos.check import inspect_photo
from photoanimer_async.photos.conversion import readable_formats
from photoanimer_async.photos.formats import PictureFormat, SourceFormat
from photoanimer_async.photos.preparation import prepare_content
from photoanimer_async.photos.rules import MAX_BYTES

from ..support.pictures import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    exif,
    heic,
    jpeg,
    pixels,
    png,
    quarters,
    saved,
    webp,
)


def large_jpeg(width: int, height: int) -> bytes:
    """A JPEG whose head says so; there is not much behind it."""
    photo = saved(Image.new("L", (64, 64)), "JPEG")
    return photo.replace(struct.pack(">HH", 64, 64), struct.pack(">HH", height, width))


def converted(photo: bytes | Path) -> Image.Image:
    """What a photo is converted to: a JPEG that the service accepts."""
    content = prepare_content(photo)
    assert content is not None
    header = inspect_photo(content)
    assert header is not None
    assert header.format is PictureFormat.JPEG
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def corners(image: Image.Image) -> list[str]:
    """The colours of the four corners, in reading order."""
    names = {"red": RED, "green": GREEN, "blue": BLUE, "white": WHITE}
    right, bottom = image.width - 6, image.height - 6
    found = []
    for place in ((5, 5), (right, 5), (5, bottom), (right, bottom)):
        colour = image.getpixel(place)
        assert isinstance(colour, tuple)
        found.append(
            min(names, key=lambda n: sum(abs(a - b) for a, b in zip(names[n], colour, strict=True)))
        )
    return found


class TestUpright:
    @pytest.mark.parametrize(
        ("orientation", "size", "seen"),
        [
            (2, (64, 32), ["green", "red", "white", "blue"]),
            (3, (64, 32), ["white", "blue", "green", "red"]),
            (4, (64, 32), ["blue", "white", "red", "green"]),
            (5, (32, 64), ["red", "blue", "green", "white"]),
            (6, (32, 64), ["blue", "red", "white", "green"]),
            (7, (32, 64), ["white", "green", "blue", "red"]),
            (8, (32, 64), ["green", "white", "red", "blue"]),
        ],
    )
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
    def test_a_photo_is_rotated_by_its_exif(
        self, kind: str, orientation: int, size: tuple[int, int], seen: list[str]
    ) -> None:
        image = converted(saved(quarters(), kind, exif=exif(orientation)))
        assert (image.size, corners(image)) == (size, seen)
        assert dict(image.getexif()) == {}

    @pytest.mark.parametrize("kind", ["heic", "avif"])
    def test_a_container_rotation_is_applied_once(self, kind: str) -> None:
        make = heic if kind == "heic" else lambda image, **more: saved(image, "AVIF", **more)
        image = converted(make(quarters(), exif=exif(6).tobytes()))
        assert (image.size, corners(image)) == ((32, 64), ["blue", "red", "white", "green"])

    @pytest.mark.filterwarnings("ignore:Corrupt EXIF")
    def test_damaged_exif_is_ignored(self) -> None:
        photo = saved(quarters(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
        after = prepare_content(photo)
        assert after is not None
        assert pixels(after) == pixels(photo)


class TestColours:
    @pytest.mark.parametrize(
        "photo",
        [
            saved(quarters(), "TIFF"),
            saved(quarters("CMYK"), "TIFF"),
            saved(quarters().quantize(), "TIFF"),
            saved(quarters(), "AVIF", quality=95),
            heic(quarters()),
        ],
        ids=["tiff", "cmyk", "palette", "avif", "heic"],
    )
    def test_other_formats_become_rgb(self, photo: bytes) -> None:
        image = converted(photo)
        assert (image.mode, image.size) == ("RGB", (64, 32))
        assert corners(image) == ["red", "green", "blue", "white"]

    def test_transparency_becomes_white(self) -> None:
        image = converted(saved(Image.new("RGBA", (32, 32), (255, 0, 0, 0)), "TIFF"))
        assert corners(image) == ["white"] * 4

    def test_16_bits_are_scaled_to_8(self) -> None:
        image = converted(saved(Image.new("I;16", (32, 32), 257 * 100), "TIFF"))
        assert image.getpixel((16, 16)) == (100, 100, 100)

    def test_a_colour_profile_is_converted_to_srgb(self) -> None:
        # A profile with red and blue exchanged.
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        swapped = srgb.replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")
        image = converted(saved(quarters(), "TIFF", icc_profile=swapped))
        assert corners(image) == ["blue", "green", "red", "white"]
        assert "icc_profile" not in image.info

    def test_a_broken_colour_profile_is_ignored(self) -> None:
        photo = saved(quarters(), "TIFF", icc_profile=b"no profile")
        assert corners(converted(photo)) == ["red", "green", "blue", "white"]

    def test_floating_point_pixels_are_refused(self) -> None:
        with pytest.raises(InvalidPhotoError, match="floating point"):
            prepare_content(saved(Image.new("F", (32, 32)), "TIFF"))


class TestSize:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("size", "fit"),
        [((4097, 64), (4096, 64)), ((100, 8192), (50, 4096)), ((9000, 3000), (4096, 1365))],
    )
    @pytest.mark.parametrize("kind", ["JPEG", "PNG"])
    def test_larger_pictures_are_scaled_to_4096_pixels(
        self, kind: str, size: tuple[int, int], fit: tuple[int, int]
    ) -> None:
        assert converted(saved(Image.new("L", size, 90), kind)).size == fit

    def test_a_rotated_photo_is_scaled_too(self) -> None:
        assert converted(saved(Image.new("L", (8192, 64)), "JPEG", exif=exif(6))).size == (32, 4096)

    def test_the_jpeg_has_less_than_15_mb(self) -> None:
        noise = Image.frombytes("RGB", (2400, 2400), os.urandom(2400 * 2400 * 3))
        photo = saved(noise, "PNG", compress_level=0)
        assert len(photo) >= MAX_BYTES
        assert converted(photo).size == (2400, 2400)

    @pytest.mark.parametrize(
        ("photo", "text"),
        [
            (saved(Image.new("L", (1, 1)), "PNG"), "has 1x1 pixels; a face needs at least 16x16"),
            (saved(Image.new("L", (8192, 20)), "PNG"), "4096x10 pixels; a face needs at least"),
        ],
        ids=["1x1", "a line"],
    )
    def test_too_few_pixels_are_refused(self, photo: bytes, text: str) -> None:
        with pytest.raises(InvalidPhotoError, match=text):
            prepare_content(photo)


class TestDamage:
    def test_a_decompression_bomb_is_not_decoded(self, tmp_path: Path) -> None:
        path = tmp_path / "bomb.png"
        path.write_bytes(png(30_000, 30_000))
        with pytest.raises(InvalidPhotoError, match=r"bomb\.png: the PNG has 30000x30000 pixels"):
            prepare_content(path)

    def test_a_jpeg_may_have_four_times_as_many_pixels(self) -> None:
        with pytest.raises(InvalidPhotoError, match="at most 268 million can be prepared"):
            prepare_content(large_jpeg(65_000, 65_000))

    @pytest.mark.parametrize("make", [png, jpeg, webp])
    def test_missing_pixels_are_refused(self, make: object) -> None:
        content = make(5000, 20)  # type: ignore[operator] # one of three makers
        with pytest.raises(InvalidPhotoError) as caught:
            prepare_content(content)
        assert str(caught.value).isprintable()

    @pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
    def test_a_cut_off_photo_is_refused(self, kind: str, share: float) -> None:
        noise = Image.frombytes("RGB", (64, 64), os.urandom(64 * 64 * 3))
        photo = saved(noise, kind)
        with pytest.raises(InvalidPhotoError) as caught:
            prepare_content(photo[: int(len(photo) * share)])
        assert str(caught.value).isprintable()

    @pytest.mark.parametrize("size", [(64, 64), (5000, 20)])
    def test_a_png_with_damaged_pixels_is_refused(self, size: tuple[int, int]) -> None:
        photo = saved(Image.new("RGB", size), "PNG", **({"exif": exif(6)} if size[0] < 99 else {}))
        damaged = photo.replace(b"IDATx", b"IDATy")
        assert damaged != photo
        with pytest.raises(InvalidPhotoError, match="damaged"):
            prepare_content(damaged)


class TestMissingDecoders:
    def test_a_heic_without_its_decoder_is_not_an_invalid_photo(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        photo = tmp_path / "me.heic"
        photo.write_bytes(heic(quarters()))
        monkeypatch.setitem(sys.modules, "pillow_heif", None)
        with pytest.raises(PreparationError, match=r"me\.heic: is a HEIC; .*\[heic\]"):
            prepare_content(photo)
        assert SourceFormat.HEIC not in readable_formats()

    def test_pillow_may_lack_avif(self, monkeypatch: pytest.MonkeyPatch) -> None:
        avif = saved(quarters(), "AVIF")
        monkeypatch.setattr("PIL.features.check", lambda _: False)
        with pytest.raises(PreparationError, match="build of Pillow"):
            prepare_content(avif)
