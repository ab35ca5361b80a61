"""Which photos the studio accepts.

An uploaded file is prepared as it arrives (see `photos.preparation`): the studio keeps, shows and
sends the same file, upright, in a format that every browser can show, without location and time.
A photo that is added by a link is fetched by the service itself, so it must fit unprepared.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from photoanimer_async import InvalidPhotoError, InvalidRequestError, PreparationError, check_photo
from photoanimer_async.photos.formats import PictureFormat, SourceFormat
from photoanimer_async.photos.header import PictureHeader
from photoanimer_async.photos.opening import open_photo
from photoanimer_async.photos.preparation import Preparation
from photoanimer_async.photos.rules import (
    MAX_BYTES,
    MAX_SIDE,
    MAX_SOURCE_BYTES,
    require_convertible,
)
from photoanimer_async.redaction import shown_photo
from photoanimer_async.studio.studio_errors import RefusedError


@frozen
class PhotoPolicy:
    """The limits for photos, by what is installed.

    Attributes:
        prepares: whether files are converted and resized; otherwise Pillow is not installed.
        formats: names of the readable formats, such as `PNG`.
    """

    prepares: bool = False
    formats: Sequence[str] = tuple(kind.name for kind in PictureFormat)

    @property
    def max_bytes(self) -> int:
        """The size in bytes that a file must be smaller than."""
        return MAX_SOURCE_BYTES if self.prepares else MAX_BYTES

    @property
    def max_side(self) -> int | None:
        """The largest width and height in pixels; `None` if larger photos are resized."""
        return None if self.prepares else MAX_SIDE

    async def require_readable(self, photo: Path) -> None:
        """Check the first bytes of an uploaded file, before it is decoded.

        Raises:
            RefusedError: it is no photo of these formats.
        """
        kind = await asyncio.to_thread(_format_of, photo)
        if kind.name not in self.formats:
            raise RefusedError(f"is a {kind.name}; to read it, pip install a library for it")


def installed_photo_policy() -> PhotoPolicy:
    """Return the policy that the installed libraries allow. Blocking."""
    try:
        Preparation()
    except InvalidRequestError:
        return PhotoPolicy()
    from photoanimer_async.photos.conversion import readable_formats  # noqa: PLC0415 - an extra

    return PhotoPolicy(prepares=True, formats=tuple(kind.name for kind in readable_formats()))


def _format_of(photo: Path) -> PictureFormat | SourceFormat:
    with _reasons(photo), open_photo(photo) as (file, size):
        return require_convertible(file, size)


async def require_acceptable(photo: Path) -> PictureHeader:
    """Return the header of a file that the service accepts as it is.

    Raises:
        RefusedError: the service would reject it.
    """
    with _reasons(photo):
        header = await check_photo(photo)
    assert header is not None  # noqa: S101 - it is None for URLs only
    return header


@contextmanager
def _reasons(photo: Path) -> Iterator[None]:
    """Turn errors about a photo into `RefusedError`, without the file's name."""
    try:
        yield
    except (InvalidPhotoError, PreparationError) as error:
        raise RefusedError(str(error).removeprefix(f"{shown_photo(photo)}: ")) from error
