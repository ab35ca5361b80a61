"""Pictures: whatever file a photo comes in, as upright RGB.

Only PNG, JPEG, BMP and WEBP are read, told apart by content. The size stands in the file's head
and is checked before any pixel is decoded, so that a small file cannot unpack into gigabytes.
"""

import io
import warnings
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from photoanimer_async.engine.engine_errors import PictureError

Picture: TypeAlias = NDArray[np.uint8]
"""RGB, shape (H, W, 3)."""

FORMATS = ("PNG", "JPEG", "BMP", "WEBP")

MAX_SIDE = 4096
"""Longest width and height that are read, in pixels."""

_JPEG_SCAN = b"\xff\xda"
_MOST_SCANS = 1000
"""More than any encoder writes, and than stand in a trailer by chance; each takes a pass over all
pixels, and a scan of 33 bytes is enough for one."""

_SRGB = ImageCms.createProfile("sRGB")


def load_picture(data: bytes) -> Picture:
    """Read a photo.

    The orientation in its EXIF data is obeyed; grey, palette, CMYK and 16-bit pictures and
    other colour spaces become 8-bit sRGB; what is transparent becomes white.

    Args:
        data: A whole PNG, JPEG, BMP or WEBP file.

    Returns:
        The picture, shape (H, W, 3), at most 4096 pixels wide and high.

    Raises:
        PictureError: It is none of these, is damaged or cut off, or is too large.
    """
    image = _opened(data)
    if max(image.size) > MAX_SIDE:
        raise PictureError(
            f"The photo has {image.width}x{image.height} pixels; "
            f"at most {MAX_SIDE}x{MAX_SIDE} are allowed."
        )
    if image.format == "JPEG" and data.count(_JPEG_SCAN) > _MOST_SCANS:
        raise PictureError("The photo cannot be decoded: it is a JPEG of far too many scans.")
    try:
        image.load()
        return np.array(_rgb(ImageOps.exif_transpose(image)))
    except MemoryError:
        raise  # nothing is wrong with the file
    except Exception as error:  # decoders raise whatever they like on damaged files
        raise PictureError(
            f"The photo cannot be decoded: this {image.format} file is damaged or was cut off "
            f"({error})."
        ) from error


def fit(picture: Picture, longest: int) -> Picture:
    """The picture, shrunk where its longer side has more than `longest` pixels; never enlarged.

    The ratio of the sides is kept to the nearest pixel.
    """
    height, width = picture.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _opened(data: bytes) -> Image.Image:
    """The file with its head read and no pixel decoded."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures here; ours is the stricter limit, and comes next.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise PictureError(
            "The photo is no picture that can be read; allowed are PNG, JPEG, BMP and WEBP."
        ) from error
    except Image.DecompressionBombError as error:
        raise PictureError(
            f"The photo has far too many pixels; at most {MAX_SIDE}x{MAX_SIDE} are allowed."
        ) from error
    except Exception as error:  # likewise
        raise PictureError(f"The photo's head is damaged ({error}).") from error


def _rgb(image: Image.Image) -> Image.Image:
    """The image in mode RGB and in sRGB, over white."""
    if image.mode.startswith(("I", "F")):
        image = _eight_bit_grey(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return _in_srgb(Image.alpha_composite(white, image).convert("RGB"), image)
    if image.mode == "CMYK":
        return _in_srgb(image, image).convert("RGB")
    return _in_srgb(image.convert("RGB"), image)


def _eight_bit_grey(image: Image.Image) -> Image.Image:
    """16-bit grey (in whichever of Pillow's wide modes it is) as 8-bit grey."""
    wide = np.asarray(image).astype(np.float64)
    return Image.fromarray(np.clip(np.round(wide / 257), 0, 255).astype(np.uint8))


def _in_srgb(image: Image.Image, source: Image.Image) -> Image.Image:
    """The image from its file's colour profile (of phones, often a wide one) to sRGB."""
    embedded = source.info.get("icc_profile")
    if not embedded:
        return image
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(embedded))
        converted = ImageCms.profileToProfile(image, profile, _SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image  # a broken profile, or one for another mode, is worth no failure
    return image if converted is None else converted
