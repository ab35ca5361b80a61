"""Prepare photos for the service: upright, in an accepted format and size, without metadata.

A photo that the service accepts and that is upright keeps its pixels: only its metadata is removed,
where it has any (`metadata`). Every other photo is decoded and saved as JPEG (`conversion`). A
prepared photo is a temporary file that only this user can read, so memory does not grow with the
number of photos in flight.

Decoding takes up to some hundred megabytes per photo, so at most four photos are prepared at once,
in threads. If the caller is cancelled, its slot stays taken until its thread has ended.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from photoanimer_async.errors import InvalidRequestError, PreparationError
from photoanimer_async.models import Photo
from photoanimer_async.photos.cancellation import ThreadStep
from photoanimer_async.photos.formats import PictureFormat, SourceFormat, detect_format
from photoanimer_async.photos.header import PictureFlawError, require_few_scans
from photoanimer_async.photos.metadata import strip_metadata
from photoanimer_async.photos.opening import open_photo
from photoanimer_async.photos.pictures.jpeg_scans import with_end
from photoanimer_async.photos.rules import (
    MAX_BYTES,
    MAX_SIDE,
    MIN_SIDE,
    inspect_content,
    require_convertible,
)
from photoanimer_async.photos.tiff import with_largest_first
from photoanimer_async.redaction import shown_photo

_MAX_AT_ONCE = 4


class Preparation:
    """Prepares photos for the service, a few at a time.

        async with Preparation().prepared("holiday.heic") as photo:
            ...  # the path of a JPEG, deleted at the end of the block

    Raises:
        InvalidRequestError: Pillow is not installed.
    """

    def __init__(self) -> None:
        try:
            from photoanimer_async.photos import conversion  # noqa: F401, PLC0415 - an extra
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] != "PIL":
                raise
            raise InvalidRequestError(
                "preparing photos needs Pillow: pip install 'photoanimer-async[prepare]', "
                "or turn it off (prepare=False, --no-prepare)"
            ) from None
        self._slots = asyncio.Semaphore(min(_MAX_AT_ONCE, os.cpu_count() or 1))

    @asynccontextmanager
    async def prepared(self, photo: Photo) -> AsyncIterator[Photo]:
        """Prepare a photo; a copy that was made is deleted at the end of the block.

        Args:
            photo: a path, or the content.

        Yields:
            The photo itself if it needs no change, else the path of the prepared copy.

        Raises:
            InvalidPhotoError: it is not a photo, or is damaged, too small, or far too large.
            PreparationError: the library that decodes it is not installed, or the copy cannot be
                saved.
        """
        copy = _TemporaryCopy()
        try:
            async with self._slots:
                prepared = await ThreadStep(asyncio.to_thread(copy.make, photo))
            yield prepared
        finally:
            if copy.folder is not None:
                await ThreadStep(asyncio.to_thread(copy.remove))


class _TemporaryCopy:
    """The temporary file of a prepared photo. Its methods block: call them in a thread."""

    def __init__(self) -> None:
        self.folder: Path | None = None

    def make(self, photo: Photo) -> Photo:
        content = prepare_content(photo)
        if content is None:
            return photo
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="photoanimer-"))
            path = self.folder / f"photo{_suffix(content)}"
            path.write_bytes(content)
        except OSError as error:
            raise PreparationError(
                f"{shown_photo(photo)}: the prepared copy cannot be saved in "
                f"{tempfile.gettempdir()}: {error.strerror}"
            ) from error
        return path

    def remove(self) -> None:
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def prepare_content(photo: Photo) -> bytes | None:
    """Return what to send in place of a photo; `None` to send the photo itself. Blocking.

    Args:
        photo: a path, or the content.

    Raises:
        InvalidPhotoError: it is not a photo, or is damaged, too small, or far too large.
        PreparationError: the library that decodes it is not installed.
    """
    with open_photo(photo) as (file, size):
        return _prepare(file, require_convertible(file, size))


def _prepare(file: BinaryIO, picture_format: PictureFormat | SourceFormat) -> bytes | None:
    from photoanimer_async.photos.conversion import (  # noqa: PLC0415 - an extra
        convert_to_jpeg,
        open_picture,
    )
    from photoanimer_async.photos.pictures.colours import source_profile  # noqa: PLC0415 - an extra
    from photoanimer_async.photos.pictures.orientation import (  # noqa: PLC0415 - an extra
        transposition_of,
    )

    source, stripped = file, None
    if picture_format is PictureFormat.JPEG:
        file = BytesIO(_decodable_jpeg(_content(file)))
    elif picture_format is SourceFormat.TIFF:
        file = with_largest_first(file)
    if isinstance(picture_format, PictureFormat):
        stripped = _stripped(file, picture_format)
    image = open_picture(file, picture_format)
    if min(image.size) < MIN_SIDE:
        raise PictureFlawError(
            f"has {image.width}x{image.height} pixels; a face needs at least {MIN_SIDE}x{MIN_SIDE}"
        )
    profile = source_profile(image, file)
    # Many decoders ignore colours that are stated by anything but an embedded profile.
    has_known_colours = profile is None or profile == image.info.get("icc_profile")
    if stripped is not None and has_known_colours and transposition_of(image) is None:
        return None if stripped == _content(source) else stripped
    if picture_format is PictureFormat.PNG:
        # Pillow looks for Exif behind a PNG's pixels; a failed attempt leaves a black picture.
        image = open_picture(file, picture_format)
    jpeg = convert_to_jpeg(image, profile, max_side=MAX_SIDE, max_bytes=MAX_BYTES)
    inspect_content(BytesIO(jpeg), len(jpeg))
    return jpeg


def _content(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()


def _decodable_jpeg(jpeg: bytes) -> bytes:
    """Return a JPEG with its end marker, which decoders need.

    Raises:
        PictureFlawError: it is cut off, or would take very long to decode.
    """
    require_few_scans(BytesIO(jpeg), PictureFormat.JPEG)
    whole = with_end(jpeg)
    if whole is None:
        raise PictureFlawError("is a JPEG that is cut off or damaged: its last scan is not whole")
    return whole


def _stripped(file: BinaryIO, picture_format: PictureFormat) -> bytes | None:
    """Return an acceptable picture without metadata; `None` if it has to be decoded."""
    try:
        inspect_content(file, file.seek(0, os.SEEK_END))
        return strip_metadata(_content(file), picture_format)
    except PictureFlawError:
        return None


def _suffix(content: bytes) -> str:
    kind = detect_format(BytesIO(content))
    return kind.suffix if isinstance(kind, PictureFormat) else ""
