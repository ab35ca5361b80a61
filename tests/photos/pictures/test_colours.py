"""Colours become sRGB, in whichever way a file states them."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms
from PIL.JpegImagePlugin import JpegImageFile

from photoanimer_async.engine.picture import load_picture
from photoanimer_async.photos.pictures.colours import source_profile, to_srgb
from photoanimer_async.photos.pictures.icc_profile import (
    SRGB_PRIMARIES,
    adobe_rgb_profile,
    gamma_curve,
    numbered_profile,
    profile,
    srgb_curve,
)
from photoanimer_async.photos.preparation import prepare_content

from ...support.pictures import CASES, PROFILE, exif, heic, png_chunk, saved

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

RIGHT = Image.open(CASES / "right.png").convert("RGB")
P3, BT2020 = 12, 9


def read(picture: bytes | Image.Image) -> Pixels:
    image = picture if isinstance(picture, Image.Image) else Image.open(io.BytesIO(picture))
    return np.asarray(image.convert("RGB"), np.float64)


def converted(picture: bytes) -> Pixels:
    """What preparation makes of a picture."""
    content = prepare_content(picture)
    assert content is not None
    return read(content)


def in_colours(icc_profile: bytes | None) -> Image.Image:
    """The right picture, stored in the colours of a profile."""
    assert icc_profile is not None
    target = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
    stored = ImageCms.profileToProfile(
        RIGHT, ImageCms.createProfile("sRGB"), target, outputMode="RGB"
    )
    assert stored is not None
    stored.info.clear()
    return stored


def png_with(image: Image.Image, *chunks: bytes) -> bytes:
    content = saved(image, "PNG")
    at = content.index(b"IDAT") - 4
    return content[:at] + b"".join(chunks) + content[at:]


def nclx(primaries: int, transfer: int) -> dict[str, int]:
    return {
        "color_primaries": primaries,
        "transfer_characteristics": transfer,
        "matrix_coefficients": 6,
        "full_range_flag": 1,
    }


def assert_right(found: Pixels) -> None:
    assert np.abs(found.mean((0, 1)) - read(RIGHT).mean((0, 1))).max() < 3


class TestFiles:
    """Files that other programs have written."""

    @pytest.mark.parametrize("name", ["dotgain20.jpg", "gamma18.png"])
    def test_a_grey_profile_is_converted(self, name: str) -> None:
        with Image.open(CASES / name) as image:
            grey = to_srgb(image, image.info["icc_profile"])
        assert abs(read(grey).mean() - 145.5) < 1
        assert abs(load_picture((CASES / name).read_bytes()).mean() - 145.5) < 1

    def test_every_grey_is_converted_as_its_gamma_says(self) -> None:
        with Image.open(CASES / "gamma18.png") as image:
            stored = np.asarray(image) / 255
            found = read(to_srgb(image, image.info["icc_profile"]))[..., 0]
        right = 255 * (1.055 * stored ** (1.8 / 2.4) - 0.055)
        assert np.abs(found - right)[stored > 0.05].max() <= 3

    def test_the_profile_of_grey_pixels_with_transparency_is_converted(self) -> None:
        with Image.open(CASES / "gamma18.png") as image:
            grey_profile = image.info["icc_profile"]
            image.putalpha(255)
            content = saved(image, "PNG", icc_profile=grey_profile)
        assert abs(load_picture(content).mean() - 145.5) < 1
        assert abs(converted(content + b"\n" * 20_000_000).mean() - 145.5) < 1

    @pytest.mark.parametrize("name", ["p3-nclx.heic", "linear-gama.png"])
    def test_colour_numbers_are_converted(self, name: str) -> None:
        assert_right(converted((CASES / name).read_bytes()))

    def test_the_engine_reads_the_numbers_of_a_png(self) -> None:
        assert_right(load_picture((CASES / "linear-gama.png").read_bytes()).astype(np.float64))


class TestHeif:
    @pytest.mark.parametrize("primaries", [P3, BT2020])
    @pytest.mark.parametrize("transfer", [1, 4, 8, 13, 14])
    def test_the_numbers_of_a_heic(self, primaries: int, transfer: int) -> None:
        stored = in_colours(numbered_profile(primaries, transfer))
        stored.info["nclx_profile"] = nclx(primaries, transfer)
        assert_right(converted(heic(stored, save_nclx_profile=True)))

    def test_the_numbers_of_an_avif(self) -> None:
        content = saved(in_colours(numbered_profile(P3, 13)), "AVIF", quality=95)
        at = content.index(b"nclx") + 4
        stated = content[:at] + struct.pack(">HH", P3, 13) + content[at + 4 :]
        assert_right(converted(stated))

    def test_an_embedded_profile_takes_precedence_over_numbers(self) -> None:
        image = RIGHT.copy()
        image.info["nclx_profile"] = nclx(BT2020, 8)
        content = heic(image, icc_profile=PROFILE, save_nclx_profile=True)
        assert_right(converted(content))

    @pytest.mark.parametrize(("primaries", "transfer"), [(1, 13), (1, 1), (2, 2), (6, 6), (99, 99)])
    def test_the_numbers_of_srgb_change_nothing(self, primaries: int, transfer: int) -> None:
        assert numbered_profile(primaries, transfer) is None

    @pytest.mark.parametrize("transfer", [16, 18])
    def test_bright_light_becomes_white(self, transfer: int) -> None:
        icc_profile = numbered_profile(BT2020, transfer)
        ramp = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
        found = read(to_srgb(ramp, icc_profile))[:, 0, 0]
        assert found[-1] == 255
        assert found[0] <= 3
        assert (np.diff(found) >= 0).all()


class TestPng:
    def test_cicp(self) -> None:
        stored = in_colours(numbered_profile(P3, 13))
        content = png_with(stored, png_chunk(b"cICP", bytes((P3, 13, 0, 1))))
        assert_right(converted(content))
        assert_right(load_picture(content).astype(np.float64))

    def test_gamma_and_chromaticities(self) -> None:
        stored = in_colours(adobe_rgb_profile())
        points = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
        content = png_with(
            stored,
            png_chunk(b"gAMA", struct.pack(">I", 45_470)),
            png_chunk(b"cHRM", struct.pack(">8I", *(round(n * 100_000) for n in points))),
        )
        assert_right(converted(content))

    @pytest.mark.parametrize(
        "chunks",
        [
            (png_chunk(b"gAMA", struct.pack(">I", 45_455)),),
            (png_chunk(b"sRGB", b"\0"), png_chunk(b"gAMA", struct.pack(">I", 100_000))),
            (png_chunk(b"gAMA", bytes(4)),),
            (png_chunk(b"cHRM", bytes(32)),),
            (png_chunk(b"cICP", bytes((1, 13, 0, 1))), png_chunk(b"gAMA", b"\0\1\x86\xa0")),
        ],
        ids=["srgb's gamma", "srgb", "no gamma", "no colours", "srgb's numbers"],
    )
    def test_a_png_in_srgb_stays_as_it_is(self, chunks: tuple[bytes, ...]) -> None:
        content = png_with(RIGHT, *chunks)
        assert prepare_content(content) is None
        assert (load_picture(content) == read(RIGHT)).all()


class TestExif:
    def test_adobe_rgb(self) -> None:
        tags = exif()
        tags.get_ifd(0x8769)[0xA001] = 0xFFFF
        tags.get_ifd(0x8769)[0xA005] = {1: "R03"}
        content = saved(in_colours(adobe_rgb_profile()), "JPEG", exif=tags, quality=95)
        assert source_profile(JpegImageFile(io.BytesIO(content)), io.BytesIO(content)) is not None
        assert_right(converted(content))
        assert_right(load_picture(content).astype(np.float64))

    def test_srgb(self) -> None:
        tags = exif()
        tags.get_ifd(0x8769)[0xA001] = 1
        tags.get_ifd(0x8769)[0xA005] = {1: "R98"}
        content = saved(RIGHT, "JPEG", exif=tags)
        assert source_profile(JpegImageFile(io.BytesIO(content)), io.BytesIO(content)) is None


class TestProfiles:
    def test_a_profile_of_srgbs_numbers_changes_nothing(self) -> None:
        same = read(to_srgb(RIGHT, profile(SRGB_PRIMARIES, srgb_curve)))
        assert np.abs(same - read(RIGHT)).max() <= 1

    def test_display_p3_agrees_with_the_profile_of_its_maker(self) -> None:
        # Display P3's red in sRGB, clipped: https://www.color.org/chardata/rgb/DisplayP3.xalter
        red = read(to_srgb(Image.new("RGB", (1, 1), (200, 60, 30)), numbered_profile(P3, 13)))
        assert np.abs(red[0, 0] - [217, 48, 0]).max() <= 8

    @pytest.mark.parametrize("point", [(0.0, 0.0), (0.3, 0.3)])
    def test_impossible_primaries_give_no_profile(self, point: tuple[float, float]) -> None:
        assert profile((point, point, point, point), gamma_curve(2.2)) is None

    @given(st.binary(min_size=32, max_size=32), st.binary(min_size=4, max_size=4))
    def test_any_numbers_of_a_png_give_a_picture(self, points: bytes, gamma: bytes) -> None:
        small = Image.new("RGB", (2, 2), (200, 60, 30))
        content = png_with(small, png_chunk(b"cHRM", points), png_chunk(b"gAMA", gamma))
        with Image.open(io.BytesIO(content)) as image:
            assert to_srgb(image, source_profile(image, io.BytesIO(content))).size == (2, 2)

    @pytest.mark.parametrize("icc_profile", [b"", b"no profile", PROFILE[:200]])
    def test_a_broken_profile_is_ignored(self, icc_profile: bytes) -> None:
        assert (read(to_srgb(RIGHT, icc_profile)) == read(RIGHT)).all()

    def test_a_profile_of_other_channels_is_ignored(self) -> None:
        with Image.open(CASES / "gamma18.png") as image:
            assert (read(to_srgb(RIGHT, image.info["icc_profile"])) == read(RIGHT)).all()
