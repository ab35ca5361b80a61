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
from PIL import Image, UnidentifiedImageError

from photoanimer_async.engine.engine_errors import PictureError
from photoanimer_async.photos.pictures.colours import source_profile, to_srgb
from photoanimer_async.photos.pictures.jpeg_scans import read_layout, with_end
from photoanimer_async.photos.pictures.orientation import transposition_of

Picture: TypeAlias = NDArray[np.uint8]
"""RGB, shape (H, W, 3)."""

FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
_JPEG_FORMATS = frozenset({"JPEG", "MPO"})  # MPO: a JPEG with more pictures behind it

_SHRINKABLE_MODES = frozenset({"L", "LA", "RGB", "RGBA", "CMYK"})

MAX_SIDE = 4096
"""Maximum width and height, in pixels."""


def load_picture(data: bytes, longest: int = MAX_SIDE) -> Picture:
    """Decode a photo, and shrink it if it is large.

    The orientation in its EXIF data is applied. Grey, palette, CMYK and 16-bit pictures and other
    colour spaces are converted to 8-bit sRGB. Transparent pixels become white.

    Args:
        data: The content of a PNG, JPEG, BMP or WEBP file, at most 4096 pixels wide and high.
        longest: Maximum width and height of the result, in pixels. A larger photo is shrunk as
            early as possible, a JPEG while it is decoded, so that all that follows is quick.

    Returns:
        The picture, shape (H, W, 3).

    Raises:
        PictureError: It has another format, is damaged or truncated, or is too large.
    """
    image = _open(data)
    if max(image.size) > MAX_SIDE:
        raise PictureError(
            f"The photo has {image.width}x{image.height} pixels; "
            f"at most {MAX_SIDE}x{MAX_SIDE} are allowed."
        )
    if image.format in _JPEG_FORMATS:
        image = _open(_decodable_jpeg(data))
    try:
        size = _size_within(longest, image.width, image.height)
        image.draft(image.mode, size)  # decodes a JPEG to a half, a quarter or an eighth
        image.load()  # first: Pillow looks for Exif behind a PNG's pixels, and ignores a failure
        transposition = transposition_of(image)
        profile = source_profile(image, io.BytesIO(data))
        if image.mode in _SHRINKABLE_MODES and "transparency" not in image.info:
            image = _shrunk(image, size)
        if image.mode.startswith("I"):
            image = _to_8_bit_grey(image)
        if transposition is not None:
            image = image.transpose(transposition)
        return fit(np.array(to_srgb(image, profile)), longest)
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
    size = _size_within(longest, width, height)
    if size == (width, height):
        return picture
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _size_within(longest: int, width: int, height: int) -> tuple[int, int]:
    """Return the size that a picture is shrunk to, with the same ratio; never a larger one."""
    scale = longest / max(width, height)
    if scale >= 1:
        return width, height
    return max(1, round(width * scale)), max(1, round(height * scale))


def _shrunk(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.BOX)


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


def _decodable_jpeg(data: bytes) -> bytes:
    """Return a JPEG with its end marker, which the decoder needs, even if the file lacks it."""
    layout = read_layout(data)
    if layout is None:
        return data
    if layout.has_too_many_scans:
        raise PictureError("The photo cannot be decoded: it is a JPEG with far too many scans.")
    whole = with_end(data)
    if whole is None:
        raise PictureError(
            "The photo cannot be decoded: this JPEG file is damaged or truncated "
            "(its last scan is not whole)."
        )
    return whole


def _to_8_bit_grey(image: Image.Image) -> Image.Image:
    """Convert 16-bit grey (in any of Pillow's wide modes) to 8-bit grey."""
    wide = np.asarray(image).astype(np.float64)
    return Image.fromarray(np.clip(np.round(wide / 257), 0, 255).astype(np.uint8))
