"""What an image host is: it gives local photos URLs that the service can fetch."""

import asyncio
import logging
import operator
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from photoanimer_async.errors import HostingError
from photoanimer_async.models import Evidence, Photo
from photoanimer_async.photos.cancellation import ends_process
from photoanimer_async.redaction import shown_url

_log = logging.getLogger(__name__)

_CHECK_SECONDS = 0.1


class ImageHost(Protocol):
    """Gives local photos a URL for as long as the service needs them.

    A host of your own is one method:

        class MyUploads:
            @asynccontextmanager
            async def publish(self, photo):
                yield await upload(photo)
    """

    def publish(self, photo: Photo) -> AbstractAsyncContextManager[str]:
        """Return a context manager whose value is the photo's URL, valid until the block ends.

        It is entered once per attempt to submit a photo, while those of attempts that were refused
        are still open; a host may share one upload among them. If each attempt gets a new URL, a
        fetch of that URL proves that this attempt reached the service; a host that counts
        fetches says so with a method `fetches(url)`, as `LocalImageHost.fetches` does.

        Args:
            photo: a path or the content, never a URL. A voice is passed as a path too.

        Raises:
            InvalidPhotoError: not a photo that the service takes.
            HostingError: the photo could not be given a URL.
        """
        ...


@runtime_checkable
class FetchCounter(Protocol):
    """An image host that counts how often a published photo was requested."""

    def fetches(self, url: str) -> int:
        """Return the number of requests so far; see `LocalImageHost.fetches`.

        Raises:
            HostingError: this host has not published the URL, or has withdrawn it.
        """
        ...


@runtime_checkable
class KeptOpen(Protocol):
    """An image host that keeps something between photos, such as a server."""

    def kept_open(self) -> AbstractAsyncContextManager[None]:
        """Return the context in which it is kept; a client enters it until it is closed."""
        ...


async def evidence_of(host: object, url: str, within: float) -> Evidence:
    """Return whether the service fetched a photo: evidence that a submit without answer arrived.

    Args:
        host: any image host; one that does not count fetches, or fails, gives `Evidence.NONE`.
        url: the URL that was published for this one submit, not withdrawn yet.
        within: seconds to wait for a fetch.
    """
    if not isinstance(host, FetchCounter):
        return Evidence.NONE
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while not (fetches := _fetches(host, url)):
        if fetches is None:
            return Evidence.NONE
        if loop.time() >= deadline:
            return Evidence.NOT_FETCHED
        await asyncio.sleep(_CHECK_SECONDS)
    return Evidence.FETCHED


def _fetches(host: FetchCounter, url: str) -> int | None:
    """Return how often a URL was fetched; `None` if the host does not know."""
    try:
        return operator.index(host.fetches(url))  # an async method would count as a fetch
    except HostingError:
        return None
    # A host of the user's may raise anything, and its text may contain the URL. Nothing is awaited:
    # a cancellation is not one of this task.
    except BaseException as error:
        if ends_process(error):
            raise
        reason = type(error).__name__
        _log.warning("%s: its image host cannot count fetches: %s", shown_url(url), reason)
        return None
