"""Why there is no connection, in words."""

import asyncio

import aiohttp
import pytest

from photoanimer_async.api.connection_errors import connection_failure

from ..support.ports import free_port


async def failure(url: str) -> str:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await session.get(url)
    return connection_failure(caught.value)


async def test_a_refused_connection_is_called_one() -> None:
    assert await failure(f"http://127.0.0.1:{free_port()}/") == "connection refused"


async def test_an_error_of_tls_is_not_taken_for_one_of_the_system() -> None:
    def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        why = await failure(f"https://127.0.0.1:{port}/")
    assert "not permitted" not in why  # error 1 of the system
    assert why
