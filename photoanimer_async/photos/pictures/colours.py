"""Convert pictures to sRGB, from the colours that their files state. Requires Pillow.

Most files state their colours by an embedded ICC profile, which Pillow reads. Others state numbers:
PNG (`cICP`, or `gAMA` and `cHRM`), HEIC and AVIF (`nclx`), and cameras that are set to Adobe RGB
(Exif). Numbers are turned into an ICC profile, so that there is one conversion.
"""

import struct
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

from PIL import ExifTags, Image, ImageCms

from photoanimer_async.photos.pictures.heif_colours import read_nclx
from photoanimer_async.photos.pictures.icc_profile import (
    SRGB_PRIMARIES,
    Primaries,
    adobe_rgb_profile,
    gamma_curve,
    numbered_profile,
    profile,
    srgb_curve,
)

_SRGB = ImageCms.createProfile("sRGB")
_SPACES = {"RGB": "RGB", "CMYK": "CMYK", "L": "GRAY"}
_ADOBE_RGB, _EXIF_SRGB = "R03", 1

_PNG_COLOURS = frozenset({b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"})
_MAX_PNG_CHUNKS = 1000
# Differences that nobody sees; old programs wrote such numbers for sRGB.
_SAME_POINT = 0.004
_SAME_GAMMA = 0.05
_GAMMAS = (0.2, 10.0)


def source_profile(image: Image.Image, file: BinaryIO) -> bytes | None:
    """Return the ICC profile of a picture's colours; `None` for sRGB, or if they are not stated.

    Args:
        image: the picture, opened from the file.
        file: the whole file; seekable.
    """
    embedded: bytes | None = image.info.get("icc_profile")
    numbers = numbers_profile(file)
    if image.format == "PNG":
        return numbers or embedded or _exif_profile(image)
    return embedded or numbers or _exif_profile(image)


def numbers_profile(file: BinaryIO) -> bytes | None:
    """Return the ICC profile of colours that a PNG, HEIC or AVIF file states by numbers.

    Args:
        file: the whole file; seekable.

    Returns:
        `None` for sRGB, if a PNG has an embedded profile instead, and if nothing is stated.
    """
    file.seek(0)
    head = file.read(12)
    if head.startswith(b"\x89PNG"):
        return _png_profile(file)
    numbers = read_nclx(file) if head[4:8] == b"ftyp" else None
    return None if numbers is None else numbered_profile(*numbers)


def to_srgb(image: Image.Image, icc_profile: bytes | None) -> Image.Image:
    """Return a picture in RGB and sRGB, with transparent pixels over white.

    Args:
        image: the picture, with 8 bits per channel and without a palette.
        icc_profile: the profile of its colours; ignored if it is broken, or for other channels.
    """
    source = None if icc_profile is None else _opened(icc_profile)
    space = None if source is None else source.profile.xcolor_space.strip()
    is_grey = space == "GRAY" and image.mode in {"L", "LA"}
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, _in_mode("RGBA", image))
    if is_grey:
        image = _in_mode("L", image)
    elif image.mode != "CMYK":
        image = _in_mode("RGB", image)
    if source is not None and space == _SPACES[image.mode]:
        image = _converted(image, source)
    return _in_mode("RGB", image)


def _opened(icc_profile: bytes) -> ImageCms.ImageCmsProfile | None:
    try:
        return ImageCms.ImageCmsProfile(BytesIO(icc_profile))
    except (ImageCms.PyCMSError, OSError):
        return None


def _converted(image: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    try:
        return ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB") or image
    except (ImageCms.PyCMSError, OSError):
        return image


def _in_mode(mode: str, image: Image.Image) -> Image.Image:
    """Return the image in a mode; `convert` alone copies even if the mode is the same."""
    return image if image.mode == mode else image.convert(mode)


def _exif_profile(image: Image.Image) -> bytes | None:
    """Return the profile of Adobe RGB if the Exif states it (Exif 2.32, 4.6.6 and annex E)."""
    try:
        exif = image.getexif()
        space = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace)
        index = exif.get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex)
    except Exception:  # noqa: BLE001 - damaged Exif is treated as no Exif
        return None
    is_adobe = space != _EXIF_SRGB and str(index).startswith(_ADOBE_RGB)
    return adobe_rgb_profile() if is_adobe else None


def _png_profile(file: BinaryIO) -> bytes | None:
    """Return the profile of a PNG's numbers (PNG specification, 4.3: cICP, iCCP, sRGB, gAMA)."""
    chunks = dict(_png_chunks(file))
    cicp = chunks.get(b"cICP", b"")
    if len(cicp) == 4:  # noqa: PLR2004 - primaries, transfer, matrix, range
        return numbered_profile(cicp[0], cicp[1])
    if b"iCCP" in chunks or b"sRGB" in chunks:
        return None
    primaries = _chromaticities(chunks.get(b"cHRM", b""))
    gamma = _gamma(chunks.get(b"gAMA", b""))
    if primaries is None and gamma is None:
        return None
    curve = srgb_curve if gamma is None else gamma_curve(gamma)
    return profile(primaries or SRGB_PRIMARIES, curve)


def _png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks about colours, which precede the pixels: their names and first bytes."""
    offset = 8
    for _ in range(_MAX_PNG_CHUNKS):
        file.seek(offset)
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IDAT":  # noqa: PLR2004 - length and name
            return
        size = int.from_bytes(head[:4], "big")
        if head[4:] in _PNG_COLOURS:
            yield head[4:], file.read(min(size, 32))
        offset += 12 + size


def _chromaticities(content: bytes) -> Primaries | None:
    """Return the primaries of a cHRM chunk; `None` for those of sRGB."""
    if len(content) != 32:  # noqa: PLR2004 - eight numbers
        return None
    numbers = [value / 100_000 for value in struct.unpack(">8I", content)]
    white, red, green, blue = zip(numbers[::2], numbers[1::2], strict=True)
    known = [number for point in (SRGB_PRIMARIES[3], *SRGB_PRIMARIES[:3]) for number in point]
    is_srgb = all(abs(a - b) <= _SAME_POINT for a, b in zip(numbers, known, strict=True))
    return None if is_srgb else (red, green, blue, white)


def _gamma(content: bytes) -> float | None:
    """Return the gamma to decode with, of a gAMA chunk; `None` for that of sRGB."""
    encoding = int.from_bytes(content[:4], "big") / 100_000
    if not encoding or not _GAMMAS[0] <= 1 / encoding <= _GAMMAS[1]:
        return None
    return None if abs(encoding * 2.2 - 1) <= _SAME_GAMMA else 1 / encoding
