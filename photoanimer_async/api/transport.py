"""Send one request to the service over aiohttp, and a submit at most once.

A submit is a GET that costs money, and aiohttp resends a GET by itself when a kept-alive connection
drops. It has no public switch for that, but it resends only after its own exceptions. The client
middleware `_send_once` therefore turns them into another exception, except where no connection was
made.

A request that has no connection yet was provably not sent, whatever happens to it; see `Delivery`.
"""

import asyncio
import resource
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, ClientTimeout, hdrs
from attrs import frozen
from multidict import CIMultiDict
from yarl import URL

from photoanimer_async.api.answers import Answer
from photoanimer_async.api.base_url import check_base_url
from photoanimer_async.api.body import MAX_BODY_BYTES, decompressed
from photoanimer_async.api.send_errors import (
    PROVABLY_NOT_SENT,
    PROXY_AUTHENTICATION_REQUIRED,
    ConnectionLostError,
    failure_of,
    mark_unsent,
    reason_of,
    refused_by_proxy,
    session_closed,
)
from photoanimer_async.api.time_limits import (
    Delivery,
    ReportingConnector,
    TimeLimits,
    connection_hooks,
    current_delivery,
)
from photoanimer_async.api.wire import Operation, Request
from photoanimer_async.errors import InvalidRequestError, NoAnswerError, PhotoAnimerError
from photoanimer_async.photos.cancellation import ends_task
from photoanimer_async.photos.links import HEADER_LIMITS
from photoanimer_async.redaction import is_url, shown_url

_T = TypeVar("_T")

_MAX_CONNECTIONS = 150
"""With no limit, aiohttp sends half as many requests a second."""
_OTHER_FILES = 20
"""Open files of the program that are no connection's: its streams, a journal, libraries."""
_FILES_PER_CONNECTION = 4
"""The connection; that by which the service fetches the photo; the photo; the result."""

_RECENT_SECONDS = 0.005
"""For how long a check for closed connections holds: submits often come together."""

_REQUEST = aiohttp.ClientSession._request  # noqa: SLF001 - subclasses and mocks replace it
_KEPT_BLOCK = 2**19  # twice what asyncio reads into


async def _send_once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    try:
        return await handler(request)
    except PROVABLY_NOT_SENT:
        raise
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        raise ConnectionLostError(type(error).__name__) from None


def _keep_read_buffers() -> None:
    """Have the C library reuse the memory of reads, instead of mapping it anew for each one.

    asyncio reads into 256 KiB and then shrinks them to what has arrived, so that glibc maps, moves
    and unmaps memory for every answer; where the process has a second thread, such as a journal's,
    each time interrupts all of its processors. Blocks as large as the largest one that was ever
    freed are not mapped any more (M_MMAP_THRESHOLD in mallopt(3)), unless the program has set that
    threshold itself. Elsewhere this has no effect.
    """
    bytes(_KEPT_BLOCK)


@frozen
class Credentials:
    """The service's base URL and API key, validated; `repr` omits the key.

    Raises:
        InvalidRequestError: the URL is wrong, as `check_base_url` says, or the key is empty or
            not printable ASCII.
    """

    base_url: str
    api_key: str

    def __attrs_post_init__(self) -> None:
        check_base_url(self.base_url)
        if not self.api_key or not self.api_key.isprintable() or not self.api_key.isascii():
            raise InvalidRequestError("api_key must be printable ASCII, and not empty")

    def __repr__(self) -> str:
        return f"Credentials(base_url={shown_url(self.base_url)!r})"


class Transport:
    """Sends requests to one service over one aiohttp session.

        async with Transport(Credentials(base_url, api_key)) as transport:
            balance = await transport.send(wire.build_get_balance())

    Args:
        credentials: the service's base URL and API key.
        session: the caller's session, which is not closed; by default, a session is created and
            closed here.
        timeout: seconds for one request, from the moment it has a connection to the end of its
            answer. For reads over a session that is created here, connecting counts too.
        trace_configs: trace hooks for the session that is created here.
        proxy: URL of the proxy for all requests of the session that is created here.
        trust_env: whether that session takes proxies from the environment (`HTTPS_PROXY`,
            `HTTP_PROXY`, `NO_PROXY`) and keys from `~/.netrc`, as aiohttp does.

    Attributes:
        limits: the time limits of its requests.
        session: the open session, also for downloads, which carry no key; set when it is entered.

    Raises:
        InvalidRequestError: a session together with options for a new one, or a wrong proxy URL.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        session: aiohttp.ClientSession | None = None,
        timeout: float = 60.0,
        trace_configs: Sequence[aiohttp.TraceConfig] = (),
        proxy: str | None = None,
        trust_env: bool = False,
    ) -> None:
        options = {"trace_configs": trace_configs, "proxy": proxy, "trust_env": trust_env}
        if session is not None and (given := [name for name in options if options[name]]):
            raise InvalidRequestError(
                f"{given[0]} cannot be used with session: create the session with it"
            )
        if proxy is not None and not _has_host(proxy):
            raise InvalidRequestError(
                f"proxy must be an http or https URL, not {shown_url(proxy)}; for others pass "
                "a session with a connector for them"
            )
        self._trace_configs = trace_configs
        self._proxy = proxy
        self._trust_env = trust_env
        self._credentials = credentials
        self._base_url = credentials.base_url.rstrip("/")
        self._given_session = session
        self._hooks = connection_hooks()
        self._has_hooks = False
        self._headers = CIMultiDict({"APIKEY": credentials.api_key, "Accept-Encoding": "identity"})
        base = URL(self._base_url, encoded=True)
        self._scheme, self._authority, self._root = base.scheme, base.raw_authority, base.raw_path
        self.limits = TimeLimits()
        self._seconds = timeout
        self._noticed_until = 0.0  # connections that were closed before are not in the pool
        self._timeout = ClientTimeout(total=None, sock_connect=min(timeout, 10.0))

    async def __aenter__(self) -> Self:
        _keep_read_buffers()
        if self._given_session is None:
            self.session = aiohttp.ClientSession(
                connector=ReportingConnector(most_connections()),
                cookie_jar=aiohttp.DummyCookieJar(),
                # Before the user's, which may raise.
                trace_configs=[self._hooks, *self._trace_configs] if self._trace_configs else None,
                proxy=self._proxy,
                trust_env=self._trust_env,
            )
        else:
            self.session = self._given_session
            self.session.trace_configs.insert(0, self._hooks)  # likewise
        self._has_hooks = self._hooks in self.session.trace_configs
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.limits.close()
        if self._given_session is None:
            await self.session.close()
        elif self._hooks in self.session.trace_configs:  # the session's owner may have removed them
            self.session.trace_configs.remove(self._hooks)

    @property
    def base_url(self) -> str:
        """The service's base URL with its path, without a slash at its end."""
        return self._base_url

    def _url(self, request: Request[Any]) -> URL:
        # The query is encoded already, since aiohttp's `params` cost more than the rest of it.
        return URL.build(
            scheme=self._scheme,
            authority=self._authority,
            path=self._root + request.path,
            query_string=request.query,
            encoded=True,
        )

    async def send(self, request: Request[_T]) -> _T:
        """Send one request and return what its answer says. A submit arrives at most once.

        Of an answer whose body is cut off, by a limit or by a failure, what arrived is read.

        Raises:
            NotSentError: no connection was made, so nothing was sent.
            NoAnswerError: no answer has begun to arrive, for any other reason.
            ApiError, UnexpectedResponseError: see `answers`.
        """
        operation, middlewares = request.operation, None
        session = self._open_session(operation)
        is_submit = operation is Operation.SUBMIT
        if is_submit:
            middlewares = (_send_once,)
            await self._notice_closed_connections()
        url = self._url(request)
        response: ClientResponse | None = None
        body, cut = bytearray(), ""
        failure: PhotoAnimerError | None = None
        steps_are_known = is_submit and self._reports_steps()
        delivery = Delivery(self.limits, self._seconds, is_reported=steps_are_known)
        is_reported = is_submit or self._has_hooks
        if is_reported:
            current_delivery.set(delivery)
        try:
            with delivery:
                # Not by `async with`: an answer that is read to its end needs no clean-up.
                response = await session.get(
                    url,
                    headers=self._headers,
                    allow_redirects=False,
                    raise_for_status=False,
                    timeout=self._timeout,
                    auto_decompress=False,
                    middlewares=middlewares,
                    **HEADER_LIMITS,
                )
                cut = await _read(response, body)
        except BaseException as error:  # foreign code may raise anything
            if ends_task(error):
                if response is not None:
                    response.close()
                if not delivery.may_have_left:
                    mark_unsent(error)
                raise
            if response is None:
                failure = failure_of(
                    operation, self._base_url, error, may_have_left=delivery.may_have_left
                )
            else:
                cut = reason_of(error)
        finally:
            if is_reported:
                current_delivery.set(None)
        if response is None or failure is not None:
            # Raised here, so that a traceback shows no error of aiohttp.
            raise failure or NoAnswerError(f"{operation.value}: no answer")
        return request.parse(self._answer(operation, response, body, cut))

    def _answer(
        self, operation: Operation, response: ClientResponse, body: bytearray, cut: str
    ) -> Answer:
        if cut:
            body += _left_over(response)
            response.close()
        if response.status == PROXY_AUTHENTICATION_REQUIRED:
            raise refused_by_proxy(operation)
        encoding = response.headers.get(hdrs.CONTENT_ENCODING)
        content = bytes(body[:MAX_BODY_BYTES])
        return Answer(
            operation=operation,
            status=response.status,
            headers=response.headers,
            body=content if encoding is None else decompressed(content, encoding),
            received_at=time.time(),
            secret=self._credentials.api_key,
            cut=cut,
        )

    def _open_session(self, operation: Operation) -> aiohttp.ClientSession:
        if self.session.closed:
            raise session_closed(operation)
        return self.session

    def _reports_steps(self) -> bool:
        """Return whether the session is aiohttp's own and calls hooks before it sends a request."""
        given = self._given_session
        has_hooks = given is None or self._hooks in given.trace_configs
        return has_hooks and type(self.session)._request is _REQUEST  # noqa: SLF001 - see `_REQUEST`

    async def _notice_closed_connections(self) -> None:
        """Let the loop, which may have been blocked, notice connections that were closed meanwhile.

        A submit that is lost in one cannot be told from one that arrived. A connection that was
        closed within the last moments may not be seen in any case.
        """
        if time.monotonic() < self._noticed_until:
            return
        try:
            await asyncio.sleep(0)
            selected = time.monotonic()
            await asyncio.sleep(0)
        except asyncio.CancelledError as error:
            mark_unsent(error)
            raise
        self._noticed_until = selected + _RECENT_SECONDS


def most_connections() -> int:
    """Return how many connections a client may have; fewer than 150 where few files may be open.

    If the connections took all files, the photos of submits could not be fetched, and all would
    wait for each other.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return _MAX_CONNECTIONS
    return max(1, min(_MAX_CONNECTIONS, (limit - _OTHER_FILES) // _FILES_PER_CONNECTION))


def _has_host(url: str) -> bool:
    try:
        return is_url(url) and bool(URL(url).host)
    except ValueError:
        return False


async def _read(response: ClientResponse, body: bytearray) -> str:
    """Read the body of an answer; return why it is not whole, an empty text if it is."""
    if response.content.is_eof():  # it came together with the headers
        body += response.content.read_nowait()
    else:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                break
    return "" if len(body) <= MAX_BODY_BYTES else f"it is larger than {MAX_BODY_BYTES} bytes"


def _left_over(response: ClientResponse) -> bytes:
    """Return what had arrived when the connection failed, which aiohttp keeps back."""
    if response.content.exception() is None:
        return b""
    response.content.set_exception(None)  # type: ignore[arg-type] # only an exception is declared
    return response.content.read_nowait()
