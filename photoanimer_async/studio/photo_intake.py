"""Which photos are taken, and how they become what the service takes.

A photo that comes as a file is prepared as it arrives, see `Preparation`: what the studio keeps,
shows and sends is one and the same file, upright, in a format that every browser can show, and
without the place and time that a phone writes into it. One that comes as a URL is fetched from
there by the service, as it is; so it must be fit already.
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
from photoanimer_async.studio.refused import RefusedError

_HINT = re.compile(r" \(prepare=True [^)]*\)")
_NOT_INSTALLED = " (to have it made fit, pip install 'photoanimer-async[prepare]')"
_AS_A_FILE = " (as a file it would be made fit)"


@frozen
class Admission:
    """What photos may be.

    Attributes:
        preparation: makes files fit; `None` without Pillow, where they must be fit already.
        formats: the formats that can be read, `PNG` and so on.
    """

    preparation: Preparation | None = None
    formats: Sequence[str] = tuple(kind.name for kind in PictureFormat)

    @property
    def limit(self) -> int:
        """A file has fewer bytes than this."""
        return MAX_BYTES if self.preparation is None else MAX_SOURCE_BYTES

    @property
    def longest_side(self) -> int | None:
        """Pixels of width and of height, at most; `None` if larger photos are made smaller."""
        return MAX_SIDE if self.preparation is None else None

    async def admit_file(self, photo: Path) -> PictureHeader:
        """Has the file hold what is to be sent; what it held is gone then.

        Raises:
            RefusedError: it is no photo, or damaged, too small, or far too large; or what it
                takes to read it is not installed.
        """
        with _refusing(photo, _NOT_INSTALLED if self.preparation is None else ""):
            if self.preparation is not None:
                async with self.preparation.prepared(photo) as fit:
                    if isinstance(fit, Path) and fit != photo:
                        await asyncio.to_thread(shutil.copyfile, fit, photo)
            return await _header(photo)

    async def admit_copy(self, photo: Path) -> PictureHeader:
        """Looks at a copy of what the service will fetch by itself.

        Raises:
            RefusedError: the service would not take it.
        """
        with _refusing(photo, _AS_A_FILE if self.preparation is not None else ""):
            return await _header(photo)


async def _header(photo: Path) -> PictureHeader:
    header = await check_photo(photo)
    assert header is not None  # noqa: S101 - only a URL has none
    return header


@contextmanager
def _refusing(photo: Path, hint: str) -> Iterator[None]:
    """Says what is wrong for the person at the page, who sees the photo's own name beside it.

    Args:
        photo: the file.
        hint: in place of the one that is for programs.
    """
    try:
        yield
    except (InvalidPhotoError, PreparationError) as error:
        why = str(error).removeprefix(f"{shown_photo(photo)}: ")
        raise RefusedError(_HINT.sub(hint, why)) from error


def installed_admission() -> Admission:
    """What is possible with the libraries that are installed. Blocking."""
    try:
        preparation = Preparation()
    except InvalidRequestError:
        return Admission()
    from photoanimer_async.photos.conversion import readable_formats  # noqa: PLC0415 - an extra

    return Admission(preparation, tuple(kind.name for kind in readable_formats()))
