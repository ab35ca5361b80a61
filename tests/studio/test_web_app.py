"""The server of the studio's page."""

import asyncio
import socket
from pathlib import Path

import pytest

from photoanimer_async import PhotoAnimerClient
from photoanimer_async.studio.studio_settings import StudioSettings
from photoanimer_async.studio.web_app import RunningStudio

from ..support.ports import free_port


def is_free(port: int) -> bool:
    """Whether nobody listens on a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


async def test_a_start_that_is_cancelled_while_it_begins_to_listen_leaves_the_port_free(
    tmp_path: Path,
) -> None:
    settings = StudioSettings(data_dir=tmp_path, port=free_port(), use_engine=False)
    async with PhotoAnimerClient("key") as client:
        starting = asyncio.create_task(RunningStudio(client, settings).__aenter__())
        while is_free(settings.port):
            await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
    assert is_free(settings.port)
