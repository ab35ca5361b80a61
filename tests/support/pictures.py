"""Pictures as files: built byte by byte, or saved by Pillow."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from photoanimer_async.engine.samples import ASTRONAUT
from photoanimer_async.errors import InvalidPhotoError
from photoanimer_async.photos.check import inspect_photo
from photoanimer_async.photos.formats import PictureFormat

CASES = Path(__file__).parent.parent / "cases"
"""Files with the same picture, each stored in an unusual way; `right.png` is that picture."""

# --- built byte by byte: a valid header of any size, with few pixels behind it ---


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(64))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (png_chunk(b"IHDR", header), png_chunk(b"IDAT", pixels), png_chunk(b"IEND", b""))
    )


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def jpeg(
    width: int,
    height: int,
    *,
    before: bytes = b"",
    scan: bytes = b"\x12\xff\x00\x34" * 9,
    end: bytes = b"\xff\xd9",
    frame: int = 0xC0,
) -> bytes:
    size = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"
    parts = (
        segment(0xE0, b"JFIF\0"),
        before,
        segment(frame, size),
        segment(0xDA, b"\1\1\0\0\x3f\0"),
    )
    return b"\xff\xd8" + b"".join(parts) + scan + end


def bmp(width: int, height: int, *, stated: int | None = None) -> bytes:
    pixels = bytes((abs(width) * 24 + 31) // 32 * 4 * abs(height))
    size = 54 + len(pixels) if stated is None else stated
    file_header = b"BM" + struct.pack("<IHHI", size, 0, 0, 54)
    return file_header + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *[0] * 6) + pixels


def old_bmp(width: int, height: int) -> bytes:
    pixels = bytes((width * 24 + 31) // 32 * 4 * height)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 26) + struct.pack(
        "<I4H", 12, width, height, 1, 24
    ) + pixels  # fmt: skip


def packed_bmp(width: int, height: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 40, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 54) + header + bytes(40)


def riff(chunk: bytes, data: bytes) -> bytes:
    body = b"WEBP" + chunk + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp(width: int, height: int) -> bytes:
    sides = struct.pack("<HH", width | 0x4000, height)  # the upper two bits are a scale
    return riff(b"VP8 ", b"\x30\x01\0\x9d\x01\x2a" + sides + bytes(20))


def lossless_webp(width: int, height: int) -> bytes:
    return riff(b"VP8L", b"\x2f" + struct.pack("<I", width - 1 | (height - 1) << 14) + bytes(20))


def extended_webp(width: int, height: int) -> bytes:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return riff(b"VP8X", bytes(4) + sides)


Maker = Callable[[int, int], bytes]

MAKERS: dict[str, tuple[PictureFormat, Maker]] = {
    "png": (PictureFormat.PNG, png),
    "jpeg": (PictureFormat.JPEG, jpeg),
    "bmp": (PictureFormat.BMP, bmp),
    "old bmp": (PictureFormat.BMP, old_bmp),
    "packed bmp": (PictureFormat.BMP, packed_bmp),
    "webp": (PictureFormat.WEBP, webp),
    "lossless webp": (PictureFormat.WEBP, lossless_webp),
    "extended webp": (PictureFormat.WEBP, extended_webp),
}
"""Each kind of file that the service accepts: its format, and its maker of width and height."""


EVERY_FORMAT = pytest.mark.parametrize(("kind", "make"), MAKERS.values(), ids=MAKERS)


def refusal(photo: object) -> str:
    """The text with which `inspect_photo` refuses a photo."""
    with pytest.raises(InvalidPhotoError) as caught:
        inspect_photo(photo)  # type: ignore[arg-type] # also values that are not photos at all
    text = str(caught.value)
    assert text.isprintable()
    assert caught.value.photo in text
    return text


# --- saved by Pillow ---

SECRETS = (b"Taken at home", b"ACME Phone 7", b"made by me", b"a video", b"keyword of IPTC")
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
RED, GREEN, BLUE, WHITE = (254, 0, 0), (0, 255, 1), (0, 0, 254), (255, 255, 255)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """A picture in one of Pillow's formats."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def heic(image: Image.Image, **options: object) -> bytes:
    """A picture as iPhones keep it."""
    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file, quality=95, **options)
    return file.getvalue()


def exif(orientation: int = 1) -> Image.Exif:
    """Exif with a device, a place and an orientation."""
    tags = Image.Exif()
    tags[0x0110] = "ACME Phone 7"
    tags[0x0112] = orientation
    tags.get_ifd(0x8825)[0x001D] = "Taken at home"
    return tags


def shot(kind: str, orientation: int = 1, **options: object) -> bytes:
    """The astronaut, in RGB, as a phone would store it."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(ASTRONAUT.read_bytes())) as image:
        small = image.resize((64, 48))
    more = {"exif": exif(orientation), "icc_profile": PROFILE, "comment": b"made by me"} | options
    if kind == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_text("Comment", "made by me")
        more["pnginfo"] = text
    small.save(file, kind, **more)
    return file.getvalue()


def pixels(picture: bytes) -> tuple[tuple[int, int], bytes]:
    with Image.open(io.BytesIO(picture)) as image:
        return image.size, image.convert("RGB").tobytes()


def quarters(mode: str = "RGB") -> Image.Image:
    """64x32 pixels: red and green above, blue and white below."""
    image = Image.new("RGB", (64, 32), RED)
    image.paste(GREEN, (32, 0, 64, 16))
    image.paste(BLUE, (0, 16, 32, 32))
    image.paste(WHITE, (32, 16, 64, 32))
    return image.convert(mode)
