"""A receiver, a client that listens to it, and web servers in which it is mounted."""

from collections.abc import AsyncIterator

import pytest

from photoanimer_async import FixedInterval, NotificationReceiver, PhotoAnimerClient

from ..support.receiver_servers import PREFIX, SERVERS
from ..support.stub_service import StubService, quick_client


@pytest.fixture
def receiver() -> NotificationReceiver:
    return NotificationReceiver("zPq8dJ3kVx_4tN-uRb7LwYc1")


@pytest.fixture
async def listening(
    stub: StubService, receiver: NotificationReceiver
) -> AsyncIterator[PhotoAnimerClient]:
    """A client that practically polls only after notifications."""
    async with quick_client(stub.base_url, poll=FixedInterval(3600), receiver=receiver) as client:
        yield client


@pytest.fixture(params=SERVERS)
async def address(
    request: pytest.FixtureRequest, receiver: NotificationReceiver
) -> AsyncIterator[str]:
    """The URL to which notifications are posted, in each framework."""
    async with SERVERS[request.param](receiver) as origin:
        outer = "/outer" if request.param == "starlette" else ""
        yield f"{origin}{outer}{PREFIX}{receiver.path}"
