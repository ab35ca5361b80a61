"""Decoding of photos to upright RGB.

Only PNG, JPEG, BMP and WEBP are accepted, recognised by content. The size in the file's header is
checked before pixels are decoded, so that a small file cannot decompress into gigabytes.
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
"""Maximum width and height, in pixels."""

_JPEG_SCAN = b"\xff\xda"
_MAX_SCANS = 1000
"""More than any encoder writes or a trailer contains by chance. Each scan takes a pass over all
pixels, and can be as short as 33 bytes."""

_SRGB = ImageCms.createProfile("sRGB")


def load_picture(data: bytes) -> Picture:
    """Decode a photo.

    The orientation in its EXIF data is applied. Grey, palette, CMYK and 16-bit pictures and other
    colour spaces are converted to 8-bit sRGB. Transparent pixels become white.

    Args:
        data: The content of a PNG, JPEG, BMP or WEBP file.

    Returns:
        The picture, shape (H, W, 3), at most 4096 pixels wide and high.

    Raises:
        PictureError: It has another format, is damaged or truncated, or is too large.
    """
    image = _open(data)
    if max(image.size) > MAX_SIDE:
        raise PictureError(
            f"The photo has {image.width}x{image.height} pixels; "
            f"at most {MAX_SIDE}x{MAX_SIDE} are allowed."
        )
    if image.format == "JPEG" and data.count(_JPEG_SCAN) > _MAX_SCANS:
        raise PictureError("The photo cannot be decoded: it is a JPEG with far too many scans.")
    try:
        image.load()
        return np.array(_to_rgb(ImageOps.exif_transpose(image)))
    except MemoryError:
        raise  # not a fault of the file
    except Exception as error:  # decoders raise errors of any type on damaged files
        raise PictureError(
            f"The photo cannot be decoded: this {image.format} file is damaged or truncated "
            f"({error})."
        ) from error


def fit(picture: Picture, longest: int) -> Picture:
    """Shrink a picture if its longer side has more than `longest` pixels; never enlarge it.

    The aspect ratio is kept to the nearest pixel.
    """
    height, width = picture.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _open(data: bytes) -> Image.Image:
    """Open the file: its header is read, but no pixels are decoded."""
    try:
        with warnings.catch_warnings():
            # Pillow warns about large pictures here; MAX_SIDE is stricter and is checked next.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise PictureError(
            "The photo is not a supported picture; allowed are PNG, JPEG, BMP and WEBP."
        ) from error
    except Image.DecompressionBombError as error:
        raise PictureError(
            f"The photo has far too many pixels; at most {MAX_SIDE}x{MAX_SIDE} are allowed."
        ) from error
    except Exception as error:  # decoders raise errors of any type
        raise PictureError(f"The photo's header is damaged ({error}).") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image to sRGB in mode RGB, over white."""
    if image.mode.startswith(("I", "F")):
        image = _to_8_bit_grey(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return _to_srgb(Image.alpha_composite(white, image).convert("RGB"), image)
    if image.mode == "CMYK":
        return _to_srgb(image, image).convert("RGB")
    return _to_srgb(image.convert("RGB"), image)


def _to_8_bit_grey(image: Image.Image) -> Image.Image:
    """Convert 16-bit grey (in any of Pillow's wide modes) to 8-bit grey."""
    wide = np.asarray(image).astype(np.float64)
    return Image.fromarray(np.clip(np.round(wide / 257), 0, 255).astype(np.uint8))


def _to_srgb(image: Image.Image, source: Image.Image) -> Image.Image:
    """Convert an image from its file's colour profile (wide on many phones) to sRGB."""
    embedded = source.info.get("icc_profile")
    if not embedded:
        return image
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(embedded))
        converted = ImageCms.profileToProfile(image, profile, _SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image  # an invalid profile must not make the photo unusable
    return image if converted is None else converted
