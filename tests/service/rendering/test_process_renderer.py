"""Worker processes: what they report, and what becomes of a task when one dies."""

import asyncio
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from photoanimer_async.engine import engines
from photoanimer_async.service import RenderFailedError, RenderJob, ServiceSettings, SetupError
from photoanimer_async.service.rendering.process_renderer import (
    _ENGINES,
    _WARP,
    ProcessRenderer,
)
from photoanimer_async.service.rendering.resource_limits import ResourceLimits
from photoanimer_async.service.rendering.worker_process import check_reply

from ..conftest import KEY, InstantRenderer, PhotoHost, Running, Start, png, running

MIB = 1024 * 1024
DOUBLES = Path(__file__).parents[1] / "doubles"


@pytest.fixture(autouse=True)
def doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(DOUBLES), prepend=os.pathsep)


def job(folder: Path, photo: bytes = b"photo", template: int = 1, **more: Path) -> RenderJob:
    (folder / "photo").write_bytes(photo)
    return RenderJob(
        task_id=1, template=template, photo=folder / "photo", mp4=folder / "a.mp4", **more
    )


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def unfinished(folder: Path) -> list[Path]:
    return list(folder.glob(".*"))


def is_free(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


class TestProcessRenderer:
    async def test_hands_over_everything_and_keeps_the_worker(self, tmp_path: Path) -> None:
        voice = tmp_path / "voice"
        voice.write_bytes(b"hum")
        async with ProcessRenderer(1, animate="renderers:copy") as renderer:
            await renderer.render(job(tmp_path, voice=voice, gif=tmp_path / "a.gif", template=0))
            assert (tmp_path / "a.mp4").read_bytes() == b"0:photo:hum"
            assert (tmp_path / "a.gif").read_bytes() == b"gif"
            [first] = renderer._idle

            await renderer.render(job(tmp_path, template=3))
            assert (tmp_path / "a.mp4").read_bytes() == b"3:photo:silent"
            assert renderer._idle == [first]

    async def test_the_engines_errors_become_codes(self, tmp_path: Path) -> None:
        async with ProcessRenderer(1, animate="renderers:refuse") as renderer:
            for template, code in enumerate((7001, 7002, 40023, 50001)):
                with pytest.raises(RenderFailedError) as failure:
                    await renderer.render(job(tmp_path, template=template))
                assert failure.value.code.number == code
                assert failure.value.reason == f"reason {template}"

    async def test_a_fault_is_reported_with_its_trace(self, tmp_path: Path) -> None:
        async with ProcessRenderer(1, animate="renderers:fault") as renderer:
            with pytest.raises(RuntimeError, match="ZeroDivisionError: a mistake"):
                await renderer.render(job(tmp_path))
            assert len(renderer._idle) == 1

    async def test_a_crash_is_tried_once_more_in_a_fresh_worker(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with ProcessRenderer(1, animate="renderers:crash") as renderer:
            await renderer.render(job(tmp_path, photo=b"1"))
        assert (tmp_path / "a.mp4").read_bytes() == b"well"
        assert "task=1 event=worker_died attempt=1 how='signal 11 | a bad pointer'" in caplog.text

    async def test_a_second_crash_fails_the_task_and_the_next_is_well(self, tmp_path: Path) -> None:
        async with ProcessRenderer(1, animate="renderers:crash") as renderer:
            with pytest.raises(RenderFailedError, match="crashed on this photo 2 times") as failure:
                await renderer.render(job(tmp_path, photo=b"2"))
            assert failure.value.code.number == 50001
            await renderer.render(job(tmp_path, photo=b"0"))

    async def test_a_worker_that_died_while_it_was_idle_is_replaced(self, tmp_path: Path) -> None:
        async with ProcessRenderer(1, animate="renderers:copy") as renderer:
            await renderer.render(job(tmp_path))
            await renderer._idle[0].stop()
            await renderer.render(job(tmp_path))

    async def test_what_takes_too_long_is_killed(self, tmp_path: Path) -> None:
        async with ProcessRenderer(1, animate="renderers:hang", render_seconds=0.3) as renderer:
            with pytest.raises(RenderFailedError, match=r"longer than 0\.3 s") as failure:
                await renderer.render(job(tmp_path))
            assert failure.value.code.number == 50001
            assert renderer._idle == []

    async def test_a_cancelled_render_does_not_go_on_and_leaves_nothing(
        self, tmp_path: Path
    ) -> None:
        async with ProcessRenderer(1, animate="renderers:hang") as renderer:
            render = asyncio.create_task(renderer.render(job(tmp_path)))
            await asyncio.to_thread(until, (tmp_path / "hanging").exists)
            assert unfinished(tmp_path) != []
            render.cancel()
            with pytest.raises(asyncio.CancelledError):
                await render
            assert is_free(tmp_path / "lock")
            assert unfinished(tmp_path) == []

    @pytest.mark.parametrize("reply", [{}, {"code": "0"}, {"code": 12}, {"fault": None}, []])
    def test_a_reply_that_means_nothing_is_a_fault(self, reply: Any) -> None:
        with pytest.raises(RuntimeError, match="an invalid reply"):
            check_reply(reply)

    async def test_without_the_engines_libraries_it_says_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            "photoanimer_async.service.rendering.process_renderer._ENGINE_NEEDS",
            ("json", "no_such_library"),
        )
        with pytest.raises(SetupError, match=r"no_such_library.*photoanimer-async\[local\]"):
            await ProcessRenderer(1).__aenter__()

    async def test_says_which_engines_there_are(self) -> None:
        with pytest.raises(SetupError, match="no engine 'live' is installed; there are: warp"):
            await ProcessRenderer(1, options={"engine": "live"}).__aenter__()
        assert (_ENGINES, _WARP) == (engines.GROUP, engines.WARP)


class TestContainment:
    """What a worker may use, on a system that holds it to that, as Linux does."""

    linux = pytest.mark.skipif(sys.platform != "linux", reason="has no such limit")

    @linux
    async def test_memory(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        async with ProcessRenderer(1, animate="renderers:hoard", memory=256 * MIB) as renderer:
            await renderer.render(job(tmp_path, photo=b"128"))
            with pytest.raises(RenderFailedError, match="ran out of memory on this photo 2 times"):
                await renderer.render(job(tmp_path, photo=b"512"))
            assert "event=worker_died attempt=2 how='status 71" in caplog.text
            await renderer.render(job(tmp_path, photo=b"128"))

    async def test_processor_time(self, tmp_path: Path) -> None:
        async with ProcessRenderer(1, animate="renderers:toil", render_seconds=60) as renderer:
            with pytest.raises(RenderFailedError, match="ran out of processor time on this photo"):
                await renderer.render(job(tmp_path, photo=b"120"))

    async def test_length_of_a_file(self, tmp_path: Path) -> None:
        async with ProcessRenderer(1, animate="renderers:pour") as renderer:
            await renderer.render(job(tmp_path, photo=b"1"))
            with pytest.raises(RuntimeError, match="File too large"):
                await renderer.render(job(tmp_path, photo=b"1024"))

    @linux
    async def test_what_it_is_held_to_and_given(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service: Running
    ) -> None:
        monkeypatch.setenv("PHOTOANIMER_SERVICE_KEYS", "key-one")
        monkeypatch.setenv("PHOTOANIMER_API_KEY", "key-two")
        async with ProcessRenderer(1, animate="renderers:tell", render_seconds=60) as renderer:
            await renderer.render(job(tmp_path))
        told = json.loads((tmp_path / "a.mp4").read_text())
        limits = told["limits"]
        assert limits["RLIMIT_DATA"] == [2048 * MIB] * 2
        assert limits["RLIMIT_FSIZE"] == [1024 * MIB] * 2
        assert limits["RLIMIT_NOFILE"] == [128] * 2
        assert limits["RLIMIT_CORE"] == [0, 0]
        assert 120 < limits["RLIMIT_CPU"][0] < 180
        assert "key-" not in str(told["environment"])
        # Its pipes to the service and the file that it writes; no socket, no database.
        assert set(told["descriptors"]) <= {"p", "-"}
        assert len(told["descriptors"]) < 8

    def test_where_there_is_no_such_limit_work_goes_on(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(kind: int, limits: object) -> None:
            raise ValueError("not allowed to raise maximum limit")

        monkeypatch.setattr(resource, "setrlimit", refuse)
        limits = ResourceLimits(memory=MIB, cpu_seconds=1, file_bytes=MIB)
        limits.impose()
        limits.begin_job()


async def test_a_crash_harms_no_other_task(start: Start, host: PhotoHost) -> None:
    def crashing(times: int) -> str:
        # What follows the header is no concern of the service.
        return host.url(f"{times}.png", png() + b"%d" % times)

    class Crashing(ProcessRenderer):
        """Takes the number behind the header for the photo."""

        async def render(self, job: RenderJob) -> None:
            content = await asyncio.to_thread(job.photo.read_bytes)
            await asyncio.to_thread(job.photo.write_bytes, content.removeprefix(png()))
            await super().render(job)

    async with Crashing(2, animate="renderers:crash") as renderer:
        service = await start(renderer=renderer, workers=2)
        ids = [await service.submit(crashing(times)) for times in (2, 0, 1, 0)]
        infos = [await service.end_of(task_id) for task_id in ids]
    assert [info["status"] for info in infos] == [2, 1, 1, 1]
    assert infos[0]["failCode"] == 50001


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


class TestProcess:
    """The service as a process of its own, with a worker in the middle of a render."""

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
            # What runs the tests in the background may have told them to ignore Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
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
            await asyncio.to_thread(until, (folder / "results" / "hanging").exists)
            assert not is_free(folder / "results" / "lock")
            yield process, json.loads(answer)["data"]
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    @pytest.mark.parametrize(
        ("sent", "status"), [(signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)]
    )
    async def test_however_it_ends_it_leaves_no_worker_and_loses_no_task(
        self, tmp_path: Path, host: PhotoHost, sent: signal.Signals, status: int
    ) -> None:
        folder = tmp_path / "data"
        async with self.rendering(folder, host) as (process, task_id):
            process.send_signal(sent)
            assert await process.wait() == status
            await asyncio.to_thread(until, lambda: is_free(folder / "results" / "lock"))

        settings = ServiceSettings(data_dir=folder, port=0)
        async with running(settings, InstantRenderer()) as service:
            assert (await service.end_of(task_id))["status"] == 1

    async def test_ctrl_c_in_a_terminal_reaches_the_service_and_not_the_worker(
        self, tmp_path: Path, host: PhotoHost
    ) -> None:
        async with self.rendering(tmp_path, host) as (process, _):
            os.killpg(process.pid, signal.SIGINT)
            await process.wait()
            await asyncio.to_thread(until, lambda: is_free(tmp_path / "results" / "lock"))


def test_the_service_never_loads_what_the_engine_is_made_of() -> None:
    script = "import sys, photoanimer_async.service; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "aiohttp" in loaded
    assert {"av", "cv2", "numpy", "onnxruntime", "PIL"}.isdisjoint(loaded)
