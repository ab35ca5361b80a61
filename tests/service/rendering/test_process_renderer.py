"""The pool of worker processes."""

import asyncio
import io
import subprocess
import sys
from pathlib import Path

import av
import pytest
from PIL import Image

from photoanimer_async.engine import engines
from photoanimer_async.engine.samples import GRACE_HOPPER
from photoanimer_async.service import RenderFailedError, RenderJob, ServiceSettings, SetupError
from photoanimer_async.service.rendering.process_renderer import _ENGINES, _WARP, ProcessRenderer
from photoanimer_async.service.rendering.renderer import RendererFaultError
from photoanimer_async.service.settings import MIB

from ..conftest import PhotoHost, Running, Start, png, running, until
from .conftest import is_free, render_job, unfinished_files


async def test_workers_get_all_files_and_are_used_again(tmp_path: Path) -> None:
    voice = tmp_path / "voice"
    voice.write_bytes(b"hum")
    gif = tmp_path / "a.gif"
    async with ProcessRenderer(1, animate="renderers:copy") as renderer:
        with_all = render_job(tmp_path, voice=voice, gif=gif, template=0)
        await renderer.render(with_all)
        assert with_all.mp4.read_bytes() == b"0:photo:hum"
        assert gif.read_bytes() == b"gif"
        [worker] = renderer._idle

        silent = render_job(tmp_path, template=3)
        await renderer.render(silent)
        assert silent.mp4.read_bytes() == b"3:photo:silent"
        assert renderer._idle == [worker]


async def test_no_worker_outlives_a_renderer_whose_end_is_cancelled(tmp_path: Path) -> None:
    renderer = await ProcessRenderer(2, animate="renderers:copy").__aenter__()
    await asyncio.gather(*(renderer.render(render_job(tmp_path)) for _ in range(2)))
    workers = list(renderer._idle)
    assert len(workers) == 2
    ending = asyncio.create_task(renderer.__aexit__(None, None, None))
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    async with asyncio.timeout(60):
        for worker in workers:
            await worker._process.wait()


@pytest.mark.slow
async def test_workers_that_start_early_load_the_engine(tmp_path: Path) -> None:
    async with ProcessRenderer(2, animate="renderers:is_engine_loaded") as renderer:
        job = render_job(tmp_path)
        await renderer.render(job)
        assert job.mp4.read_bytes() == b"0"
    for photos, workers in ((1, 1), (5, 2)):
        async with ProcessRenderer(2, animate="renderers:is_engine_loaded") as renderer:
            await renderer.start_workers(photos)
            early = list(renderer._idle)
            assert len(early) == workers
            jobs = [render_job(tmp_path) for _ in early]
            await asyncio.gather(*map(renderer.render, jobs))
            assert [job.mp4.read_bytes() for job in jobs] == [b"1"] * workers
            assert set(renderer._idle) == set(early)
        assert not any(worker.is_running for worker in early)


@pytest.mark.slow
async def test_a_job_is_rendered_though_a_worker_cannot_load_the_engine(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = render_job(tmp_path)
    async with ProcessRenderer(1, animate="renderers:copy", memory=48 * MIB) as renderer:
        await renderer.start_workers(1)
        await renderer.render(job)
    assert job.mp4.exists()
    assert "event=worker_died attempt=1" in caplog.text


async def test_where_no_process_can_be_started_early_jobs_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ProcessRenderer(2, animate="renderers:copy") as renderer:
        with monkeypatch.context() as context:
            context.setattr(sys, "executable", str(tmp_path / "missing"))
            await renderer.start_workers(2)
            assert renderer._idle == []
            with pytest.raises(FileNotFoundError):
                await renderer.render(render_job(tmp_path))
        await renderer.render(render_job(tmp_path))


async def test_errors_of_the_engine_have_codes(tmp_path: Path) -> None:
    async with ProcessRenderer(1, animate="renderers:raise_engine_error") as renderer:
        for template, code in enumerate((7001, 7002, 40023, 50001)):
            with pytest.raises(RenderFailedError) as failure:
                await renderer.render(render_job(tmp_path, template=template))
            assert failure.value.code.number == code
            assert failure.value.reason == f"reason {template}"


async def test_the_length_of_the_video_is_returned(tmp_path: Path) -> None:
    async with ProcessRenderer(1, animate="renderers:return_seconds") as renderer:
        assert await renderer.render(render_job(tmp_path, photo=b"2.125")) == 2.125
        for wrong in (b"nan", b"-1", b"inf"):  # a worker is not trusted
            assert await renderer.render(render_job(tmp_path, photo=wrong)) is None
    async with ProcessRenderer(1, animate="renderers:copy") as renderer:
        assert await renderer.render(render_job(tmp_path)) is None


@pytest.mark.slow
async def test_failures_have_their_processor_time(tmp_path: Path) -> None:
    async with ProcessRenderer(1, animate="renderers:compute_and_fail") as renderer:
        with pytest.raises(RenderFailedError) as failure:
            await renderer.render(render_job(tmp_path))
    assert 0.1 <= failure.value.processor_seconds < 60
    for animate, photo in (("hang", b""), ("crash", b"2")):
        async with ProcessRenderer(
            1, animate=f"renderers:{animate}", render_seconds=60 if photo else 0.3
        ) as renderer:
            with pytest.raises(RenderFailedError) as failure:
                await renderer.render(render_job(tmp_path, photo=photo))
        assert failure.value.processor_seconds > 0


@pytest.mark.slow
async def test_another_error_is_raised_with_its_traceback(tmp_path: Path) -> None:
    async with ProcessRenderer(1, animate="renderers:raise_other_error") as renderer:
        with pytest.raises(RendererFaultError, match="ZeroDivisionError: a mistake") as fault:
            await renderer.render(render_job(tmp_path))
        assert 0.1 <= fault.value.processor_seconds < 60
        assert len(renderer._idle) == 1


async def test_after_a_crash_the_job_is_retried_in_a_new_worker(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = render_job(tmp_path, photo=b"1")
    async with ProcessRenderer(1, animate="renderers:crash") as renderer:
        await renderer.render(job)
    assert job.mp4.read_bytes() == b"well"
    assert (
        f"task={job.task_id} event=worker_died attempt=1 how='signal 11 | a bad pointer'"
        in caplog.text
    )


@pytest.mark.slow
async def test_after_two_crashes_the_job_fails_and_the_next_one_runs(tmp_path: Path) -> None:
    async with ProcessRenderer(1, animate="renderers:crash") as renderer:
        with pytest.raises(RenderFailedError, match="crashed on this photo 2 times") as failure:
            await renderer.render(render_job(tmp_path, photo=b"2"))
        assert failure.value.code.number == 50001
        await renderer.render(render_job(tmp_path, photo=b"0"))


@pytest.mark.slow
async def test_an_idle_worker_that_died_is_replaced(tmp_path: Path) -> None:
    async with ProcessRenderer(1, animate="renderers:copy") as renderer:
        await renderer.render(render_job(tmp_path))
        await renderer._idle[0].stop()
        await renderer.render(render_job(tmp_path))


async def test_a_job_that_takes_too_long_fails_and_its_worker_is_killed(tmp_path: Path) -> None:
    async with ProcessRenderer(1, animate="renderers:hang", render_seconds=0.3) as renderer:
        with pytest.raises(RenderFailedError, match=r"longer than 0\.3 s") as failure:
            await renderer.render(render_job(tmp_path))
        assert failure.value.code.number == 50001
        assert renderer._idle == []


async def test_a_cancelled_job_stops_and_its_unfinished_files_are_removed(tmp_path: Path) -> None:
    async with ProcessRenderer(1, animate="renderers:hang") as renderer:
        render = asyncio.create_task(renderer.render(render_job(tmp_path)))
        await until((tmp_path / "hanging").exists)
        assert unfinished_files(tmp_path) != []
        render.cancel()
        with pytest.raises(asyncio.CancelledError):
            await render
        assert is_free(tmp_path / "lock")
        assert unfinished_files(tmp_path) == []


async def test_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "photoanimer_async.service.rendering.process_renderer._ENGINE_NEEDS",
        ("json", "no_such_library"),
    )
    with pytest.raises(SetupError, match=r"no_such_library.*photoanimer-async\[local\]"):
        await ProcessRenderer(1).__aenter__()


async def test_installed_engines_are_named() -> None:
    with pytest.raises(SetupError, match="no engine 'live' is installed; there are: warp"):
        await ProcessRenderer(1, options={"engine": "live"}).__aenter__()
    assert (_ENGINES, _WARP) == (engines.GROUP, engines.WARP)


def test_importing_the_service_does_not_import_the_engines_libraries() -> None:
    script = "from photoanimer_async.service import LocalService\nimport sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "aiohttp" in loaded
    assert {"av", "cv2", "numpy", "onnxruntime", "PIL"}.isdisjoint(loaded)


@pytest.mark.slow
async def test_a_crash_does_not_affect_other_tasks(start: Start, host: PhotoHost) -> None:
    def crashing(times: int) -> str:
        # The service reads the header only.
        return host.url(f"{times}.png", png() + b"%d" % times)

    class Crashing(ProcessRenderer):
        """Uses the number after the header as the photo."""

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


@pytest.mark.slow
class TestEngine:
    """A service whose workers render with the engine itself."""

    async def test_videos_and_failures(self, tmp_path: Path, host: PhotoHost) -> None:
        settings = ServiceSettings(data_dir=tmp_path, port=0, workers=1)
        face = portrait()
        async with running(settings, None) as service:
            finished = await service.submit(host.url("face.jpg", face), 2, outputFormat="gif")
            grey = host.url("grey.jpg", jpeg(Image.new("RGB", (320, 320), "grey")))
            failed = [
                await service.submit(grey),
                await service.submit(host.url("cut.jpg", face[: len(face) // 3])),
                await service.submit(
                    host.url("face.jpg"), 0, voiceUrl=host.url("voice.mp3", b"no sound")
                ),
            ]

            info = await service.end_of(finished)
            assert info["status"] == 1, info
            for link in ("resultUrl", "gifUrl"):
                assert await asyncio.to_thread(frames, await download(service, info[link])) == 51

            ends = [await service.end_of(task_id) for task_id in failed]
            assert [end["status"] for end in ends] == [2, 2, 2]
            assert [end["failCode"] for end in ends] == [7001, 7002, 40023]
            assert all(end["failReason"] for end in ends)


def jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG")
    return file.getvalue()


def portrait() -> bytes:
    with Image.open(io.BytesIO(GRACE_HOPPER.read_bytes())) as picture:
        picture.thumbnail((320, 320))
        return jpeg(picture)


def frames(video: bytes) -> int:
    with av.open(io.BytesIO(video), "r") as container:
        return len(list(container.decode(video=0)))


async def download(service: Running, url: str) -> bytes:
    async with service.session.get(url) as answer:
        assert answer.status == 200
        return await answer.read()
