"""What is done with a photo before it gets a URL: it is checked, or made fit."""

from collections.abc import Awaitable, Callable

from attrs import frozen

from photoanimer_async.jobs.resources import Holdings
from photoanimer_async.models import Photo
from photoanimer_async.photos.check import check_photo, photo_digest
from photoanimer_async.photos.opening import named_in_errors
from photoanimer_async.photos.preparation import Preparation
from photoanimer_async.redaction import is_url


@frozen
class Intake:
    """How the photos of a batch are taken in.

    Attributes:
        preparation: makes photos of this machine fit; `None` for a check alone.
        check_url: looks at a photo's URL, see `url_check`; `None` to trust what is behind it.
    """

    preparation: Preparation | None = None
    check_url: Callable[[str], Awaitable[None]] | None = None

    async def admitted(self, photo: Photo, held: Holdings) -> Photo:
        """The photo as it is to be published.

        Args:
            photo: as it was handed in.
            held: as long as this is, a copy that was made holds.

        Raises:
            InvalidPhotoError: the service would refuse it.
            PreparationError: it can not be made fit on this machine, or its host does not answer.
        """
        if isinstance(photo, str) and is_url(photo):
            await check_photo(photo)
            if self.check_url is not None:
                with named_in_errors(photo):
                    await self.check_url(photo)
            return photo
        if self.preparation is None:
            await check_photo(photo)
            return photo
        return await held.enter(self.preparation.prepared(photo))

    async def digest(self, photo: Photo) -> bytes:
        """What makes two photos the same: what was handed in, not what is made of it.

        Raises:
            InvalidPhotoError: the service would refuse it, or it can not be made fit.
        """
        return await photo_digest(photo, prepare=self.preparation is not None)
