"""Sessions that connect to allowed addresses only."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from photoanimer_async.service.fetching.addresses import AddressRules, parse_networks
from photoanimer_async.service.fetching.guarded_session import (
    ForbiddenAddressError,
    guarded_connector,
)

from ...support.stub_service import serving
from ..conftest import PhotoHost, Start, redirect, refused, until

REASON = (
    "could not be fetched: its host has an address that this service does not fetch from "
    "(--allow-network)"
)
NOT_ALLOWED = (40011, REASON)


def knows_ipv6() -> bool:
    try:
        socket.socket(socket.AF_INET6).close()
    except OSError:
        return False
    return True


class TestSpellings:
    """Every spelling of a forbidden address is refused, before a connection is made."""

    SPELLINGS = (
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "0x7f000001",
        "0x7f.1",
        "0x7F.0.0.0x1",
        "[::ffff:127.0.0.1]",
        "[0:0:0:0:0:ffff:7f00:1]",
    )

    @pytest.mark.parametrize("spelling", SPELLINGS)
    async def test_spellings_that_resolve_to_loopback(
        self, start: Start, host: PhotoHost, tmp_path: Path, spelling: str
    ) -> None:
        url = host.url("photo.png").replace("127.0.0.1", spelling)
        guarded = await start(allow_networks=[])
        assert await refused(guarded, url) == NOT_ALLOWED
        assert host.requests == []

        if spelling.startswith("[") and not knows_ipv6():
            return
        # With loopback allowed, the same URL works.
        allowing = await start(allow_networks=["127.0.0.1"], data_dir=tmp_path / "allowing")
        assert await allowing.submit(url)
        assert len(host.requests) == 1

    @pytest.mark.parametrize(
        "spelling",
        [
            "0",
            "localhost.",
            "%6c%6f%63%61%6c%68%6f%73%74",
            "0.0.0.0",
            "2130706433",
            "017700000001",
            "0177.0.0.1",
            "127.1",
            "\uff11\uff12\uff17.\uff10.\uff10.\uff11",
            "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460",
            "127\u30020\u30020\u30021",
            "[::1]",
            "[::]",
            "[::127.0.0.1]",
            "[64:ff9b::127.0.0.1]",
            "[2002:7f00:1::]",
            "[2001:0:7f00:1::]",
            "[fe80::1%25lo]",
            "[::ffff:127.0.0.1%25lo]",
            "169.254.169.254",
            "192.0.2.1",
            "127.0.0.1%00.example",
            "127.0.0.1\\@photos.invalid",
            "photos.invalid@127.0.0.1",
            "photos.invalid:80@127.0.0.1",
        ],
    )
    async def test_other_spellings(self, start: Start, host: PhotoHost, spelling: str) -> None:
        guarded = await start(allow_networks=[])
        code, _ = await refused(guarded, host.url("photo.png").replace("127.0.0.1", spelling))
        assert code in {40002, 40011}
        assert host.requests == []

    async def test_redirects_to_forbidden_addresses(self, start: Start, host: PhotoHost) -> None:
        service = await start(allow_networks=["127.0.0.1"])
        locations = iter(
            [
                host.url("photo.png").replace("127.0.0.1", "127.0.0.2"),
                host.url("photo.png").replace("127.0.0.1", "[::1]"),
                "//127.0.0.2/photo.png",
                "http://169.254.169.254/latest/meta-data/",
            ]
        )

        async def away(request: web.Request) -> web.Response:
            return redirect(next(locations))

        host.answers["away"] = away
        for _ in range(4):
            assert await refused(service, host.url("away")) == NOT_ALLOWED

    async def test_the_resolved_address_is_logged_but_not_returned(
        self, start: Start, host: PhotoHost, caplog: pytest.LogCaptureFixture
    ) -> None:
        service = await start(allow_networks=[])
        url = host.url("photo.png?sig=s3cret").replace("127.0.0.1", "localhost")
        _, text = await service.refusal(imageUrl=url, templateId="1")
        assert "127.0.0.1" not in text
        assert "event=address_refused address=127.0.0.1" in caplog.text
        assert "s3cret" not in caplog.text + text

    async def test_the_voices_url(self, start: Start, host: PhotoHost) -> None:
        service = await start(allow_networks=["127.0.0.1"])
        elsewhere = host.url("voice.mp3", b"hum").replace("127.0.0.1", "127.0.0.2")
        code, text = await service.refusal(
            imageUrl=host.url("photo.png"), templateId="0", voiceUrl=elsewhere
        )
        assert (code, text.partition(") ")[2]) == (40021, REASON)

    async def test_unanswered_dns_lookups_do_not_delay_other_tasks(
        self, start: Start, host: PhotoHost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked, over = 0, threading.Event()

        def system_call(name: str, *more: Any, **options: Any) -> Any:
            nonlocal asked
            if name == "tarpit.test":
                asked += 1
                over.wait()
                raise socket.gaierror
            return real_call(name, *more, **options)

        real_call = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", system_call)
        service = await start(fetches=40)
        async with asyncio.TaskGroup() as group:
            for port in range(1, 35):  # more than the event loop has threads
                url = f"http://tarpit.test:{port}/photo.png"
                group.create_task(refused(service, url))
            await until(lambda: asked == 34)
            assert (await service.end_of(await service.submit(host.url("photo.png"))))[
                "status"
            ] == 1
            over.set()


class Names(AbstractResolver):
    """Answers each lookup of a name with its next list of addresses."""

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
        """Nothing to close."""


class TestNames:
    """Host names, whose owner decides what they resolve to."""

    @asynccontextmanager
    async def session(
        self, answers: Sequence[Sequence[str]], allowed: str = "127.0.0.1"
    ) -> AsyncIterator[aiohttp.ClientSession]:
        connector = guarded_connector(
            AddressRules(parse_networks([allowed])), resolver=Names({"photos.test": answers})
        )
        async with aiohttp.ClientSession(connector=connector) as session:
            yield session

    async def test_a_name_of_an_allowed_address_is_reached(self, host: PhotoHost) -> None:
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
    async def test_a_name_of_forbidden_addresses_is_not_connected_to(
        self, host: PhotoHost, addresses: list[str]
    ) -> None:
        url = host.url("photo.png").replace("127.0.0.1", "photos.test")
        async with self.session([addresses], allowed="127.9.9.9") as session:
            with pytest.raises(aiohttp.ClientConnectorError) as failure:
                await session.get(url)
        assert isinstance(failure.value.os_error, ForbiddenAddressError)
        assert host.requests == []

    async def test_only_the_allowed_one_of_several_addresses_is_used(self, host: PhotoHost) -> None:
        url = host.url("photo.png").replace("127.0.0.1", "photos.test")
        answers = [["127.0.0.2", "10.0.0.1", "127.0.0.1"]]
        async with self.session(answers) as session, session.get(url) as answer:
            assert answer.status == 200

    async def test_a_name_that_resolves_differently_after_a_redirect_is_refused(
        self, host: PhotoHost
    ) -> None:
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
