"""The host of a client that was given none."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from urllib.parse import urlsplit

from photoanimer_async.errors import HostingError
from photoanimer_async.hosting.local import LocalImageHost
from photoanimer_async.models import Photo
from photoanimer_async.redaction import shown_photo, shown_url


class DefaultImageHost:
    """Serves photos from this process to a service on this machine, and to no other.

    Args:
        base_url: the service.
    """

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._reaches_us = _is_this_machine(base_url)
        self._local = LocalImageHost()

    @asynccontextmanager
    async def publish(self, photo: Photo) -> AsyncIterator[str]:
        """As `LocalImageHost.publish`.

        Raises:
            HostingError: the service is on another machine, and could not fetch the photo.
        """
        if not self._reaches_us:
            raise HostingError(
                f"{shown_photo(photo)}: {shown_url(self._base_url)} can not fetch photos from "
                "this machine. Pass the photo's public URL in place of a file; or pass host=, "
                "for instance LocalImageHost(public_url=...) behind a tunnel, or a host of "
                "your own; or use the local service (photoanimer serve)."
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
