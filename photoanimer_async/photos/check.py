"""Check that the service accepts a photo, or make it fit, before money is spent.

A file is judged by its content, never by its name; see `rules`. A `PhotoPreparer` is what a job
uses: by its options photos are checked only, or prepared, and the hosts of URLs are asked.
"""

import asyncio
import hashlib
import os
import re
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

import aiohttp
from attrs import frozen

from photoanimer_async.errors import InvalidPhotoError
from photoanimer_async.models import Photo
from photoanimer_async.photos.formats import PictureFormat
from photoanimer_async.photos.header import PictureFlawError, PictureHeader
from photoanimer_async.photos.opening import named_in_errors, open_photo
from photoanimer_async.photos.rules import inspect_content, require_convertible
from photoanimer_async.photos.url_check import UrlChecker
from photoanimer_async.photos.voice import VoiceFormat, detect_voice_format
from photoanimer_async.redaction import is_url, shown_photo

if TYPE_CHECKING:
    from photoanimer_async.photos.preparation import Preparation

MediaFormat: TypeAlias = PictureFormat | VoiceFormat

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


@frozen
class PhotoPreparer:
    """How the photos of a batch are checked and prepared.

    Attributes:
        preparation: makes photos of this machine fit; `None` to check them only.
        url_checker: checks photos' URLs; `None` to trust them.
    """

    preparation: "Preparation | None" = None
    url_checker: UrlChecker | None = None

    async def prepare(self, photo: Photo, resources: AsyncExitStack) -> Photo:
        """Return the photo as it is to be published.

        Args:
            photo: as it was passed in.
            resources: a prepared copy is kept until these are closed.

        Raises:
            InvalidPhotoError: the service would refuse it.
            PreparationError: it cannot be made fit on this machine, or its host does not answer.
        """
        if isinstance(photo, str) and is_url(photo):
            inspect_photo(photo)
            if self.url_checker is not None:
                await self.url_checker.check(photo)
        elif self.preparation is not None:
            return await resources.enter_async_context(self.preparation.prepared(photo))
        else:
            await check_photo(photo)
        return photo

    async def digest(self, photo: Photo) -> bytes:
        """Return what identifies the photo: a digest of what was passed in, not of a copy.

        Raises:
            InvalidPhotoError: the service would refuse it, or it cannot be made fit.
        """
        return await photo_digest(photo, prepare=self.preparation is not None)


class PhotoPreparers:
    """The preparers of one client, which share their bounds on work at the same time.

    Args:
        session: returns the session for checks of URLs.
    """

    def __init__(self, session: Callable[[], aiohttp.ClientSession]) -> None:
        self._url_checker = UrlChecker(session)
        self._preparation: Preparation | None = None

    def choose(self, *, prepare: bool, check_urls: bool) -> PhotoPreparer:
        """Return the preparer for these options of `PhotoAnimerClient.animate`.

        Raises:
            InvalidRequestError: Pillow, which `prepare` needs, is not installed.
        """
        if prepare and self._preparation is None:
            from photoanimer_async.photos.preparation import (  # noqa: PLC0415 - for `prepare` only
                Preparation,
            )

            self._preparation = Preparation()
        return PhotoPreparer(
            self._preparation if prepare else None, self._url_checker if check_urls else None
        )


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
