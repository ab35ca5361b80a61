"""The rules for photos, by their content.

The service accepts PNG, JPEG, BMP and WEBP of at most 4096x4096 pixels and less than 15 MB (API
page, Frequently asked questions). A few KiB of a file are read; of a JPEG of more than one scan the
whole, to count them.
"""

from typing import BinaryIO

from photoanimer_async.photos.formats import (
    PictureFormat,
    SourceFormat,
    describe_content,
    detect_format,
    second_kind,
)
from photoanimer_async.photos.header import (
    PictureFlawError,
    PictureHeader,
    is_complete,
    read_header,
    require_few_scans,
)

MAX_SIDE = 4096
"""Maximum width and height in pixels (API page)."""
MIN_SIDE = 16
"""Minimum width and height in pixels: no face can be detected in a smaller picture."""
MAX_BYTES = 15 * 1024 * 1024
"""A file must be smaller than this ("15MB" on the API page, read as MiB)."""
MAX_SOURCE_BYTES = 256 * 1024 * 1024
"""Maximum size of a file that is to be prepared."""


def inspect_content(file: BinaryIO, size: int) -> PictureHeader:
    """Check the content of a photo.

    Args:
        file: the whole photo; seekable.
        size: its length in bytes.

    Raises:
        PictureFlawError: the service would refuse it; see `check_photo`.
    """
    if not size:
        raise PictureFlawError("is empty")
    header = _read_header(file)
    kind = header.format.name
    if size >= MAX_BYTES:
        raise PictureFlawError(
            f"the {kind} has {size / 2**20:.1f} MB; allowed is less than {MAX_BYTES // 2**20} MB"
            " (prepare=True shrinks it)"
        )
    pixels = f"the {kind} has {header.width}x{header.height} pixels"
    if max(header.width, header.height) > MAX_SIDE:
        raise PictureFlawError(
            f"{pixels}; at most {MAX_SIDE}x{MAX_SIDE} are allowed (prepare=True shrinks it)"
        )
    if min(header.width, header.height) < MIN_SIDE:
        raise PictureFlawError(f"{pixels}; a face needs at least {MIN_SIDE}x{MIN_SIDE}")
    if not is_complete(file, size, header.format):
        raise PictureFlawError(
            f"the {kind} is cut off or damaged: its end is not where it should be"
        )
    require_few_scans(file, header.format)
    _require_one_kind(file, size)
    return header


def require_convertible(file: BinaryIO, size: int) -> PictureFormat | SourceFormat:
    """Check that a file begins like a photo that preparation can convert.

    Args:
        file: the whole photo; seekable.
        size: its length in bytes.

    Returns:
        The photo's format.

    Raises:
        PictureFlawError: the file is not a photo, is larger than `MAX_SOURCE_BYTES`, or is a
            PDF or a ZIP archive as well.
    """
    if not size:
        raise PictureFlawError("is empty")
    kind = detect_format(file)
    if kind is None:
        raise PictureFlawError(
            f"is {describe_content(file)}; allowed are PNG, JPEG, BMP, WEBP, HEIC, AVIF and TIFF"
        )
    if size > MAX_SOURCE_BYTES:
        raise PictureFlawError(
            f"has {size / 2**20:.0f} MB; at most {MAX_SOURCE_BYTES // 2**20} MB can be prepared"
        )
    _require_one_kind(file, size)
    return kind


def _read_header(file: BinaryIO) -> PictureHeader:
    try:
        return read_header(file)
    except PictureFlawError as flaw:
        if isinstance(detect_format(file), SourceFormat):
            raise PictureFlawError(f"{flaw} (prepare=True converts it to JPEG)") from None
        raise


def _require_one_kind(file: BinaryIO, size: int) -> None:
    second = second_kind(file, size)
    if second is not None:
        first = describe_content(file)
        raise PictureFlawError(f"is {first} and {second} at once; allowed is a picture only")
