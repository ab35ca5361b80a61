"""To which addresses the service connects for others: the guard against forged requests.

Whoever submits a task names a URL, and so could make this machine ask its own neighbours:
routers, databases, a cloud's metadata. Names prove nothing, as anybody's name server may
answer with any address, and with another one a second later. So the check sits where a socket
is made: `guarded_connector` is aiohttp's own connector with a socket factory that sees the
very address that is connected to, for every address of a name and for every redirect.

An address is global where it lies in what IANA's registries give out for public use:

- IPv4: all but the blocks of the Special-Purpose Address Registry (RFC 6890), multicast
  (RFC 5771) and what is reserved.
- IPv6: global unicast, 2000::/3, without that registry's blocks in it. Tunnels that carry an
  IPv4 address within (6to4, Teredo) are among those, as nobody needs them.
- An IPv4 address mapped into IPv6 (RFC 4291, 2.5.5.2), or behind the well-known NAT64 prefix
  (RFC 6052), is judged as what it is: on a network without IPv4 every name resolves to those.
  A NAT64 prefix of one's own network can not be told from other addresses.

The tables are here rather than taken from `ipaddress.is_global`, whose answers differ between
the versions of Python.
"""

import errno
import logging
import socket
from collections.abc import Callable, Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, TypeAlias

import aiohttp
from aiohttp.abc import AbstractResolver
from attrs import frozen

_logger = logging.getLogger(__name__)

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

LOOPBACK: Final[tuple[Network, ...]] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
"""This machine alone."""

_NOT_GLOBAL_IPV4: Final = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by the customers of one provider
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, and clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_GLOBAL_UNICAST_IPV6: Final = IPv6Network("2000::/3")
_NOT_GLOBAL_IPV6: Final = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")


class ForbiddenAddressError(PermissionError):
    """An address that this service does not connect to.

    The text does not name it: what a name of one's own network resolves to is no concern of
    whoever sent it.
    """

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "the address is neither global nor in an allowed network")


def parse_networks(texts: Iterable[str | Network]) -> tuple[Network, ...]:
    """Networks such as `192.168.0.0/16` or `fd00::/8`; an address alone is a network of one.

    Raises:
        ValueError: naming the one that is none.
    """
    return tuple(_parse_network(text) for text in texts)


def is_global(address: Address) -> bool:
    """Whether an address is given out for public use, as the module says."""
    inner = _without_mapping(address)
    if isinstance(inner, IPv4Address):
        return not any(inner in block for block in _NOT_GLOBAL_IPV4)
    return inner in _GLOBAL_UNICAST_IPV6 and not any(inner in block for block in _NOT_GLOBAL_IPV6)


@frozen
class AddressRules:
    """Which addresses may be connected to: global ones, and some networks.

    Attributes:
        networks: what is allowed besides what is global.
    """

    networks: tuple[Network, ...] = ()

    def allow(self, address: str) -> bool:
        """Whether a numeric address may be connected to.

        What is not written as an address usually is (decimal, octal, shortened) may not be.
        """
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        inner = _without_mapping(parsed)
        return is_global(parsed) or any(inner in network for network in self.networks)


def guarded_connector(
    rules: AddressRules, *, resolver: AbstractResolver | None = None
) -> aiohttp.TCPConnector:
    """A connector that makes no socket for an address that is not allowed.

    Requests over it fail with a `ClientConnectorError` whose `os_error` is a
    `ForbiddenAddressError`. Nothing is kept alive: hosts differ, and a connection that was
    closed meanwhile would make a photo fail that is there.

    Args:
        rules: what is allowed.
        resolver: what turns names into addresses; the system's by default.
    """
    return aiohttp.TCPConnector(
        resolver=resolver, socket_factory=_socket_factory(rules), force_close=True
    )


def _socket_factory(rules: AddressRules) -> Callable[[aiohttp.AddrInfoType], socket.socket]:
    def make_socket(address_info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, (address, *_) = address_info
        if not (isinstance(address, str) and rules.allow(address)):
            _logger.warning("event=address_refused address=%s", address)
            raise ForbiddenAddressError
        return socket.socket(family, kind, protocol)

    return make_socket


def _without_mapping(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _parse_network(text: str | Network) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError(
            f"{str(text)!r} is no network; one is given as 192.168.0.0/16, 10.1.2.3 or fd00::/8"
        ) from None
