"""The files of a service."""

import asyncio
import fcntl
import stat
import threading

import pytest

from photoanimer_async.service import LocalService, ServiceSettings, SetupError

from ..conftest import InstantRenderer, PhotoHost, running, until


async def test_leftovers_of_interrupted_work_are_removed_at_the_start(
    settings: ServiceSettings, host: PhotoHost
) -> None:
    stuck = InstantRenderer(gate=asyncio.Event())
    async with running(settings, stuck) as service:
        open_task = await service.submit(host.url("photo.png"))
        await until(lambda: stuck.jobs)
    inputs, results = settings.data_dir / "inputs", settings.data_dir / "results"
    (inputs / "123456789012345.photo").touch()
    (results / f".{'A' * 32}.mp4.0123abcd.part").touch()
    (results / f"{'B' * 32}.mp4").touch()

    async with running(settings, stuck):
        await until(lambda: len(stuck.jobs) == 2)
        assert [path.name for path in inputs.iterdir()] == [f"{open_task}.photo"]
        assert [path.name for path in results.iterdir()] == [f"{'B' * 32}.mp4"]


async def test_nobody_but_the_owner_gets_into_the_folder(settings: ServiceSettings) -> None:
    root = settings.data_dir
    async with running(settings, InstantRenderer()):
        folders = (root, root / "inputs", root / "results")
        assert [stat.S_IMODE(folder.stat().st_mode) for folder in folders] == [0o700] * 3
        files = [path for path in root.iterdir() if path.is_file()]
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    root.chmod(0o755)  # as earlier versions left it
    async with running(settings, InstantRenderer()):
        assert stat.S_IMODE(root.stat().st_mode) == 0o700


async def test_a_folder_with_other_things_in_it_is_not_closed(settings: ServiceSettings) -> None:
    root = settings.data_dir
    root.mkdir(parents=True)
    root.chmod(0o755)
    (root / "other").touch()
    async with running(settings, InstantRenderer()):
        assert stat.S_IMODE(root.stat().st_mode) == 0o755
        assert stat.S_IMODE((root / "results").stat().st_mode) == 0o700


async def test_a_start_that_is_cancelled_leaves_the_folder_unlocked(
    settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, locking, may_lock = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def slow_flock(descriptor: int, operation: int) -> None:
        loop.call_soon_threadsafe(locking.set)
        may_lock.wait()
        flock(descriptor, operation)

    flock = fcntl.flock
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", slow_flock)
        starting = asyncio.create_task(LocalService(settings).__aenter__())
        await locking.wait()
        starting.cancel()
        loop.call_soon(may_lock.set)
        with pytest.raises(asyncio.CancelledError):
            await starting
    async with running(settings, InstantRenderer()):
        pass


async def test_a_second_service_cannot_use_the_folder(settings: ServiceSettings) -> None:
    async with running(settings, InstantRenderer()):
        with pytest.raises(SetupError, match="data is in use by another service"):
            await LocalService(settings).__aenter__()
    async with running(settings, InstantRenderer()) as service:
        assert (await service.call("mySubscription"))["code"] == 0


async def test_a_folder_that_cannot_be_created(settings: ServiceSettings) -> None:
    settings.data_dir.parent.mkdir()
    settings.data_dir.touch()
    with pytest.raises(SetupError, match="data cannot be used: Not a directory"):
        await LocalService(settings).__aenter__()
