"""Photos made fit for the service, where that was asked for.

How it works. A photo that fits, stands upright and tells nothing but the picture is left as
it is. One that fits and stands upright, but tells where, when or by what it was taken, loses
that without touching a pixel (`picture_metadata`). All others are decoded and become JPEG
(`conversion`). What is made lies in a file that only this user can read, until the
photo has ended, so that memory does not grow with the photos under way.

A decoded photo takes up to some hundred megabytes. So few are worked on at a time, in
threads, and one whose caller was cancelled keeps its place until its thread has ended.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar

from photoanimer_async.errors import HostingError, InvalidRequestError, PreparationError
from photoanimer_async.models import Photo
from photoanimer_async.photos.check import (
    MAX_BYTES,
    MAX_SIDE,
    MIN_SIDE,
    inspect_content,
    require_convertible,
)
from photoanimer_async.photos.formats import PictureFormat, SourceFormat, detect_format
from photoanimer_async.photos.header import PictureFlawError
from photoanimer_async.photos.metadata import strip_metadata
from photoanimer_async.photos.opening import open_photo
from photoanimer_async.redaction import shown_photo

_P = ParamSpec("_P")
_T = TypeVar("_T")

_MOST_AT_ONCE = 4


class Preparation:
    """Makes photos fit, a few at a time.

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
                "photos are prepared with Pillow: pip install 'photoanimer-async[prepare]', "
                "or do without (prepare=False, --no-prepare)"
            ) from None
        self._slots = asyncio.Semaphore(min(_MOST_AT_ONCE, os.cpu_count() or 1))

    @asynccontextmanager
    async def prepared(self, photo: Photo) -> AsyncIterator[Photo]:
        """The photo as the service takes it, until the end of the block.

        Args:
            photo: a path, or the content.

        Returns:
            The photo itself if it needs nothing, else the path of a file of its own.

        Raises:
            InvalidPhotoError: it is no photo, or is damaged, too small, or far too large.
            PreparationError: a library to read it with, or space for it, is missing.
        """
        copy = _Copy()
        try:
            async with self._slots:
                fit = await _to_its_end(copy.make, photo)
            yield fit
        except HostingError as error:
            # The name of a copy says nothing to anybody.
            told = str(error).replace(shown_photo(fit), shown_photo(photo))
            raise HostingError(told) from error
        finally:
            if copy.folder is not None:
                await _to_its_end(copy.remove)


class _Copy:
    """The file of a photo that had to be changed. Blocking: to be used from threads."""

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
                f"{shown_photo(photo)}: what was made of it can not be kept in "
                f"{tempfile.gettempdir()}: {error.strerror}"
            ) from error
        return path

    def remove(self) -> None:
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def prepare_content(photo: Photo) -> bytes | None:
    """What to send in place of a photo on this machine; `None` for the photo itself. Blocking.

    Raises:
        InvalidPhotoError: it is no photo, or is damaged, too small, or far too large.
        PreparationError: a library to read it with is missing.
    """
    with open_photo(photo) as (file, size):
        return _fit_content(file, size, require_convertible(file, size))


def _fit_content(
    file: BinaryIO, size: int, picture_format: PictureFormat | SourceFormat
) -> bytes | None:
    from photoanimer_async.photos.conversion import (  # noqa: PLC0415 - an extra
        convert_to_jpeg,
        is_upright,
        open_picture,
    )

    plain = None
    if isinstance(picture_format, PictureFormat) and _is_fit(file, size):
        content = _content(file)
        plain = _plain(content, picture_format)
        if plain == content:
            return None
    image = open_picture(file, picture_format)
    if min(image.size) < MIN_SIDE:
        raise PictureFlawError(
            f"has {image.width}x{image.height} pixels; a face needs at least {MIN_SIDE}x{MIN_SIDE}"
        )
    if plain is not None and is_upright(image):
        return plain
    jpeg = convert_to_jpeg(image, longest=MAX_SIDE, fewer_than=MAX_BYTES)
    inspect_content(BytesIO(jpeg), len(jpeg))
    return jpeg


def _is_fit(file: BinaryIO, size: int) -> bool:
    try:
        inspect_content(file, size)
    except PictureFlawError:
        return False
    return True


def _plain(content: bytes, picture_format: PictureFormat) -> bytes | None:
    """The content without metadata; `None` where its parts can not be told apart."""
    try:
        return strip_metadata(content, picture_format)
    except PictureFlawError:
        return None


def _content(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()


def _suffix(content: bytes) -> str:
    kind = detect_format(BytesIO(content))
    return kind.suffix if isinstance(kind, PictureFormat) else ""


async def _to_its_end(step: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Does a step in a thread; if cancelled, when it is done."""
    work = asyncio.ensure_future(asyncio.to_thread(step, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # looked at, so that asyncio does not report it as forgotten
        raise
