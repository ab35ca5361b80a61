"""Which photos the studio accepts, and how it prepares them.

An uploaded file is prepared as it arrives (see `Preparation`): the studio keeps, shows and sends
the same file, upright, in a format that every browser can show, without location and time. A
photo that is added by a link is fetched by the service itself, so it must fit unprepared.
"""

import asyncio
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from photoanimer_async import InvalidPhotoError, InvalidRequestError, PreparationError, check_photo
from photoanimer_async.photos.check import MAX_BYTES, MAX_SIDE, MAX_SOURCE_BYTES
from photoanimer_async.photos.formats import PictureFormat
from photoanimer_async.photos.header import PictureHeader
from photoanimer_async.photos.preparation import Preparation
from photoanimer_async.redaction import shown_photo
from photoanimer_async.studio.studio_errors import RefusedError

_HINT = re.compile(r" \(prepare=True [^)]*\)")
_INSTALL_HINT = " (to convert it, pip install 'photoanimer-async[prepare]')"
_UPLOAD_HINT = " (upload the file instead: the studio converts files)"


@frozen
class PhotoPolicy:
    """The limits for photos, and the preparation of files.

    Attributes:
        preparation: converts and resizes files; `None` without Pillow.
        formats: names of the readable formats, such as `PNG`.
    """

    preparation: Preparation | None = None
    formats: Sequence[str] = tuple(kind.name for kind in PictureFormat)

    @property
    def max_bytes(self) -> int:
        """The size in bytes that a file must be smaller than."""
        return MAX_BYTES if self.preparation is None else MAX_SOURCE_BYTES

    @property
    def max_side(self) -> int | None:
        """The largest width and height in pixels; `None` if larger photos are resized."""
        return MAX_SIDE if self.preparation is None else None

    async def prepare_file(self, photo: Path) -> PictureHeader:
        """Replace the file's content by what is to be sent, and return its header.

        Raises:
            RefusedError: it is not a photo, is damaged, too small or too large, or the library
                to read it is not installed.
        """
        with _refusing(photo, _INSTALL_HINT if self.preparation is None else ""):
            if self.preparation is not None:
                async with self.preparation.prepared(photo) as prepared:
                    if isinstance(prepared, Path) and prepared != photo:
                        await asyncio.to_thread(shutil.copyfile, prepared, photo)
            return await _checked_header(photo)

    async def check_linked(self, photo: Path) -> PictureHeader:
        """Return the header of a copy of the photo that the service will fetch itself.

        Raises:
            RefusedError: the service would reject it.
        """
        with _refusing(photo, _UPLOAD_HINT if self.preparation is not None else ""):
            return await _checked_header(photo)


def installed_photo_policy() -> PhotoPolicy:
    """Return the policy that the installed libraries allow. Blocking."""
    try:
        preparation = Preparation()
    except InvalidRequestError:
        return PhotoPolicy()
    from photoanimer_async.photos.conversion import readable_formats  # noqa: PLC0415 - an extra

    return PhotoPolicy(preparation, tuple(kind.name for kind in readable_formats()))


async def _checked_header(photo: Path) -> PictureHeader:
    header = await check_photo(photo)
    assert header is not None  # noqa: S101 - it is None for URLs only
    return header


@contextmanager
def _refusing(photo: Path, hint: str) -> Iterator[None]:
    """Turn errors about a photo into `RefusedError`, without the temporary file's name.

    Args:
        photo: the file.
        hint: replaces the hint for programs in the message.
    """
    try:
        yield
    except (InvalidPhotoError, PreparationError) as error:
        reason = str(error).removeprefix(f"{shown_photo(photo)}: ")
        raise RefusedError(_HINT.sub(hint, reason)) from error
