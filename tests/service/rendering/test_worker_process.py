"""Worker processes: what they inherit, and how they end with the service."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from photoanimer_async.service import ServiceSettings
from photoanimer_async.service.rendering.process_renderer import ProcessRenderer
from photoanimer_async.service.rendering.worker_process import check_reply

from ..conftest import KEY, InstantRenderer, PhotoHost, Running, running, until
from .conftest import is_free, render_job

SERVE = """
import asyncio, sys
from photoanimer_async.service import ServiceSettings, serve
from photoanimer_async.service.rendering.process_renderer import ProcessRenderer

async def main():
    async with ProcessRenderer(1, animate="renderers:hang") as renderer:
        settings = ServiceSettings(data_dir=sys.argv[1], port=0, drain_seconds=0)
        started = lambda service: print(service.base_url, flush=True)
        await serve(settings, renderer=renderer, on_start=started)

asyncio.run(main())
"""


@pytest.mark.parametrize("reply", [{}, {"code": "0"}, {"code": 12}, {"fault": None}, []])
def test_an_invalid_reply_is_a_fault(reply: Any) -> None:
    with pytest.raises(RuntimeError, match="an invalid reply"):
        check_reply(reply)


async def test_a_worker_inherits_no_keys_and_no_open_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service: Running
) -> None:
    monkeypatch.setenv("PHOTOANIMER_SERVICE_KEYS", "key-one")
    monkeypatch.setenv("PHOTOANIMER_API_KEY", "key-two")
    job = render_job(tmp_path)
    async with ProcessRenderer(1, animate="renderers:describe_process") as renderer:
        await renderer.render(job)
    process = json.loads(job.mp4.read_text())
    # Requests are answered first. A process that is nice itself may have no higher number.
    assert process["niceness"] == min(os.getpriority(os.PRIO_PROCESS, 0) + 10, 19)
    assert "key-" not in str(process["environment"])
    # The pipes to the service and the file that it writes; no socket and no database.
    assert set(process["descriptors"]) <= {"p", "-"}
    assert len(process["descriptors"]) < 8


async def test_libraries_of_a_worker_are_told_to_report_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service: Running
) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    job = render_job(tmp_path)
    async with ProcessRenderer(1, animate="renderers:describe_process") as renderer:
        await renderer.render(job)
    process = json.loads(job.mp4.read_text())
    assert process["environment"]["ORT_DISABLE_TELEMETRY"] == "1"


class TestEndOfTheService:
    """The service is a process of its own, with a worker in the middle of a render."""

    @asynccontextmanager
    async def rendering(
        self, folder: Path, host: PhotoHost
    ) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            SERVE,
            str(folder),
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            assert process.stdout is not None
            base_url = (await process.stdout.readline()).decode().strip()
            submit = await asyncio.create_subprocess_exec(
                "curl",
                "-sH",
                f"APIKEY: {KEY}",
                f"{base_url}/faceDriven/submitTaskByUrl?imageUrl={host.url('photo.png')}"
                "&templateId=1",
                stdout=subprocess.PIPE,
            )
            answer, _ = await submit.communicate()
            await until((folder / "results" / "hanging").exists)
            assert not is_free(folder / "results" / "lock")
            yield process, json.loads(answer)["data"]
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("sent", "status"), [(signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)]
    )
    async def test_the_worker_ends_and_the_task_is_rendered_after_a_restart(
        self, tmp_path: Path, host: PhotoHost, sent: signal.Signals, status: int
    ) -> None:
        folder = tmp_path / "data"
        async with self.rendering(folder, host) as (process, task_id):
            process.send_signal(sent)
            assert await process.wait() == status
            await until(lambda: is_free(folder / "results" / "lock"))

        settings = ServiceSettings(data_dir=folder, port=0)
        async with running(settings, InstantRenderer()) as service:
            assert (await service.end_of(task_id))["status"] == 1

    async def test_ctrl_c_in_a_terminal_reaches_the_service_only(
        self, tmp_path: Path, host: PhotoHost
    ) -> None:
        async with self.rendering(tmp_path, host) as (process, _):
            os.killpg(process.pid, signal.SIGINT)
            await process.wait()
            await until(lambda: is_free(tmp_path / "results" / "lock"))
