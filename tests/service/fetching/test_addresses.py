"""The addresses that the service may connect to."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async.service import ServiceSettings
from photoanimer_async.service.fetching.addresses import (
    LOOPBACK,
    AddressRules,
    is_global,
    parse_networks,
)

GLOBAL = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2001:200::1",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]
NOT_GLOBAL = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",  # deprecated IPv4-compatible form
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",  # translated
    "64:ff9b::a00:1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::808:808",  # NAT64 of a local network
    "100::1",
    "2001::7f00:1",  # Teredo
    "2001:2::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::1",  # 6to4
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",  # a cloud's metadata
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", GLOBAL)
def test_global(address: str) -> None:
    assert is_global(ip_address(address))
    assert AddressRules().allow(address)


@pytest.mark.parametrize("address", NOT_GLOBAL)
def test_not_global(address: str) -> None:
    assert not is_global(ip_address(address))
    assert not AddressRules().allow(address)


@given(st.ip_addresses(v=4))
def test_a_mapped_ipv4_address_is_judged_like_the_address_itself(address: object) -> None:
    expected = AddressRules().allow(str(address))
    assert AddressRules().allow(f"::ffff:{address}") == expected
    assert AddressRules().allow(f"64:ff9b::{address}") == expected
    mapped = AddressRules(parse_networks([str(address)]))
    assert mapped.allow(f"::ffff:{address}")


@given(st.ip_addresses(v=6))
def test_ipv6_without_ipv4_inside_passes_only_as_global_unicast(address: object) -> None:
    is_mapped = str(address).startswith(("::ffff:", "64:ff9b::"))
    if AddressRules().allow(str(address)) and not is_mapped:
        assert str(address)[0] in "23"


@pytest.mark.parametrize(
    "text",
    ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.01", "\uff11.1.1.1", "", "name"],
)
def test_unusual_spellings_of_an_address_are_not_allowed(text: str) -> None:
    assert not AddressRules(parse_networks(["0.0.0.0/0", "::/0"])).allow(text)


def test_networks_are_allowed_besides_global_addresses() -> None:
    rules = AddressRules(parse_networks(["192.168.0.0/16", "fd00::/8", "10.1.2.3"]))
    for allowed in ("192.168.7.7", "fd12::1", "10.1.2.3", "::ffff:192.168.7.7", "8.8.8.8"):
        assert rules.allow(allowed)
    for other in ("192.169.0.0.1", "10.1.2.4", "fe80::1", "127.0.0.1"):
        assert not rules.allow(other)


@pytest.mark.parametrize("text", ["192.168.0.1/16", "10.0.0.0/33", "localhost", ""])
def test_a_text_that_is_not_a_network_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=rf"^'{text}' is not a network; .*192\.168\.0\.0/16"):
        ServiceSettings(data_dir="data", allow_networks=["10.0.0.0/8", text])


def test_loopback_is_allowed_by_default_only_for_a_service_on_loopback() -> None:
    def networks(**settings: object) -> tuple[object, ...]:
        return ServiceSettings(data_dir="data", **settings).fetch_rules.networks  # type: ignore[arg-type] # of any type

    assert networks() == LOOPBACK
    assert networks(keys={"key"}) == LOOPBACK
    assert networks(host="192.168.1.1", keys={"key"}) == ()
    # A service with a public URL is behind a proxy on this machine, and reachable from outside.
    assert networks(public_url="https://animer.example") == ()
    assert networks(allow_networks=[]) == ()
    assert networks(allow_networks=["10.0.0.0/8"]) == parse_networks(["10.0.0.0/8"])
