"""The one module that touches aiohttp's client: `send` makes one request once.

A submit is a GET that costs money, and aiohttp sends a GET again by itself when a kept-alive
connection drops. There is no public switch for that. But what a client middleware raises is
only retried if it is one of aiohttp's own errors, so `_send_once` turns those into one that
is not, except where the connection was never made.
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

_LARGEST_ANSWER = 1_048_576
_CONNECT_SECONDS = 10.0
_CONNECTIONS = 150


class _LostError(Exception):
    """Stands for aiohttp's errors after the connection was made; no `ClientError`, on purpose."""


async def _send_once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        raise _LostError(type(error).__name__) from error


@frozen
class Credentials:
    """Where the service is and the key to it, checked; the key never shows in a repr."""

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

    Args:
        credentials: where to, and with which key.
        session: a session to use; it is not closed. By default one is made and closed here.
        timeout: seconds for one request, from its start to the end of its answer.
        trace_configs: hooks for the session that is made here.

    Raises:
        InvalidRequestError: hooks for a session that is handed in.
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
            raise InvalidRequestError("trace_configs go to the session that is handed in")
        self._trace_configs = trace_configs
        self._credentials = credentials
        self._base_url = credentials.base_url.rstrip("/")
        self._given = session
        self._session = session
        self._headers = CIMultiDict({"APIKEY": credentials.api_key})
        self._urls: dict[str, URL] = {}
        self._timeout = ClientTimeout(total=timeout, sock_connect=min(timeout, _CONNECT_SECONDS))

    async def __aenter__(self) -> Self:
        if self._given is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
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
        if self._given is None and self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def base_url(self) -> str:
        """Where the service is, with its path."""
        return self._base_url

    @property
    def session(self) -> aiohttp.ClientSession:
        """The open session, also for downloads (which carry no key)."""
        if self._session is None:
            raise RuntimeError("the client is not open: use it inside `async with`")
        return self._session

    def _url(self, request: Request) -> URL:
        # Encoded here, since aiohttp's `params` cost more time than the rest of the request's
        # preparation. Nothing is safe, so that whatever is in a value arrives as it is.
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
        """Makes one request. A submit reaches the service at most once.

        Raises:
            NotSentError: the connection was never made.
            NoAnswerError: anything else that kept the answer away, a time-out included.
            UnexpectedResponseError: an answer of more than 1 MiB.
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
                length = response.content_length or _LARGEST_ANSWER + 1
                is_small = length <= _LARGEST_ANSWER and not _is_compressed(response)
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
        except (aiohttp.ClientError, _LostError, OSError) as error:
            raise NoAnswerError(
                f"{operation.value}: no answer from {shown_url(self._base_url)}: {_reason(error)}"
            ) from error


def _encoded(value: str) -> str:
    # Task ids and numbers, which most requests have only, are what they are.
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
        if len(body) > _LARGEST_ANSWER:
            raise UnexpectedResponseError(
                f"{operation.value}: the answer is longer than {_LARGEST_ANSWER} bytes",
                http_status=response.status,
            )
    return bytes(body)


def _is_compressed(response: ClientResponse) -> bool:
    return hdrs.CONTENT_ENCODING in response.headers


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or "connection failed"
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, _LostError):
        return f"the connection was lost ({error})"
    return type(error).__name__
