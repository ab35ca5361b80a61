"""Check that the service accepts a photo, before money is spent.

The service accepts PNG, JPEG, BMP and WEBP of at most 4096x4096 pixels and less than 15 MB (API
page, Frequently asked questions). A file is judged by its content, never by its name. A few KiB
of it are read; of a JPEG of more than one scan the whole, to count them.
"""

import asyncio
import hashlib
import os
import re
from contextlib import suppress
from functools import lru_cache
from typing import BinaryIO, TypeAlias
from urllib.parse import urlsplit

from photoanimer_async.errors import InvalidPhotoError
from photoanimer_async.models import Photo
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
from photoanimer_async.photos.opening import named_in_errors, open_photo
from photoanimer_async.photos.voice import VoiceFormat, detect_voice_format
from photoanimer_async.redaction import is_url, shown_photo

MediaFormat: TypeAlias = PictureFormat | VoiceFormat

MAX_SIDE = 4096
"""Maximum width and height in pixels (API page)."""
MIN_SIDE = 16
"""Minimum width and height in pixels: no face can be detected in a smaller picture."""
MAX_BYTES = 15 * 1024 * 1024
"""A file must be smaller than this ("15MB" on the API page, read as MiB)."""
MAX_SOURCE_BYTES = 256 * 1024 * 1024
"""Maximum size of a file that is to be prepared."""
MAX_URL_BYTES = 4096
"""Maximum length of a URL: percent-encoded it still fits into a request line of 8 KiB."""

_REMEMBERED = 256
_PLAIN_URL = re.compile(r"https?://[a-z0-9][a-z0-9.-]*(:[0-9]{1,4})?(/[!-~]*)?")
"""Most URLs: there is nothing to be found in them."""
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")


async def check_photo(photo: Photo) -> PictureHeader | None:
    """Check that the service accepts a photo; files are read in a thread.

        header = await check_photo("grandma.jpg")

    Args:
        photo: an http(s) URL, which is checked but not fetched; a path; or the content.

    Returns:
        The format, and the width and height in pixels; `None` for a URL.

    Raises:
        InvalidPhotoError: the file cannot be read, is not PNG, JPEG, BMP or WEBP, has too many
            or too few pixels or bytes, is cut off, would take very long to decode, or is a PDF
            or a ZIP archive as well; or the URL cannot be fetched.
    """
    # A JPEG is decoded if it lacks its end marker.
    is_quick = isinstance(photo, bytes) and not photo.startswith(b"\xff\xd8")
    if is_quick or (isinstance(photo, str) and is_url(photo)):
        return inspect_photo(photo)
    return await asyncio.to_thread(inspect_photo, photo)


def inspect_photo(photo: Photo) -> PictureHeader | None:
    """Do the work of `check_photo`. Blocking."""
    if isinstance(photo, str) and is_url(photo):
        if not _PLAIN_URL.fullmatch(photo) or len(photo) > MAX_URL_BYTES:
            with named_in_errors(photo):
                _inspect_url(photo)
        return None
    if isinstance(photo, str | os.PathLike):
        with suppress(OSError, ValueError):
            status = os.stat(photo)  # noqa: PTH116 - `Path("")` would be the current folder
            version = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
            return _inspect_file(os.fspath(photo), *version, status.st_ctime_ns)
    return _inspect(photo)


def _inspect(photo: Photo) -> PictureHeader:
    with open_photo(photo) as (file, size):
        return inspect_content(file, size)


@lru_cache(_REMEMBERED)
def _inspect_file(path: str, *_version: int) -> PictureHeader:
    """Inspect a file once: a job does so before it may pay, and again when it publishes it."""
    return _inspect(path)


def detect_media_format(photo: Photo) -> MediaFormat:
    """Return the format of a photo, or of a file that is a voice. Blocking.

    Raises:
        InvalidPhotoError: a URL, or not a photo or voice that the service takes.
    """
    try:
        header = inspect_photo(photo)
    except InvalidPhotoError:
        if (sound := detect_voice_format(photo)) is not None:
            return sound
        raise
    if header is None:
        name = shown_photo(photo)
        raise InvalidPhotoError(f"{name}: has a URL already", photo=name)
    return header.format


async def photo_digest(photo: Photo, *, prepare: bool = False) -> bytes:
    """Return the SHA-256 by which two photos are the same: of the content, or of a URL's text.

    Args:
        photo: the photo as the caller passed it, before any preparation.
        prepare: whether the photo will be prepared; then it need not be acceptable yet.

    Raises:
        InvalidPhotoError: see `check_photo`, and `require_convertible` with `prepare`.
    """
    if isinstance(photo, str) and is_url(photo):
        inspect_photo(photo)
        return hashlib.sha256(b"url\0" + photo.encode()).digest()
    return await asyncio.to_thread(_content_digest, photo, prepare=prepare)


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


def _content_digest(photo: Photo, *, prepare: bool) -> bytes:
    with open_photo(photo) as (file, size):
        if prepare:
            require_convertible(file, size)
        else:
            inspect_content(file, size)
        file.seek(0)
        return hashlib.file_digest(file, "sha256").digest()


def _inspect_url(url: str) -> None:
    if _CONTROL_CHARACTER.search(url):
        raise PictureFlawError("the URL contains control characters")
    try:
        size = len(url.encode())
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:  # a lone surrogate, a port that is not a number, an unpaired bracket
        raise PictureFlawError("the URL is malformed") from None
    if size > MAX_URL_BYTES:
        raise PictureFlawError(f"the URL has {size} bytes; at most {MAX_URL_BYTES} can be sent")
    if not host:
        raise PictureFlawError("the URL has no host")
    if "@" in parts.netloc:
        raise PictureFlawError(
            "the URL contains a user name or password, which the service would receive"
        )


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
