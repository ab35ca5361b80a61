"""Which addresses are global, and that a socket is made for no other."""

import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async.service import ServiceSettings
from photoanimer_async.service.fetching.addresses import (
    LOOPBACK,
    AddressRules,
    ForbiddenAddressError,
    guarded_connector,
    is_global,
    parse_networks,
)

from ...support.stub_service import serving
from ..conftest import PhotoHost

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
    "::127.0.0.1",  # compatible with IPv4, as it once was
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
def test_an_ipv4_address_is_judged_the_same_in_every_disguise(address: object) -> None:
    expected = AddressRules().allow(str(address))
    assert AddressRules().allow(f"::ffff:{address}") == expected
    assert AddressRules().allow(f"64:ff9b::{address}") == expected
    mapped = AddressRules(parse_networks([str(address)]))
    assert mapped.allow(f"::ffff:{address}")


@given(st.ip_addresses(v=6))
def test_of_ipv6_only_global_unicast_passes_where_no_ipv4_is_in_it(address: object) -> None:
    in_disguise = str(address).startswith(("::ffff:", "64:ff9b::"))
    if AddressRules().allow(str(address)) and not in_disguise:
        assert str(address)[0] in "23"


@pytest.mark.parametrize(
    "text",
    ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.01", "\uff11.1.1.1", "", "name"],
)
def test_what_is_no_plain_address_is_not_allowed(text: str) -> None:
    assert not AddressRules(parse_networks(["0.0.0.0/0", "::/0"])).allow(text)


def test_allowed_networks_come_on_top() -> None:
    rules = AddressRules(parse_networks(["192.168.0.0/16", "fd00::/8", "10.1.2.3"]))
    for allowed in ("192.168.7.7", "fd12::1", "10.1.2.3", "::ffff:192.168.7.7", "8.8.8.8"):
        assert rules.allow(allowed)
    for other in ("192.169.0.0.1", "10.1.2.4", "fe80::1", "127.0.0.1"):
        assert not rules.allow(other)


@pytest.mark.parametrize("text", ["192.168.0.1/16", "10.0.0.0/33", "localhost", ""])
def test_what_is_no_network_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=rf"^'{text}' is no network; .*192\.168\.0\.0/16"):
        ServiceSettings(data_dir="data", allow_networks=["10.0.0.0/8", text])


def test_this_machine_is_allowed_to_a_service_for_this_machine_alone() -> None:
    def networks(**settings: object) -> tuple[object, ...]:
        return ServiceSettings(data_dir="data", **settings).fetch_rules.networks  # type: ignore[arg-type] # as the test has it

    assert networks() == LOOPBACK
    assert networks(keys={"key"}) == LOOPBACK
    assert networks(host="192.168.1.1", keys={"key"}) == ()
    # What has a public URL is behind a proxy on this machine, and strangers reach it.
    assert networks(public_url="https://animer.example") == ()
    assert networks(allow_networks=[]) == ()
    assert networks(allow_networks=["10.0.0.0/8"]) == parse_networks(["10.0.0.0/8"])


class Names(AbstractResolver):
    """Answers each look-up of a name with the next of its addresses."""

    def __init__(self, names: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self._answers = {name: list(answers) for name, answers in names.items()}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self._answers[host].pop(0)
        ]

    async def close(self) -> None:
        """Has nothing to close."""


class TestConnector:
    """By names, whose owner says what they resolve to."""

    @asynccontextmanager
    async def session(
        self, answers: Sequence[Sequence[str]], allowed: str = "127.0.0.1"
    ) -> AsyncIterator[aiohttp.ClientSession]:
        connector = guarded_connector(
            AddressRules(parse_networks([allowed])), resolver=Names({"photos.test": answers})
        )
        async with aiohttp.ClientSession(connector=connector) as session:
            yield session

    async def test_an_allowed_address_is_reached(self, host: PhotoHost) -> None:
        url = host.url("photo.png").replace("127.0.0.1", "photos.test")
        async with self.session([["127.0.0.1"]]) as session, session.get(url) as answer:
            assert answer.status == 200

    @pytest.mark.parametrize(
        "addresses",
        [
            ["127.0.0.1"],
            ["::ffff:127.0.0.1"],
            ["64:ff9b::7f00:1", "::1"],
            ["127.0.0.1", "::1", "10.0.0.1", "fe80::1%1"],
            ["127.1"],
        ],
    )
    async def test_a_name_for_forbidden_addresses_reaches_nobody(
        self, host: PhotoHost, addresses: list[str]
    ) -> None:
        url = host.url("photo.png").replace("127.0.0.1", "photos.test")
        async with self.session([addresses], allowed="127.9.9.9") as session:
            with pytest.raises(aiohttp.ClientConnectorError) as failure:
                await session.get(url)
        assert isinstance(failure.value.os_error, ForbiddenAddressError)
        assert host.requests == []

    async def test_of_several_addresses_only_the_allowed_is_used(self, host: PhotoHost) -> None:
        url = host.url("photo.png").replace("127.0.0.1", "photos.test")
        answers = [["127.0.0.2", "10.0.0.1", "127.0.0.1"]]
        async with self.session(answers) as session, session.get(url) as answer:
            assert answer.status == 200

    async def test_a_name_that_changes_its_mind_gains_nothing(self, host: PhotoHost) -> None:
        async def same_name_again(request: web.Request) -> web.Response:
            return web.Response(status=302, headers={"Location": elsewhere})

        async with serving(same_name_again) as other:
            elsewhere = host.url("photo.png").replace("127.0.0.1", "photos.test")
            url = other.replace("127.0.0.1", "photos.test")
            async with self.session([["127.0.0.1"], ["127.0.0.2"]]) as session:
                with pytest.raises(aiohttp.ClientConnectorError) as failure:
                    await session.get(url)
        assert isinstance(failure.value.os_error, ForbiddenAddressError)
        assert host.requests == []
