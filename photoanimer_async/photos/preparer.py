"""What a photo goes through before it gets a URL: it is checked, or made fit."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import aiohttp
from attrs import frozen

from photoanimer_async.models import Photo
from photoanimer_async.photos.check import check_photo, inspect_photo, photo_digest
from photoanimer_async.photos.url_check import UrlChecker
from photoanimer_async.redaction import is_url

if TYPE_CHECKING:
    from photoanimer_async.photos.preparation import Preparation


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
