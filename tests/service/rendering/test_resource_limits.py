"""The limits of worker processes."""

import json
import resource
import sys
from pathlib import Path

import pytest

from photoanimer_async.service import RenderFailedError
from photoanimer_async.service.rendering.process_renderer import ProcessRenderer
from photoanimer_async.service.rendering.resource_limits import ResourceLimits

from .conftest import render_job

MIB = 1024 * 1024

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux enforces this limit")


@pytest.mark.slow
@linux
async def test_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with ProcessRenderer(1, animate="renderers:allocate", memory=256 * MIB) as renderer:
        await renderer.render(render_job(tmp_path, photo=b"128"))
        with pytest.raises(RenderFailedError, match="ran out of memory on this photo 2 times"):
            await renderer.render(render_job(tmp_path, photo=b"512"))
        assert "event=worker_died attempt=2 how='status 71" in caplog.text
        await renderer.render(render_job(tmp_path, photo=b"128"))


@pytest.mark.slow
async def test_processor_time(tmp_path: Path) -> None:
    async with ProcessRenderer(1, animate="renderers:use_processor", render_seconds=60) as renderer:
        with pytest.raises(RenderFailedError, match="ran out of processor time on this photo"):
            await renderer.render(render_job(tmp_path, photo=b"120"))


async def test_size_of_a_file(tmp_path: Path) -> None:
    async with ProcessRenderer(1, animate="renderers:write_large_file") as renderer:
        await renderer.render(render_job(tmp_path, photo=b"1"))
        with pytest.raises(RuntimeError, match="File too large"):
            await renderer.render(render_job(tmp_path, photo=b"1024"))


@linux
async def test_defaults(tmp_path: Path) -> None:
    job = render_job(tmp_path)
    async with ProcessRenderer(
        1, animate="renderers:describe_process", render_seconds=60
    ) as renderer:
        await renderer.render(job)
    limits = json.loads(job.mp4.read_text())["limits"]
    assert limits["RLIMIT_DATA"] == [2048 * MIB] * 2
    assert limits["RLIMIT_FSIZE"] == [1024 * MIB] * 2
    assert limits["RLIMIT_NOFILE"] == [128] * 2
    assert limits["RLIMIT_CORE"] == [0, 0]
    assert 120 < limits["RLIMIT_CPU"][0] < 180


def test_a_limit_that_the_system_refuses_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(kind: int, limits: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    limits = ResourceLimits(memory=MIB, cpu_seconds=1, file_bytes=MIB)
    limits.impose()
    limits.begin_job()
