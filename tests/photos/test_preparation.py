"""Photos made fit: upright, JPEG, within the limits, telling nothing but the picture."""

import asyncio
import io
import os
import struct
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx
from PIL import Image, ImageCms

import photoanimer_async.photos
from photoanimer_async.errors import (
    HostingError,
    InvalidPhotoError,
    InvalidRequestError,
    PreparationError,
)
from photoanimer_async.photos.check import MAX_BYTES, MAX_SOURCE_BYTES, check_photo, inspect_photo
from photoanimer_async.photos.formats import PictureFormat
from photoanimer_async.photos.preparation import Preparation, prepare_content

from ..support.pictures import (
    BLUE,
    GREEN,
    RED,
    SECRETS,
    WHITE,
    bmp,
    exif,
    heic,
    jpeg,
    pixels,
    png,
    quarters,
    saved,
    shot,
    webp,
)


def large_jpeg(width: int, height: int) -> bytes:
    """A JPEG whose head says so; there is not much behind it."""
    photo = saved(Image.new("L", (64, 64)), "JPEG")
    return photo.replace(struct.pack(">HH", 64, 64), struct.pack(">HH", height, width))


def prepared(photo: bytes | Path) -> Image.Image:
    """What became of a photo that needed something, which must be a JPEG that is taken."""
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


class TestWhatFits:
    @pytest.mark.parametrize(
        "photo",
        [png(64, 48), bmp(64, 48), saved(quarters(), "JPEG"), saved(quarters(), "WEBP")],
        ids=["png", "bmp", "jpeg", "webp"],
    )
    def test_stays_as_it_is(self, photo: bytes) -> None:
        assert prepare_content(photo) is None

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    def test_loses_metadata_without_touching_a_pixel(self, kind: str) -> None:
        before = shot(kind)
        after = prepare_content(before)
        assert after is not None
        assert pixels(after) == pixels(before)
        assert [secret for secret in SECRETS if secret in after] == []


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
    def test_by_exif(
        self, kind: str, orientation: int, size: tuple[int, int], seen: list[str]
    ) -> None:
        image = prepared(saved(quarters(), kind, exif=exif(orientation)))
        assert (image.size, corners(image)) == (size, seen)
        assert dict(image.getexif()) == {}

    @pytest.mark.parametrize("kind", ["heic", "avif"])
    def test_by_the_containers_own_turn_and_once_only(self, kind: str) -> None:
        make = heic if kind == "heic" else lambda image, **more: saved(image, "AVIF", **more)
        image = prepared(make(quarters(), exif=exif(6).tobytes()))
        assert (image.size, corners(image)) == ((32, 64), ["blue", "red", "white", "green"])

    @pytest.mark.filterwarnings("ignore:Corrupt EXIF")
    def test_damaged_exif_counts_for_nothing(self) -> None:
        photo = saved(quarters(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
        after = prepare_content(photo)
        assert after is not None
        assert pixels(after) == pixels(photo)


class TestConverted:
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
    def test_other_formats(self, photo: bytes) -> None:
        image = prepared(photo)
        assert (image.mode, image.size) == ("RGB", (64, 32))
        assert corners(image) == ["red", "green", "blue", "white"]

    def test_what_is_transparent_becomes_white(self) -> None:
        image = prepared(saved(Image.new("RGBA", (32, 32), (255, 0, 0, 0)), "TIFF"))
        assert corners(image) == ["white"] * 4

    def test_16_bits_are_scaled_and_not_clipped(self) -> None:
        image = prepared(saved(Image.new("I;16", (32, 32), 257 * 100), "TIFF"))
        assert image.getpixel((16, 16)) == (100, 100, 100)

    def test_another_colour_space_becomes_srgb(self) -> None:
        # A profile in which what is called red looks blue.
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        swapped = srgb.replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")
        image = prepared(saved(quarters(), "TIFF", icc_profile=swapped))
        assert corners(image) == ["blue", "green", "red", "white"]
        assert "icc_profile" not in image.info

    def test_a_broken_colour_profile_is_worth_no_failure(self) -> None:
        photo = saved(quarters(), "TIFF", icc_profile=b"no profile")
        assert corners(prepared(photo)) == ["red", "green", "blue", "white"]

    def test_measurements_are_no_picture(self) -> None:
        with pytest.raises(InvalidPhotoError, match="floating point"):
            prepare_content(saved(Image.new("F", (32, 32)), "TIFF"))


class TestShrunk:
    @pytest.mark.parametrize(
        ("size", "fit"),
        [((4097, 64), (4096, 64)), ((100, 8192), (50, 4096)), ((9000, 3000), (4096, 1365))],
    )
    @pytest.mark.parametrize("kind", ["JPEG", "PNG"])
    def test_to_4096_pixels(self, kind: str, size: tuple[int, int], fit: tuple[int, int]) -> None:
        assert prepared(saved(Image.new("L", size, 90), kind)).size == fit

    def test_a_turned_photo_too(self) -> None:
        assert prepared(saved(Image.new("L", (8192, 64)), "JPEG", exif=exif(6))).size == (32, 4096)

    def test_to_less_than_15_mb(self) -> None:
        noise = Image.frombytes("RGB", (2400, 2400), os.urandom(2400 * 2400 * 3))
        photo = saved(noise, "PNG", compress_level=0)
        assert len(photo) >= MAX_BYTES
        assert prepared(photo).size == (2400, 2400)

    @pytest.mark.parametrize(
        ("photo", "said"),
        [
            (saved(Image.new("L", (1, 1)), "PNG"), "has 1x1 pixels; a face needs at least 16x16"),
            (saved(Image.new("L", (8192, 20)), "PNG"), "4096x10 pixels; a face needs at least"),
        ],
        ids=["1x1", "a line"],
    )
    def test_too_small_is_an_error(self, photo: bytes, said: str) -> None:
        with pytest.raises(InvalidPhotoError, match=said):
            prepare_content(photo)


class TestHostile:
    def test_a_decompression_bomb_is_not_decoded(self, tmp_path: Path) -> None:
        path = tmp_path / "bomb.png"
        path.write_bytes(png(30_000, 30_000))
        with pytest.raises(InvalidPhotoError, match=r"bomb\.png: the PNG has 30000x30000 pixels"):
            prepare_content(path)

    def test_a_jpeg_may_be_larger_but_not_without_end(self) -> None:
        with pytest.raises(InvalidPhotoError, match="at most 268 million can be prepared"):
            prepare_content(large_jpeg(65_000, 65_000))

    @pytest.mark.parametrize("make", [png, jpeg, webp])
    def test_pixels_that_are_not_there(self, make: object) -> None:
        content = make(5000, 20)  # type: ignore[operator] # one of three makers
        with pytest.raises(InvalidPhotoError) as caught:
            prepare_content(content)
        assert str(caught.value).isprintable()

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "is empty"),
            (b"hello", "is text; allowed are PNG, JPEG, BMP, WEBP, HEIC, AVIF and TIFF"),
            (b"GIF89a\1\0\1\0", "is a GIF"),
            (b"II*\0\x08\0\0\0", "is a damaged TIFF"),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is a damaged HEIC"),
            (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "AVIF"),
            (png(64, 48) + b"PK\x05\x06" + bytes(18), "a PNG and a ZIP archive at once"),
            (b"\xff\xd8\xff\xfe\0\x0b%PDF-1.4\n", "a JPEG and a PDF at once"),
        ],
    )
    def test_what_is_no_photo(self, content: bytes, said: str, tmp_path: Path) -> None:
        path = tmp_path / "portrait.jpg"
        path.write_bytes(content)
        with pytest.raises(InvalidPhotoError, match=rf"portrait\.jpg: .*{said}") as caught:
            prepare_content(path)
        assert str(caught.value).isprintable()

    def test_too_large_a_file_is_not_read(self, tmp_path: Path) -> None:
        path = tmp_path / "large.tif"
        path.write_bytes(b"II*\0")
        os.truncate(path, MAX_SOURCE_BYTES + 1)
        with pytest.raises(InvalidPhotoError, match="at most 256 MB can be prepared"):
            prepare_content(path)

    @pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
    def test_a_photo_that_is_cut_off(self, kind: str, share: float) -> None:
        noise = Image.frombytes("RGB", (64, 64), os.urandom(64 * 64 * 3))
        photo = saved(noise, kind)
        with pytest.raises(InvalidPhotoError) as caught:
            prepare_content(photo[: int(len(photo) * share)])
        assert str(caught.value).isprintable()


class TestPrepared:
    async def test_a_copy_lasts_as_long_as_the_block(self, tmp_path: Path) -> None:
        photo = tmp_path / "me.tif"
        photo.write_bytes(saved(quarters(), "TIFF"))
        async with Preparation().prepared(photo) as copy:
            assert isinstance(copy, Path)
            assert copy.suffix == ".jpg"
            assert copy.parent.stat().st_mode & 0o077 == 0
            header = await check_photo(copy)
            assert header is not None
            assert (header.width, header.height) == (64, 32)
        assert not copy.parent.exists()
        assert photo.exists()

    async def test_without_need_there_is_none(self, tmp_path: Path) -> None:
        photo = tmp_path / "me.png"
        photo.write_bytes(png(64, 48))
        async with Preparation().prepared(photo) as same:
            assert same is photo

    async def test_the_loop_is_not_blocked(self, tmp_path: Path) -> None:
        photo = tmp_path / "me.tif"
        photo.write_bytes(saved(quarters(), "TIFF"))
        preparation = Preparation()
        with blockbuster_ctx():
            async with preparation.prepared(photo):
                pass
            with pytest.raises(InvalidPhotoError):
                async with preparation.prepared(tmp_path):
                    pass

    async def test_a_few_at_a_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        working: list[int] = []
        most = 0

        def slow(photo: object) -> None:
            nonlocal most
            working.append(1)
            most = max(most, len(working))
            threading_sleep()
            working.pop()

        monkeypatch.setattr("photoanimer_async.photos.preparation.prepare_content", slow)
        monkeypatch.setattr(os, "cpu_count", lambda: 2)
        preparation = Preparation()

        async def prepare() -> None:
            async with preparation.prepared(b"photo"):
                pass

        await asyncio.gather(*(prepare() for _ in range(12)))
        assert most == 2

    def test_a_cancelled_one_leaves_nothing_behind(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

        async def prepare() -> None:
            async with Preparation().prepared(saved(quarters(), "TIFF")):
                pytest.fail("it was cancelled before")

        async def cancel() -> None:
            task = asyncio.create_task(prepare())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(cancel())
        assert list(tmp_path.iterdir()) == []

    async def test_an_error_of_its_host_names_the_photo_and_not_the_copy(
        self, tmp_path: Path
    ) -> None:
        photo = tmp_path / "me.tif"
        photo.write_bytes(saved(quarters(), "TIFF"))
        with pytest.raises(HostingError) as caught:
            async with Preparation().prepared(photo) as copy:
                raise HostingError(f"{copy!s}: can not be uploaded")
        assert str(caught.value) == f"{photo}: can not be uploaded"

    async def test_no_space_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
        with pytest.raises(PreparationError, match=r"photo of .* cannot be saved in .*gone"):
            async with Preparation().prepared(saved(quarters(), "TIFF")):
                pass


def threading_sleep() -> None:
    """Long enough for all threads that may to begin."""
    import time  # noqa: PLC0415 - not for the loop

    time.sleep(0.01)


@contextmanager
def without(module: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, module, None)
        patch.delitem(sys.modules, "photoanimer_async.photos.conversion", raising=False)
        patch.delattr(photoanimer_async.photos, "conversion", raising=False)
        yield


class TestMissingLibraries:
    def test_without_pillow_the_ways_out_are_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with without("PIL", monkeypatch), pytest.raises(InvalidRequestError) as caught:
            Preparation()
        assert "pip install 'photoanimer-async[prepare]'" in str(caught.value)
        assert "--no-prepare" in str(caught.value)

    def test_without_its_decoder_a_heic_is_no_invalid_photo(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        photo = tmp_path / "me.heic"
        photo.write_bytes(heic(quarters()))
        with (
            without("pillow_heif", monkeypatch),
            pytest.raises(PreparationError, match=r"me\.heic: is a HEIC; .*\[heic\]"),
        ):
            prepare_content(photo)

    def test_without_avif_in_pillow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        avif = saved(quarters(), "AVIF")
        monkeypatch.setattr("PIL.features.check", lambda _: False)
        with pytest.raises(PreparationError, match="build of Pillow"):
            prepare_content(avif)
