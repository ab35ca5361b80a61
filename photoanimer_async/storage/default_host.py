"""The image host of a client, where the user has chosen one and where not."""

import os
from contextlib import AbstractAsyncContextManager
from urllib.parse import urlsplit

from photoanimer_async.errors import HostingError
from photoanimer_async.models import Photo
from photoanimer_async.photos.loopback import is_loopback
from photoanimer_async.redaction import shown_photo, shown_url
from photoanimer_async.storage.image_host import ImageHost

HOST_VARIABLE = "PHOTOANIMER_HOST"


def chosen_host(host: ImageHost | str | None, base_url: str) -> ImageHost:
    """Return the image host that the user has chosen, or the default one.

    Args:
        host: a host, or the URL of a part of an object store; by default that of the
            environment variable `PHOTOANIMER_HOST`.
        base_url: the service; without a choice, photos are served to it from this process.

    Raises:
        InvalidRequestError: see `ObjectStoreHost`.
    """
    choice = host if host is not None else os.environ.get(HOST_VARIABLE) or None
    match choice:
        case None if _is_this_machine(base_url):
            return _local_host()
        case None:
            return NoImageHost(base_url)
        case str():
            return _object_store(choice)
        case _:
            return choice


# A client needs one of these at most, and photos with URLs none: both are loaded when needed.


def _local_host() -> ImageHost:
    from photoanimer_async.storage.local_host import LocalImageHost  # noqa: PLC0415 - see above

    return LocalImageHost()


def _object_store(url: str) -> ImageHost:
    from photoanimer_async.storage.object_store_host import ObjectStoreHost  # noqa: PLC0415

    return ObjectStoreHost(url)


class NoImageHost:
    """Stands for an image host where none was chosen and the service is on another machine.

    Args:
        base_url: the service.
    """

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url

    def publish(self, photo: Photo) -> AbstractAsyncContextManager[str]:
        """Refuse a photo; see `ImageHost.publish`.

        Raises:
            HostingError: always; the text says how photos can reach the service.
        """
        raise HostingError(
            f"{shown_photo(photo)}: {shown_url(self._base_url)} cannot fetch photos from "
            "this machine. There are three ways out: name the photo's public URL in place "
            f"of the file; have it uploaded to an object store, with {HOST_VARIABLE}"
            "=s3://bucket/prefix, --host or host=, which also takes a host of your own or a "
            "LocalImageHost(public_url=...) behind a tunnel; or use the local service "
            "(--local, or photoanimer serve)."
        )


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host.endswith(".localhost") or is_loopback(host)
