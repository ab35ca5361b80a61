"""Convert pictures to upright JPEG in sRGB. Requires Pillow (the extra `prepare`).

The header is checked before any pixel is decoded, since a small file can expand to gigabytes. The
decoders are listed one by one: Pillow supports many more formats, which no camera writes and which
only add attack surface. A JPEG is decoded at a fraction of its size where that is enough.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from io import BytesIO
from typing import BinaryIO

from PIL import Image, features
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
from photoanimer_async.photos.pictures.colours import to_srgb
from photoanimer_async.photos.pictures.orientation import transposition_of
from photoanimer_async.redaction import printable

MAX_PIXELS = 64 * 1024 * 1024
"""Maximum number of pixels of a picture; four times as many for a JPEG, which is scaled down while
it is decoded."""

_DECODERS: dict[PictureFormat | SourceFormat, Callable[[BinaryIO], ImageFile]] = {
    PictureFormat.PNG: PngImageFile,
    PictureFormat.JPEG: JpegImageFile,
    PictureFormat.BMP: BmpImageFile,
    PictureFormat.WEBP: WebPImageFile,
    SourceFormat.TIFF: TiffImageFile,
    SourceFormat.AVIF: AvifImageFile,
}
_QUALITIES = (92, 85, 75, 60)


def readable_formats() -> Sequence[PictureFormat | SourceFormat]:
    """Return the formats that the installed libraries can decode."""
    return [kind for kind in (*PictureFormat, *SourceFormat) if _is_readable(kind)]


def open_picture(file: BinaryIO, picture_format: PictureFormat | SourceFormat) -> ImageFile:
    """Read a picture's header; no pixel is decoded yet.

    Args:
        file: the whole file; seekable.
        picture_format: its format, from `detect_format`.

    Raises:
        PictureFlawError: the header is damaged, or states more pixels than `MAX_PIXELS` allows.
        PreparationError: the library that decodes the format is not installed.
    """
    decoder = _decoder(picture_format)
    file.seek(0)
    try:
        image = decoder(file)
    except Exception as error:  # decoders raise exceptions of any type on damaged files
        raise PictureFlawError(
            f"is a damaged {picture_format.name} ({printable(str(error))})"
        ) from error
    limit = 4 * MAX_PIXELS if picture_format is PictureFormat.JPEG else MAX_PIXELS
    if image.width * image.height > limit:
        raise PictureFlawError(
            f"the {picture_format.name} has {image.width}x{image.height} pixels; "
            f"at most {limit / 1e6:.0f} million can be prepared"
        )
    return image


def convert_to_jpeg(
    image: ImageFile, icc_profile: bytes | None, *, max_side: int, max_bytes: int
) -> bytes:
    """Convert a picture to JPEG: upright, in sRGB, transparency over white, without metadata.

    Args:
        image: the picture, from `open_picture`.
        icc_profile: the profile of its colours, from `source_profile`.
        max_side: maximum width and height in pixels; larger pictures are scaled down.
        max_bytes: the JPEG has fewer bytes than this.

    Raises:
        PictureFlawError: the picture is damaged or cut off, or does not fit into `max_bytes`.
    """
    kind = image.format
    try:
        if isinstance(image, JpegImageFile):
            image.draft(None, _scaled(image.size, max_side))
        image.load()
        transposition = transposition_of(image)
        resized = _resized(_with_true_colours(image), _scaled(image.size, max_side))
        picture = to_srgb(resized, icc_profile)
    except PictureFlawError:
        raise
    except Exception as error:  # as above
        raise PictureFlawError(
            f"cannot be decoded: the {kind} is damaged or cut off ({printable(str(error))})"
        ) from error
    if transposition is not None:
        picture = picture.transpose(transposition)
    return _encoded(picture, max_bytes)


def _is_readable(picture_format: PictureFormat | SourceFormat) -> bool:
    try:
        _decoder(picture_format)
    except PreparationError:
        return False
    return True


def _decoder(picture_format: PictureFormat | SourceFormat) -> Callable[[BinaryIO], ImageFile]:
    if picture_format is SourceFormat.AVIF and not features.check("avif"):
        raise PreparationError("is an AVIF, which this build of Pillow cannot read")
    if picture_format is not SourceFormat.HEIC:
        return _DECODERS[picture_format]
    try:
        decoder: Callable[[BinaryIO], ImageFile] = import_module("pillow_heif").HeifImageFile
    except ModuleNotFoundError:
        raise PreparationError(
            "is a HEIC; to read it, pip install 'photoanimer-async[heic]'"
        ) from None
    return decoder


def _scaled(size: tuple[int, int], max_side: int) -> tuple[int, int]:
    scale = min(1.0, max_side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _with_true_colours(image: Image.Image) -> Image.Image:
    """Return the image without a palette and with 8 bits per channel, so that it can be resized."""
    if image.mode in {"P", "PA", "1"}:
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode.startswith("I"):
        # `convert` alone would clip 16 bits to 8.
        return image.convert("I").point(lambda value: value / 257 + 0).convert("L")
    if image.mode == "F":
        raise PictureFlawError("contains measurements rather than a picture (floating point)")
    return image


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    if image.size == size:
        return image
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _encoded(picture: Image.Image, max_bytes: int) -> bytes:
    for quality in _QUALITIES:
        content = BytesIO()
        # Pillow copies the source's comment otherwise.
        picture.save(content, "JPEG", quality=quality, comment=b"")
        if len(content.getbuffer()) < max_bytes:
            return content.getvalue()
    raise PictureFlawError(f"cannot be made smaller than {max_bytes / 2**20:.0f} MB")
