"""What several rooms share: a loop that must not be blocked, a stub of the service, a store."""

import os
from collections.abc import AsyncIterator, Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from photoanimer_async import PhotoAnimerClient

from .support.s3_server import S3Server, running_s3
from .support.stub_service import API, StubService, quick_client, serving


@pytest.fixture(autouse=True)
def loop_is_never_blocked() -> Iterator[BlockBuster]:
    """Fails a test in which our own code blocks the event loop."""
    with blockbuster_ctx("photoanimer_async") as blockbuster:
        yield blockbuster


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with running_s3() as server:
        yield server


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """A server with one empty bucket, and the way to it in the environment."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    s3_server.reset()
    return s3_server


@pytest.fixture
async def stub() -> AsyncIterator[StubService]:
    service = StubService()
    async with serving(service.answer) as origin:
        service.base_url = origin + API
        yield service


@pytest.fixture
async def client(stub: StubService) -> AsyncIterator[PhotoAnimerClient]:
    async with quick_client(stub.base_url) as client:
        yield client
