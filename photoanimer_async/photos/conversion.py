"""Pictures of many formats as upright JPEG in sRGB. Needs Pillow (the extra `prepare`).

What a file says of itself is looked at before a pixel is decoded, since a small file can
unpack into gigabytes. Decoders are named one by one: Pillow has many more, of formats that
no camera writes. JPEG, which is what large photos come in, is decoded at a fraction of its
size where that is enough.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from io import BytesIO
from typing import BinaryIO

from PIL import ExifTags, Image, ImageCms, features
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from photoanimer_async.errors import PreparationError
from photoanimer_async.photos.formats import PictureFormat, SourceFormat
from photoanimer_async.photos.header import PictureFlawError
from photoanimer_async.redaction import printable

MOST_PIXELS = 64 * 1024 * 1024
"""Pixels that are decoded at once, at most; a JPEG may have four times as many."""

_DECODERS: dict[PictureFormat | SourceFormat, Callable[[BinaryIO], ImageFile]] = {
    PictureFormat.PNG: PngImageFile,
    PictureFormat.JPEG: JpegImageFile,
    PictureFormat.BMP: BmpImageFile,
    PictureFormat.WEBP: WebPImageFile,
    SourceFormat.TIFF: TiffImageFile,
    SourceFormat.AVIF: AvifImageFile,
}
_UPRIGHT = 1
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_QUALITIES = (92, 85, 75, 60)
_SRGB = ImageCms.createProfile("sRGB")


def readable_formats() -> Sequence[PictureFormat | SourceFormat]:
    """The formats that can be read with what is installed."""
    return [kind for kind in (*PictureFormat, *SourceFormat) if _is_readable(kind)]


def open_picture(file: BinaryIO, picture_format: PictureFormat | SourceFormat) -> ImageFile:
    """The picture with its head read and no pixel decoded.

    Args:
        file: the whole file.
        picture_format: by its first bytes.

    Raises:
        PictureFlawError: its head is damaged, or announces far too many pixels.
        PreparationError: what it takes to read it is not installed.
    """
    decoder = _decoder(picture_format)
    file.seek(0)
    try:
        image = decoder(file)
    except Exception as error:  # decoders raise whatever they like on damaged files
        raise PictureFlawError(
            f"is a damaged {picture_format.name} ({printable(str(error))})"
        ) from error
    most = 4 * MOST_PIXELS if picture_format is PictureFormat.JPEG else MOST_PIXELS
    if image.width * image.height > most:
        raise PictureFlawError(
            f"the {picture_format.name} has {image.width}x{image.height} pixels; "
            f"at most {most / 1e6:.0f} million can be prepared"
        )
    return image


def is_upright(image: ImageFile) -> bool:
    """Whether the picture is stored as it is to be seen."""
    return _orientation(image) not in _TURNS


def convert_to_jpeg(image: ImageFile, *, longest: int, fewer_than: int) -> bytes:
    """The picture as JPEG: upright, in sRGB, what is transparent over white, without metadata.

    Args:
        image: from `open_picture`.
        longest: pixels of its longer side, at most.
        fewer_than: the file's bytes.

    Raises:
        PictureFlawError: it is damaged or cut off, or can not be made that small.
    """
    kind = image.format
    try:
        if isinstance(image, JpegImageFile):
            image.draft(None, _fit(image.size, longest))
        image.load()
        # Some decoders turn the picture themselves, and say afterwards that it is upright.
        turn = _TURNS.get(_orientation(image))
        picture = _rgb(_shrunk(_with_true_colours(image), _fit(image.size, longest)))
    except PictureFlawError:
        raise
    except Exception as error:  # likewise
        raise PictureFlawError(
            f"can not be decoded: the {kind} is damaged or cut off ({printable(str(error))})"
        ) from error
    return _encoded(picture if turn is None else picture.transpose(turn), fewer_than)


def _is_readable(picture_format: PictureFormat | SourceFormat) -> bool:
    try:
        _decoder(picture_format)
    except PreparationError:
        return False
    return True


def _decoder(picture_format: PictureFormat | SourceFormat) -> Callable[[BinaryIO], ImageFile]:
    if picture_format is SourceFormat.AVIF and not features.check("avif"):
        raise PreparationError("is an AVIF, which this build of Pillow can not read")
    if picture_format is not SourceFormat.HEIC:
        return _DECODERS[picture_format]
    try:
        decoder: Callable[[BinaryIO], ImageFile] = import_module("pillow_heif").HeifImageFile
    except ModuleNotFoundError:
        raise PreparationError(
            "is a HEIC; to read it, pip install 'photoanimer-async[heic]'"
        ) from None
    return decoder


def _orientation(image: ImageFile) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT))
    except Exception:  # noqa: BLE001 - damaged Exif, or no number: as if there were none
        return _UPRIGHT


def _fit(size: tuple[int, int], longest: int) -> tuple[int, int]:
    scale = min(1.0, longest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _with_true_colours(image: Image.Image) -> Image.Image:
    """The image in a mode whose values can be averaged: no palette, no more than 8 bits."""
    if image.mode in {"P", "PA", "1"}:
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode.startswith("I"):
        # A conversion alone would clip 16 bits to 8.
        return image.convert("I").point(lambda value: value / 257 + 0).convert("L")
    if image.mode == "F":
        raise PictureFlawError("holds measurements rather than a picture (floating point)")
    return image


def _shrunk(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    if image.size == size:
        return image
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _rgb(image: Image.Image) -> Image.Image:
    """The image in sRGB, over white."""
    embedded = image.info.get("icc_profile")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, _in_mode("RGBA", image))
    if image.mode != "CMYK":
        image = _in_mode("RGB", image)
    return _in_mode("RGB", _in_srgb(image, embedded) if embedded else image)


def _in_mode(mode: str, image: Image.Image) -> Image.Image:
    """The image in a mode; `convert` alone would copy one that is in it already."""
    return image if image.mode == mode else image.convert(mode)


def _in_srgb(image: Image.Image, embedded: bytes) -> Image.Image:
    """The image from its own colour profile (of phones, often a wide one) to sRGB."""
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(embedded))
        return ImageCms.profileToProfile(image, profile, _SRGB, outputMode="RGB") or image
    except (ImageCms.PyCMSError, OSError):
        return image  # a broken profile, or one for another mode, is worth no failure


def _encoded(picture: Image.Image, fewer_than: int) -> bytes:
    for quality in _QUALITIES:
        content = BytesIO()
        # Pillow would carry a comment over.
        picture.save(content, "JPEG", quality=quality, comment=b"")
        if len(content.getbuffer()) < fewer_than:
            return content.getvalue()
    raise PictureFlawError(f"can not be made smaller than {fewer_than / 2**20:.0f} MB")
