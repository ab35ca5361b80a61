"""Which image host a client has."""

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
    """The image host that the user has chosen.

    Args:
        host: a host, or the URL of a part of an object store; by default from the environment,
            `PHOTOANIMER_HOST`.
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


class DefaultImageHost:
    """Serves photos from this process to a service on this machine, and to no other.

    Args:
        base_url: the service.

    Attributes:
        reaches_service: whether it is on this machine, so that it can fetch what is served here.
    """

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self.reaches_service = _is_this_machine(base_url)
        self._local = LocalImageHost()

    @asynccontextmanager
    async def publish(self, photo: Photo) -> AsyncIterator[str]:
        """As `LocalImageHost.publish`.

        Raises:
            HostingError: the service is on another machine, and could not fetch the photo.
        """
        if not self.reaches_service:
            raise HostingError(
                f"{shown_photo(photo)}: {shown_url(self._base_url)} can not fetch photos from "
                "this machine. There are three ways out: name the photo's public URL in place "
                f"of the file; have it put into an object store for the while, with {HOST_VARIABLE}"
                "=s3://bucket/prefix, --host or host=, which also takes a host of your own or a "
                "LocalImageHost(public_url=...) behind a tunnel; or use the local service "
                "(--local, or photoanimer serve)."
            )
        async with self._local.publish(photo) as url:
            yield url

    def fetches(self, url: str) -> int:
        """As `LocalImageHost.fetches`.

        Raises:
            HostingError: the URL is not published here, or not any more.
        """
        return self._local.fetches(url)


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
