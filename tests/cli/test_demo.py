"""`photoanimer demo`, with a service that renders in no time in place of its own."""

import re
import shlex
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from photoanimer_async import PhotoAnimerClient
from photoanimer_async.cli import demo
from photoanimer_async.polling.policies import FixedInterval

from ..support import missing, sealed_network
from ..support.command_line import COMMAND, CommandLine
from .conftest import KEY, Service


def test_it_makes_twelve_videos_and_replaces_earlier_ones(
    photoanimer: CommandLine, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def local_client(*, concurrency: int, photos: int) -> AsyncIterator[PhotoAnimerClient]:
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

    typed = [
        shlex.split(line) for line in re.findall(r"^  (photoanimer .*)$", done.stdout, re.MULTILINE)
    ]
    assert [command[1] for command in typed] == ["animate", "studio", "serve"]
    photo = typed[0][2]
    assert photoanimer("estimate", photo, *typed[0][3:5]).stdout.startswith("3.75 video seconds")


@pytest.mark.slow
def test_it_asks_nobody_and_leaves_nothing_in_the_home_folder(
    photoanimer: CommandLine, tmp_path: Path
) -> None:
    home, report = tmp_path / "home", tmp_path / "report"
    home.mkdir()
    # With a variable such as CI, onnxruntime would be silent by itself.
    environment: dict[str, str] = {}
    for name in {"PATH", "PYTHONPATH"} & photoanimer.environment.keys():
        environment[name] = photoanimer.environment[name]
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        environment[name] = str(home)
    command = [str(COMMAND), "demo", "--out", str(tmp_path / "videos")]
    if sealed_network.is_available():
        command = sealed_network.sealed(report, command)
    done = subprocess.run(
        command,
        cwd=photoanimer.folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert len(list((tmp_path / "videos").glob("*.mp4"))) == 12
    assert list(home.rglob("*")) == []
    assert list(photoanimer.folder.iterdir()) == []
    if not sealed_network.is_available():
        missing.leave_out("network namespaces (Linux, apt-get install iproute2 util-linux)")
    assert report.read_text().splitlines() == []
