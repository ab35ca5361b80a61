"""The account's remaining video seconds, as the page shows them."""

import logging

from attrs import define

from photoanimer_async import PhotoAnimerClient, PhotoAnimerError
from photoanimer_async.studio.album import ChangeFeed

_log = logging.getLogger(__name__)


@define
class AccountBalance:
    """The account's remaining video seconds, as last read.

    Attributes:
        client: reads the balance.
        feed: receives changes.
        seconds: video seconds left; `None` if unknown.
        error: why they are unknown.
    """

    client: PhotoAnimerClient
    feed: ChangeFeed
    seconds: float | None = None
    error: str | None = None

    async def refresh(self) -> None:
        """Read the balance from the service."""
        try:
            balance = await self.client.get_balance()
            self.seconds, self.error = balance.video, None
        except PhotoAnimerError as error:
            _log.warning("cannot read the account balance: %s", error)
            self.seconds, self.error = None, str(error)
        self.feed.publish("account")
