"""Fixtures of the tests of downloads and image hosts."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from ..support.result_server import ResultServer, running_result_server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def results() -> AsyncIterator[ResultServer]:
    async with running_result_server() as server:
        yield server
