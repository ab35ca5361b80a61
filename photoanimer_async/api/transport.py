"""Send one request to the service over aiohttp, and a submit at most once.

A submit is a GET that costs money, and aiohttp resends a GET by itself when a kept-alive connection
drops. It has no public switch for that, but it resends only after its own exceptions. The client
middleware `_send_once` therefore turns them into another exception, except where no connection was
made.
"""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self
from urllib.parse import quote

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, ClientTimeout, hdrs
from attrs import frozen
from multidict import CIMultiDict
from yarl import URL

from photoanimer_async.api.answers import Answer
from photoanimer_async.api.wire import Operation, Request
from photoanimer_async.errors import (
    InvalidRequestError,
    NoAnswerError,
    NotSentError,
    UnexpectedResponseError,
)
from photoanimer_async.redaction import is_url, shown_url

_MAX_BODY_BYTES = 1_048_576
_CONNECT_SECONDS = 10.0
_MAX_CONNECTIONS = 150


class _ConnectionLostError(Exception):
    """The connection failed after it was made. Not a `ClientError`: aiohttp would resend."""


async def _send_once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        raise _ConnectionLostError(type(error).__name__) from error


@frozen
class Credentials:
    """The service's base URL and API key, validated; `repr` omits the key.

    Raises:
        InvalidRequestError: the URL is not an http(s) URL with a host, or the key is empty or not
            printable ASCII.
    """

    base_url: str
    api_key: str

    def __attrs_post_init__(self) -> None:
        if not _has_host(self.base_url):
            raise InvalidRequestError(
                f"base_url must be an http or https URL, not {shown_url(self.base_url)}"
            )
        if not self.api_key or not self.api_key.isprintable() or not self.api_key.isascii():
            raise InvalidRequestError("api_key must be printable ASCII, and not empty")

    def __repr__(self) -> str:
        return f"Credentials(base_url={shown_url(self.base_url)!r})"


class Transport:
    """Sends requests to one service over one aiohttp session.

        async with Transport(Credentials(base_url, api_key)) as transport:
            answer = await transport.send(wire.build_get_balance())

    Args:
        credentials: the service's base URL and API key.
        session: the caller's session, which is not closed; by default, a session is created and
            closed here.
        timeout: seconds for one request, from its start to the end of its answer.
        trace_configs: trace hooks for the session that is created here.

    Raises:
        InvalidRequestError: both a session and trace hooks are given.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        session: aiohttp.ClientSession | None = None,
        timeout: float = 60.0,
        trace_configs: Sequence[aiohttp.TraceConfig] = (),
    ) -> None:
        if session is not None and trace_configs:
            raise InvalidRequestError(
                "trace_configs cannot be used with session: create the session with them"
            )
        self._trace_configs = trace_configs
        self._credentials = credentials
        self._base_url = credentials.base_url.rstrip("/")
        self._owns_session = session is None
        self._session = session
        self._headers = CIMultiDict({"APIKEY": credentials.api_key})
        self._urls: dict[str, URL] = {}
        self._timeout = ClientTimeout(total=timeout, sock_connect=min(timeout, _CONNECT_SECONDS))

    async def __aenter__(self) -> Self:
        if self._owns_session:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_MAX_CONNECTIONS),
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=list(self._trace_configs),
            )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._owns_session and self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def base_url(self) -> str:
        """The service's base URL with its path, without a slash at its end."""
        return self._base_url

    @property
    def session(self) -> aiohttp.ClientSession:
        """The open session, also for downloads, which carry no key.

        Raises:
            RuntimeError: the transport is not open.
        """
        if self._session is None:
            raise RuntimeError("the client is not open: use it inside `async with`")
        return self._session

    def _url(self, request: Request) -> URL:
        # Encoded here, since aiohttp's `params` cost more time than the rest of the preparation.
        # No character is exempt from quoting, so every value arrives as it is.
        url = self._urls.get(request.path)
        if url is None:
            url = self._urls[request.path] = URL(self._base_url + request.path, encoded=True)
        query = "&".join([f"{name}={_encoded(value)}" for name, value in request.params.items()])
        return URL.build(
            scheme=url.scheme,
            authority=url.raw_authority,
            path=url.raw_path,
            query_string=query,
            encoded=True,
        )

    async def send(self, request: Request) -> Answer:
        """Send one request and return its answer. A submit reaches the service at most once.

        Raises:
            NotSentError: no connection was made, so nothing was sent.
            NoAnswerError: the answer is missing for any other reason, a timeout included.
            UnexpectedResponseError: the answer is larger than 1 MiB.
        """
        operation = request.operation
        try:
            async with self.session.get(
                self._url(request),
                headers=self._headers,
                allow_redirects=False,
                raise_for_status=False,
                timeout=self._timeout,
                middlewares=(_send_once,) if operation is Operation.SUBMIT else None,
            ) as response:
                length = response.content_length or _MAX_BODY_BYTES + 1
                is_small = length <= _MAX_BODY_BYTES and not _is_compressed(response)
                body = await (response.read() if is_small else _read_bounded(response, operation))
                return Answer(
                    operation=operation,
                    status=response.status,
                    headers=response.headers,
                    body=body,
                    received_at=time.time(),
                    secret=self._credentials.api_key,
                )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSentError(
                f"{operation.value}: no connection to {shown_url(self._base_url)}: {_reason(error)}"
            ) from error
        except (aiohttp.ClientError, _ConnectionLostError, OSError) as error:
            raise NoAnswerError(
                f"{operation.value}: no answer from {shown_url(self._base_url)}: {_reason(error)}"
            ) from error


def _encoded(value: str) -> str:
    # Most values are task ids and numbers, which need no quoting.
    return value if value.isalnum() and value.isascii() else quote(value, "")


def _has_host(url: str) -> bool:
    try:
        return is_url(url) and bool(URL(url).host)
    except ValueError:
        return False


async def _read_bounded(response: ClientResponse, operation: Operation) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            raise UnexpectedResponseError(
                f"{operation.value}: the answer is larger than {_MAX_BODY_BYTES} bytes",
                http_status=response.status,
            )
    return bytes(body)


def _is_compressed(response: ClientResponse) -> bool:
    return hdrs.CONTENT_ENCODING in response.headers


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or "connection failed"
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, _ConnectionLostError):
        return f"the connection was lost ({error})"
    return type(error).__name__
