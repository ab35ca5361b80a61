"""A journal file, and a service whose results can be downloaded."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from ..support.batches import VIDEO
from ..support.pictures import png
from ..support.stub_service import StubService, envelope, serving, task


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "batch.db"


@pytest.fixture
async def results(stub: StubService) -> AsyncIterator[StubService]:
    """The stub, with results that can be downloaded."""
    async with serving(lambda _: web.Response(body=VIDEO, content_type="video/mp4")) as origin:

        def finished(request: web.Request) -> web.Response:
            number = request.query["taskId"]
            return envelope(task(int(number), resultUrl=f"{origin}/{number}.mp4"))

        stub.finished = finished
        yield stub


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "grandma.png"
    path.write_bytes(png(64, 64))
    return path
