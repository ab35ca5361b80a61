"""Which hosts are this machine, and so can be reached by its own programs only."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Return whether a host is an address of this machine's loopback, or `localhost`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
