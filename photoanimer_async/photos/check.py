"""What a photo must be, checked before money is spent.

The service takes PNG, JPEG, BMP and WEBP of at most 4096x4096 pixels and less than 15 MB (API
page, Frequently asked questions). The file's content counts, its name for nothing. Only a
few KiB of it are read. A pipe or a device is never opened.
"""

import asyncio
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO, FileIO
from typing import BinaryIO
from urllib.parse import urlsplit

from photoanimer_async.errors import InvalidPhotoError, PreparationError
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
)
from photoanimer_async.redaction import is_url, shown_photo

MAX_SIDE = 4096
"""Pixels of width and of height, at most (API page)."""
MIN_SIDE = 16
"""Pixels of width and of height, at least: in less than this, no face can be made out."""
MAX_BYTES = 15 * 1024 * 1024
"""A file has fewer bytes than this. "15MB" on the API page, in its larger reading."""
MAX_SOURCE_BYTES = 256 * 1024 * 1024
"""A file that is to be prepared has at most so many bytes."""
MAX_URL_BYTES = 4096
"""A URL of this length still fits, percent-encoded, into the 8 KiB of a usual request line."""

_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
_OTHER_SCHEMES = frozenset({"data", "file", "ftp", "gs", "s3"})


async def check_photo(photo: Photo) -> PictureHeader | None:
    """`inspect_photo` with the file work in a thread.

    Raises:
        InvalidPhotoError: see there.
    """
    if isinstance(photo, bytes) or (isinstance(photo, str) and is_url(photo)):
        return inspect_photo(photo)
    return await asyncio.to_thread(inspect_photo, photo)


async def photo_digest(photo: Photo, *, prepare: bool = False) -> bytes:
    """What makes two photos the same: their content, or for URLs the text of the URL.

    Args:
        photo: as it was handed in. What preparation makes of it does not count.
        prepare: whether it will be prepared, so that it need not be fit yet.

    Raises:
        InvalidPhotoError: a file or content that the service would refuse; see `inspect_photo`,
            and `require_convertible` for one that will be prepared.
    """
    if isinstance(photo, str) and is_url(photo):
        return hashlib.sha256(b"url\0" + photo.encode(errors="replace")).digest()
    return await asyncio.to_thread(_content_digest, photo, prepare=prepare)


def _content_digest(photo: Photo, *, prepare: bool) -> bytes:
    with open_photo(photo) as (file, size):
        if prepare:
            require_convertible(file, size)
        else:
            inspect_content(file, size)
        file.seek(0)
        return hashlib.file_digest(file, "sha256").digest()


def inspect_photo(photo: Photo) -> PictureHeader | None:
    """Checks that the service would take the photo, as far as can be seen from here.

    Args:
        photo: an http(s) URL, which is only looked at and not fetched; a path; or the content.

    Returns:
        What the photo's header says; `None` for a URL.

    Raises:
        InvalidPhotoError: no such file or none that can be read; another format; too many
            pixels or bytes, or too few; cut off; a PDF or a ZIP archive at the same time; a
            URL that can not be fetched.
    """
    if isinstance(photo, str) and is_url(photo):
        with named_in_errors(photo):
            _inspect_url(photo)
        return None
    with open_photo(photo) as (file, size):
        return inspect_content(file, size)


@contextmanager
def open_photo(photo: Photo) -> Iterator[tuple[FileIO | BytesIO, int]]:
    """The content of a photo on this machine, and how many bytes it has. Blocking.

    Raises:
        InvalidPhotoError: it can not be read; also for a flaw that is found in the block.
    """
    with named_in_errors(photo):
        if isinstance(photo, bytes):
            yield BytesIO(photo), len(photo)
        else:
            with _opened_file(photo) as (file, size):
                yield file, size


@contextmanager
def named_in_errors(photo: Photo) -> Iterator[None]:
    """Puts the photo's name before what is said of it in the block.

    Raises:
        InvalidPhotoError: a flaw was found.
        PreparationError: it could not be got ready.
    """
    name = _name(photo)
    try:
        yield
    except PictureFlawError as flaw:
        raise InvalidPhotoError(f"{name}: {flaw}", photo=name) from None
    except PreparationError as error:
        raise PreparationError(f"{name}: {error}") from error.__cause__


def _name(photo: object) -> str:
    if isinstance(photo, str | bytes | os.PathLike):
        return shown_photo(photo) or "(an empty name)"
    kind = type(photo).__name__
    raise InvalidPhotoError(f"a photo is a URL, a path or bytes, not {kind}", photo=kind)


# --- URLs and files ---


def _inspect_url(url: str) -> None:
    if _CONTROL_CHARACTER.search(url):
        raise PictureFlawError("the URL holds control characters")
    try:
        size = len(url.encode())
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:  # a lone surrogate, a port that is no number, a bracket without its pair
        raise PictureFlawError("the URL is malformed") from None
    if size > MAX_URL_BYTES:
        raise PictureFlawError(f"the URL has {size} bytes; at most {MAX_URL_BYTES} can be sent")
    if not host:
        raise PictureFlawError("the URL names no host")
    if "@" in parts.netloc:
        raise PictureFlawError(
            "the URL holds a user name, and a password would be given away with it"
        )


@contextmanager
def _opened_file(path: str | os.PathLike[str]) -> Iterator[tuple[FileIO, int]]:
    try:
        _require_file(os.stat(path))  # noqa: PTH116 - `Path("")` would be the current folder
        # Should a pipe have taken the file's place since, opening it does not block.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise PictureFlawError(_why_not_read(os.fspath(path), error)) from None
    except ValueError:  # a null character, or a surrogate that stands for no byte
        raise PictureFlawError("no file can have such a name") from None
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        _require_file(status)
        try:
            yield file, status.st_size
        except OSError as error:
            raise PictureFlawError(_why_not_read(os.fspath(path), error)) from None


def _why_not_read(path: str, error: OSError) -> str:
    scheme, colon, _ = path.partition(":")
    if colon and scheme.lower() in _OTHER_SCHEMES:
        return f"{scheme} URLs are not taken; http and https are"
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return f"can not be read: {error.strerror}"


def _require_file(status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    raise PictureFlawError(f"is {kinds.get(stat.S_IFMT(status.st_mode), 'a device')}, not a file")


def inspect_content(file: BinaryIO, size: int) -> PictureHeader:
    """`inspect_photo` for an open file and its length in bytes.

    Raises:
        PictureFlawError: in place of `InvalidPhotoError`, with no name before it.
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
    shape = f"the {kind} has {header.width}x{header.height} pixels"
    if max(header.width, header.height) > MAX_SIDE:
        raise PictureFlawError(
            f"{shape}; at most {MAX_SIDE}x{MAX_SIDE} are allowed (prepare=True shrinks it)"
        )
    if min(header.width, header.height) < MIN_SIDE:
        raise PictureFlawError(f"{shape}; a face needs at least {MIN_SIDE}x{MIN_SIDE}")
    if not is_complete(file, size, header.format):
        raise PictureFlawError(
            f"the {kind} is cut off or damaged: its end is not where it should be"
        )
    _require_one_nature(file, size)
    return header


def _read_header(file: BinaryIO) -> PictureHeader:
    try:
        return read_header(file)
    except PictureFlawError as flaw:
        if isinstance(detect_format(file), SourceFormat):
            raise PictureFlawError(f"{flaw} (prepare=True makes a JPEG of it)") from None
        raise


def require_convertible(file: BinaryIO, size: int) -> PictureFormat | SourceFormat:
    """Checks that a file is a photo that can be made fit, or at least begins as one.

    Args:
        file: the content.
        size: its length in bytes.

    Returns:
        Its format.

    Raises:
        PictureFlawError: it is no photo; it is far too large; it is a PDF or a ZIP archive at
            the same time.
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
    _require_one_nature(file, size)
    return kind


def _require_one_nature(file: BinaryIO, size: int) -> None:
    besides = second_kind(file, size)
    if besides is not None:
        raise PictureFlawError(
            f"is {describe_content(file)} and {besides} at once; allowed is a picture"
        )
