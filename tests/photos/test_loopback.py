"""Hosts that are this machine."""

import pytest

from photoanimer_async.photos.loopback import is_loopback


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_hosts_that_are_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "192.0.2.1", "127.0.0.1.example", "localhost.example", "127.1"]
)
def test_hosts_that_are_not(host: str) -> None:
    assert not is_loopback(host)
