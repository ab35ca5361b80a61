"""Which IP addresses the service may connect to on behalf of others.

An address is global if IANA's registries assign it for public use:

- IPv4: everything except the blocks of the Special-Purpose Address Registry (RFC 6890),
  multicast (RFC 5771) and reserved space.
- IPv6: global unicast, 2000::/3, except the blocks of that registry in it. They include the
  tunnels that carry an IPv4 address (6to4, Teredo), which nobody needs.
- An IPv4 address mapped into IPv6 (RFC 4291, 2.5.5.2) or behind the well-known NAT64 prefix
  (RFC 6052) is judged as that IPv4 address: on a network without IPv4 every name resolves to
  such addresses. The NAT64 prefix of a local network cannot be told from other addresses.

The tables replace `ipaddress.is_global`, whose answers differ between versions of Python.
"""

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, TypeAlias

from attrs import frozen

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

LOOPBACK: Final[tuple[Network, ...]] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
"""The addresses of this machine itself."""

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


def parse_networks(texts: Iterable[str | Network]) -> tuple[Network, ...]:
    """Parse networks such as `192.168.0.0/16` or `fd00::/8`; a bare address is a network of one.

    Raises:
        ValueError: a text is not a network; the message names it.
    """
    return tuple(_parse_network(text) for text in texts)


def is_global(address: Address) -> bool:
    """Return whether an address is assigned for public use, as defined above."""
    unmapped = _unmapped(address)
    if isinstance(unmapped, IPv4Address):
        return not any(unmapped in block for block in _NOT_GLOBAL_IPV4)
    return unmapped in _GLOBAL_UNICAST_IPV6 and not any(
        unmapped in block for block in _NOT_GLOBAL_IPV6
    )


@frozen
class AddressRules:
    """The addresses that may be connected to: global ones and those of some networks.

        rules = AddressRules(parse_networks(["192.168.0.0/16"]))
        rules.allow("192.168.1.7")  # True
        rules.allow("10.0.0.1")  # False

    Attributes:
        networks: networks that are allowed besides global addresses.
    """

    networks: tuple[Network, ...] = ()

    def allow(self, address: str) -> bool:
        """Return whether a numeric address may be connected to.

        Unusual spellings (decimal, octal, shortened) are never allowed.
        """
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        unmapped = _unmapped(parsed)
        return is_global(parsed) or any(unmapped in network for network in self.networks)


def _unmapped(address: Address) -> Address:
    """Return the IPv4 address inside a mapped IPv6 address, or the address itself."""
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
            f"{str(text)!r} is not a network; write it as 192.168.0.0/16, 10.1.2.3 or fd00::/8"
        ) from None
