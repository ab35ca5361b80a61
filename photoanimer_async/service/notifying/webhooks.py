"""One attempt to deliver a notification: a POST to the account's URL.

The URL was written by somebody else, so it is treated like the URL of a photo: connections go to
allowed addresses only. Redirects are not followed. Of the response only the status counts; a
little of its body is read, so that ordinary servers can finish sending it.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final, Protocol

import aiohttp

from photoanimer_async.service.fetching.addresses import AddressRules
from photoanimer_async.service.fetching.fetcher import UnsuitableUrlError, parse_url
from photoanimer_async.service.fetching.guarded_session import (
    ForbiddenAddressError,
    guarded_session,
)
from photoanimer_async.service.notifying.signing import signature_headers
from photoanimer_async.service.storing.outbox import Notification

_SECONDS: Final = 15.0
_READ_SECONDS: Final = 2.0
_MOST_READ: Final = 16 * 1024
_GONE: Final = 410
_SUCCESS: Final = range(200, 300)
_RETRY_SECONDS: Final = re.compile(r"[0-9]+(\.[0-9]*)?")


class DeliveryError(Exception):
    """The receiver did not confirm a notification.

    Attributes:
        why: the reason in one word, for logs.
        retry_after: seconds that the receiver asked to wait; 0 if it did not.
        is_final: whether the receiver wants no further attempt (HTTP status 410).
    """

    def __init__(self, why: str, *, retry_after: float = 0.0, is_final: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.retry_after = retry_after
        self.is_final = is_final


class Sender(Protocol):
    """Makes one attempt to deliver a notification."""

    async def send(self, notification: Notification) -> None:
        """Deliver a notification.

        Raises:
            DeliveryError: the receiver did not confirm it.
        """
        ...


class WebhookSender:
    """A `Sender` over http and https; create it with `open_sender`."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def send(self, notification: Notification) -> None:
        """POST a notification; see `Sender.send`."""
        body = notification.body.encode()
        signature = signature_headers(
            notification.message_id, int(time.time()), body, notification.secret
        )
        try:
            async with self._session.post(
                parse_url(notification.url),
                data=body,
                headers={"Content-Type": "application/json", **signature},
                allow_redirects=False,
            ) as response:
                await _read_start(response)
        except (aiohttp.ClientError, TimeoutError, UnsuitableUrlError) as error:
            raise DeliveryError(_reason(error)) from error
        if response.status not in _SUCCESS:
            raise DeliveryError(
                f"http_{response.status}",
                retry_after=_retry_after(response.headers.get("Retry-After", "")),
                is_final=response.status == _GONE,
            )


@asynccontextmanager
async def open_sender(rules: AddressRules, *, at_once: int) -> AsyncIterator[WebhookSender]:
    """Open a sender; its connections are closed at the end of the block.

    Args:
        rules: the addresses that it may connect to.
        at_once: number of deliveries at the same time.
    """
    async with guarded_session(
        rules, seconds=_SECONDS, lookups=at_once, decompress=False
    ) as session:
        yield WebhookSender(session)


async def _read_start(response: aiohttp.ClientResponse) -> None:
    left = _MOST_READ
    with suppress(aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(_READ_SECONDS):
            while left > 0 and (chunk := await response.content.read(left)):
                left -= len(chunk)


def _reason(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorError(os_error=ForbiddenAddressError()):
            return "forbidden_address"
        case _:
            return type(error).__name__


def _retry_after(text: str) -> float:
    """Return the seconds of a Retry-After header, which has seconds or a date; 0 if neither."""
    if _RETRY_SECONDS.fullmatch(text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
        at = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):  # OverflowError: a time zone or a year without a limit
        return 0.0
    return max(0.0, at - time.time())
