"""The image host of a client, where the user has chosen one and where not."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from urllib.parse import urlsplit

from photoanimer_async.errors import HostingError
from photoanimer_async.models import Photo
from photoanimer_async.redaction import shown_photo, shown_url
from photoanimer_async.storage.image_host import ImageHost
from photoanimer_async.storage.local_host import LocalImageHost
from photoanimer_async.storage.object_store_host import ObjectStoreHost

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
        case None:
            return DefaultImageHost(base_url)
        case str():
            return ObjectStoreHost(choice)
        case _:
            return choice


class DefaultImageHost(LocalImageHost):
    """A `LocalImageHost` for a service on this machine; any other service cannot reach it.

    Args:
        base_url: the service.

    Attributes:
        reaches_service: whether the service runs on this machine and can fetch photos from here.
    """

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self._service_url = base_url
        self.reaches_service = _is_this_machine(base_url)

    @asynccontextmanager
    async def publish(self, photo: Photo) -> AsyncIterator[str]:
        """Serve a photo as `LocalImageHost.publish` does.

        Raises:
            HostingError: the service is on another machine and could not fetch the photo.
        """
        if not self.reaches_service:
            raise HostingError(
                f"{shown_photo(photo)}: {shown_url(self._service_url)} cannot fetch photos from "
                "this machine. There are three ways out: name the photo's public URL in place "
                f"of the file; have it uploaded to an object store, with {HOST_VARIABLE}"
                "=s3://bucket/prefix, --host or host=, which also takes a host of your own or a "
                "LocalImageHost(public_url=...) behind a tunnel; or use the local service "
                "(--local, or photoanimer serve)."
            )
        async with super().publish(photo) as url:
            yield url


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
