"""Posting a notification to its address: one attempt.

An address is a URL that somebody has named, so it is treated as those of photos are: only
allowed addresses, seen where the socket is made; no redirect is followed, no proxy used; and
what is answered beside the status is read for politeness, a little of it, and dropped.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final, Protocol

import aiohttp

from photoanimer_async.service.fetching.addresses import (
    AddressRules,
    ForbiddenAddressError,
    guarded_connector,
)
from photoanimer_async.service.fetching.fetcher import UnsuitableUrlError, parse_url
from photoanimer_async.service.fetching.resolver import ThreadedResolver
from photoanimer_async.service.notifying.signing import signature_headers
from photoanimer_async.service.storing.outbox import Notification

_SECONDS: Final = 15.0
_CONNECT_SECONDS: Final = 10.0
_READ_SECONDS: Final = 2.0
_MOST_READ: Final = 16 * 1024
_HEADERS: Final = {
    "Content-Type": "application/json",
    "User-Agent": "photoanimer-async local service",
}
_GONE: Final = 410
_SUCCESS: Final = range(200, 300)


class DeliveryError(Exception):
    """An attempt was in vain.

    Attributes:
        why: in a word, for logs.
        retry_after: seconds that the receiver wants to be left alone for; 0 if it did not say.
        is_final: whether the receiver never wants to hear of it again (HTTP status 410).
    """

    def __init__(self, why: str, *, retry_after: float = 0.0, is_final: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.retry_after = retry_after
        self.is_final = is_final


class Sender(Protocol):
    """Makes one attempt to deliver a notification."""

    async def send(self, notification: Notification) -> None:
        """Deliver it.

        Raises:
            DeliveryError: it was not taken, as far as is known.
        """
        ...


class WebhookSender:
    """A `Sender` over http and https; made by `open_sender`."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def send(self, notification: Notification) -> None:
        """Post it; see `Sender.send`."""
        body = notification.body.encode()
        signature = signature_headers(
            notification.message_id, int(time.time()), body, notification.secret
        )
        try:
            async with self._session.post(
                parse_url(notification.url),
                data=body,
                headers=_HEADERS | signature,
                allow_redirects=False,
            ) as response:
                await _read_a_little(response)
        except (aiohttp.ClientError, TimeoutError, UnsuitableUrlError) as error:
            raise DeliveryError(_why(error)) from error
        if response.status not in _SUCCESS:
            raise DeliveryError(
                f"http_{response.status}",
                retry_after=_retry_after(response.headers.get("Retry-After", "")),
                is_final=response.status == _GONE,
            )


@asynccontextmanager
async def open_sender(rules: AddressRules, *, at_once: int) -> AsyncIterator[WebhookSender]:
    """A sender, and its connections closed at the end.

    Args:
        rules: where it may connect to.
        at_once: how many names of hosts are looked up at the same time.
    """
    resolver = ThreadedResolver(at_once)
    try:
        async with aiohttp.ClientSession(
            connector=guarded_connector(rules, resolver=resolver),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=_SECONDS, sock_connect=_CONNECT_SECONDS),
            trust_env=False,
            auto_decompress=False,
        ) as session:
            yield WebhookSender(session)
    finally:
        await resolver.close()


async def _read_a_little(response: aiohttp.ClientResponse) -> None:
    """Let a receiver of the usual kind finish; the status has been said, whatever comes of it."""
    left = _MOST_READ
    with suppress(aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(_READ_SECONDS):
            while left > 0 and (chunk := await response.content.read(left)):
                left -= len(chunk)


def _why(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorError(os_error=ForbiddenAddressError()):
            return "forbidden_address"
        case _:
            return type(error).__name__


def _retry_after(text: str) -> float:
    """Seconds, of a header that holds seconds or a date; 0 where it holds neither."""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - time.time())
