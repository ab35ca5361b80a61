"""Requests go through a real proxy, for http and https, and a submit is still sent once."""

import ssl
import traceback
from collections.abc import AsyncIterator

import aiohttp.connector
import pytest
import trustme

from photoanimer_async import (
    AmbiguousSubmitError,
    InvalidRequestError,
    NotSentError,
    PhotoAnimerError,
)

from ..support.proxy_server import ProxyServer
from ..support.stub_service import API, KEY, StubService, drop_connection, quick_client, serving

# asyncio leaves a TLS transport unclosed that its server has aborted.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

PHOTO = "http://127.0.0.1:9/grandma.jpg?sig=s3cret"


@pytest.fixture(params=["http", "https"])
async def service(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[StubService]:
    service, server_context = StubService(), None
    if request.param == "https":
        authority = trustme.CA()
        server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(server_context)
        client_context = ssl.create_default_context()
        authority.configure_trust(client_context)
        monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", client_context)
    async with serving(service.answer, ssl_context=server_context) as origin:
        service.base_url = origin + API
        yield service


async def test_a_task_is_submitted_and_polled_through_the_proxy(
    service: StubService, proxy: ProxyServer
) -> None:
    async with quick_client(service.base_url, proxy=proxy.url) as client:
        for _ in range(3):
            assert (await client.wait(await client.submit(PHOTO))).result_url
    assert len(service.submits) == 3
    assert {submit.query["imageUrl"] for submit in service.submits} == {PHOTO}
    assert {request.headers["APIKEY"] for request in service.requests} == {KEY}
    if service.base_url.startswith("https:"):  # a plain request belongs to the proxy
        assert all("Proxy-Authorization" not in request.headers for request in service.requests)


async def test_the_environments_proxy_is_used_if_it_is_trusted(
    service: StubService, proxy: ProxyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, proxy.url_with_wrong_password)
    monkeypatch.delenv("no_proxy", raising=False)
    async with quick_client(service.base_url) as client:
        await client.submit(PHOTO)
    async with quick_client(service.base_url, trust_env=True) as client:
        with pytest.raises(NotSentError, match="proxy"):
            await client.submit(PHOTO)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        await client.submit(PHOTO)
    assert len(service.submits) == 2


async def test_a_wrong_password_of_the_proxy_is_not_sent_and_not_shown(
    service: StubService, proxy: ProxyServer
) -> None:
    async with quick_client(service.base_url, proxy=proxy.url_with_wrong_password) as client:
        with pytest.raises(NotSentError, match="proxy") as caught:
            await client.submit(PHOTO)
    shown = "".join(traceback.format_exception(caught.value))
    assert service.submits == []
    for secret in ("wr0ng", "s3cret", KEY):
        assert secret not in shown


async def test_a_submit_whose_answer_is_lost_behind_the_proxy_is_sent_once(
    service: StubService, proxy: ProxyServer
) -> None:
    async with quick_client(service.base_url, proxy=proxy.url) as client:
        await client.submit(PHOTO)
        service.submit_script = [drop_connection]
        with pytest.raises(AmbiguousSubmitError):
            await client.submit(PHOTO)
    assert len(service.submits) == 2


async def test_a_service_that_is_down_behind_the_proxy_was_sent_nothing_by_https(
    proxy: ProxyServer,
) -> None:
    async with quick_client(f"https://127.0.0.1:9{API}", proxy=proxy.url) as client:
        with pytest.raises(NotSentError):
            await client.submit(PHOTO)
    # By plain http the proxy's answer does not tell where the request was lost.
    async with quick_client(f"http://127.0.0.1:9{API}", proxy=proxy.url) as client:
        with pytest.raises(PhotoAnimerError):
            await client.submit(PHOTO)


async def test_a_proxy_that_is_down_was_sent_nothing(service: StubService) -> None:
    async with quick_client(service.base_url, proxy="http://127.0.0.1:9") as client:
        with pytest.raises(NotSentError):
            await client.submit(PHOTO)
    assert service.submits == []


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "proxy.example:3128", "http://", ""])
def test_a_proxy_is_an_http_url(proxy: str) -> None:
    with pytest.raises(InvalidRequestError, match="proxy must be an http or https URL"):
        quick_client(f"http://127.0.0.1:9{API}", proxy=proxy)


@pytest.mark.parametrize("option", [{"proxy": "http://127.0.0.1:9"}, {"trust_env": True}])
async def test_a_session_has_its_own_proxy(option: dict[str, object]) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(InvalidRequestError, match="session"):
            quick_client(f"http://127.0.0.1:9{API}", session=session, **option)
