"""`photoanimer demo`, with a service that renders in no time in place of its own."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from photoanimer_async import PhotoAnimerClient
from photoanimer_async.cli import demo
from photoanimer_async.polling.policies import FixedInterval

from ..support.command_line import CommandLine
from .conftest import KEY, Service


def test_it_makes_twelve_videos_and_replaces_earlier_ones(
    photoanimer: CommandLine, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def local_client(*, concurrency: int) -> AsyncIterator[PhotoAnimerClient]:
        base_url, poll = service.base_url, FixedInterval(0.01)
        async with PhotoAnimerClient(KEY, base_url=base_url, poll=poll) as client:
            yield client

    monkeypatch.setattr(demo, "local_client", local_client)
    for _ in range(2):
        done = photoanimer("demo")
        assert (done.returncode, done.stderr) == (0, "")
    assert "12 of 12 finished" in done.stdout
    assert re.search(r"astronaut +2 wink +2.13 +astronaut-2-wink.mp4", done.stdout)
    videos = [path.name for path in (photoanimer.folder / "photoanimer-demo").glob("*.mp4")]
    assert len(videos) == 12
    assert "grace_hopper-0-" in "".join(videos)
