"""What an image host is."""

from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Protocol

from photoanimer_async.models import Photo
from photoanimer_async.redaction import is_url


class ImageHost(Protocol):
    """Gives local photos a URL for as long as the service needs them.

    A host of one's own is one method, for instance:

        class ImageFolder:
            @asynccontextmanager
            async def publish(self, photo):
                yield await upload(photo)
    """

    def publish(self, photo: Photo) -> AbstractAsyncContextManager[str]:
        """The photo's URL, which holds inside the `async with` block and not after it.

        It is called for each attempt to submit a photo, and should give another URL each time:
        a fetch of it then proves that the attempt which carried it arrived. Such a host tells
        of fetches by a method `fetches(url)`, see `LocalImageHost.fetches`.

        Args:
            photo: a path or the content; never a URL, see `published`. A voice comes as a
                path too.

        Raises:
            InvalidPhotoError: the photo is not one that the service takes.
            HostingError: it could not be given a URL.
        """
        ...


def published(host: ImageHost, photo: Photo) -> AbstractAsyncContextManager[str]:
    """The photo's URL: its own if it is one already, else one that the host gives it.

    Raises:
        InvalidPhotoError, HostingError: from the host, on entering.
    """
    if isinstance(photo, str) and is_url(photo):
        return nullcontext(photo)
    return host.publish(photo)
