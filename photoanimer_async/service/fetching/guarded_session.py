"""HTTP sessions that connect only to allowed addresses.

The connector is aiohttp's own with a socket factory, which sees the numeric address of every
connection before it is made. See the package's docstring for why the check is there.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from photoanimer_async.service.fetching.addresses import AddressRules

CONNECT_SECONDS: Final = 10.0
"""The longest that making a connection may take."""

_logger = logging.getLogger(__name__)
_USER_AGENT: Final = "photoanimer-async local service"
_NUMERIC: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class ForbiddenAddressError(PermissionError):
    """A connection to an address that the rules do not allow.

    The message does not contain the address: the sender of a URL must not learn what names of
    the internal network resolve to.
    """

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "the address is neither global nor in an allowed network")


@asynccontextmanager
async def guarded_session(
    rules: AddressRules,
    *,
    seconds: float,
    lookups: int,
    decompress: bool = True,
) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session for URLs that others have written.

    Proxies and `.netrc` of the environment are not used, cookies are not kept, and redirects
    are followed with their URLs as they were written, so that signatures stay valid.

    Args:
        rules: the addresses that may be connected to. A request to another one fails with a
            `ClientConnectorError` whose `os_error` is a `ForbiddenAddressError`.
        seconds: the longest that one request may take.
        lookups: number of DNS lookups at the same time.
        decompress: decode compressed responses.
    """
    resolver = ThreadedResolver(lookups)
    try:
        async with aiohttp.ClientSession(
            connector=guarded_connector(rules, resolver=resolver),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": _USER_AGENT},
            timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS),
            requote_redirect_url=False,
            trust_env=False,
            auto_decompress=decompress,
        ) as session:
            yield session
    finally:
        await resolver.close()


def guarded_connector(
    rules: AddressRules, *, resolver: AbstractResolver | None = None
) -> aiohttp.TCPConnector:
    """Return a connector that creates sockets for allowed addresses only.

    Connections are not kept alive: hosts differ from request to request, and a connection that
    its server has closed meanwhile would fail the download of a photo that exists.

    Args:
        rules: the addresses that may be connected to.
        resolver: resolves host names; aiohttp's default by default.
    """
    return aiohttp.TCPConnector(
        resolver=resolver, socket_factory=_socket_factory(rules), force_close=True
    )


class ThreadedResolver(AbstractResolver):
    """Resolves host names in threads of its own.

    The system's call cannot be cancelled. aiohttp's resolver runs it in the event loop's default
    threads, which also read and write the tasks' files: a few names whose DNS server never
    answers would block all of them.

    Args:
        threads: number of lookups at the same time.
    """

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="resolver")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a host, in aiohttp's form.

        Raises:
            OSError: the host is unknown, or cannot be a host's name.
        """
        try:
            found = await asyncio.get_running_loop().run_in_executor(
                self._threads,
                lambda: socket.getaddrinfo(
                    host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
                ),
            )
        except UnicodeError as error:  # an empty label, or one that is too long
            raise OSError(errno.EINVAL, "not the name of a host") from error
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=_NUMERIC,
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Start no more lookups; running ones end in their threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _socket_factory(rules: AddressRules) -> Callable[[aiohttp.AddrInfoType], socket.socket]:
    def make_socket(address_info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, (address, *_) = address_info
        if not (isinstance(address, str) and rules.allow(address)):
            _logger.warning("event=address_refused address=%s", address)
            raise ForbiddenAddressError
        return socket.socket(family, kind, protocol)

    return make_socket
