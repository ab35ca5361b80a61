"""Fixtures of the tests of downloads and image hosts."""

from collections.abc import AsyncIterator

import pytest

from ..support.result_server import ResultServer, running_result_server


@pytest.fixture
async def results() -> AsyncIterator[ResultServer]:
    async with running_result_server() as server:
        yield server
