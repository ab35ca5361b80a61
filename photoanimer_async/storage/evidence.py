"""What an image host can tell about a submit whose answer was lost."""

import asyncio
from typing import Protocol, runtime_checkable

from photoanimer_async.errors import HostingError
from photoanimer_async.models import Evidence

_LOOK_SECONDS = 0.1


@runtime_checkable
class CountsFetches(Protocol):
    """An image host that knows how often a published photo was asked for."""

    def fetches(self, url: str) -> int:
        """How often; see `LocalImageHost.fetches`.

        Raises:
            HostingError: the URL is none of this host's.
        """
        ...


async def evidence_of(host: object, url: str, within: float) -> Evidence:
    """Whether a photo that is still published is fetched, within so many seconds.

    Args:
        host: the image host, whatever it can do.
        url: what it published the photo as, for one submit.
        within: how long to look, if it has not been fetched yet.
    """
    if not isinstance(host, CountsFetches):
        return Evidence.NONE
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    try:
        while not host.fetches(url):
            if loop.time() >= deadline:
                return Evidence.NOT_FETCHED
            await asyncio.sleep(_LOOK_SECONDS)
    except HostingError:
        return Evidence.NONE
    return Evidence.FETCHED
