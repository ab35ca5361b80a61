"""Results as files: complete or absent, never overwritten, each with a name of its own."""

import asyncio
import errno
import os
import resource
import shutil
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web
from blockbuster import blockbuster_ctx

from photoanimer_async.errors import DownloadError
from photoanimer_async.models import Photo
from photoanimer_async.storage.download import download
from photoanimer_async.storage.result_folder import FileDestination, ResultFolder

from ..support.result_server import VIDEO, ResultServer, after, sends
from ..support.small_disk import MIB, fill, small_disk
from ..support.stub_service import QUICK_RETRY

Save = Callable[[], Awaitable[Path]]

NO_LINKS = [errno.EPERM, errno.EACCES, errno.EXDEV, errno.EINVAL, errno.ENOTSUP, errno.EMLINK]
"""How file systems refuse hard links."""


@pytest.fixture
def save(session: aiohttp.ClientSession, results: ResultServer, tmp_path: Path) -> Save:
    """Downloads to `video.mp4`."""

    async def save() -> Path:
        target = FileDestination(tmp_path / "video.mp4")
        return await download(session, results.origin, target, timeout=60, retry=QUICK_RETRY)

    return save


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refusing(number: int) -> Callable[..., object]:
    """Return a system call that fails with this error number."""

    def refuse(*args: object, **kwargs: object) -> object:
        raise OSError(number, os.strerror(number))

    return refuse


class TestNames:
    async def test_existing_files_are_never_overwritten(self, save: Save, tmp_path: Path) -> None:
        for name in ("video.mp4", "video-2.mp4", "video-3.mp4.part"):
            tmp_path.joinpath(name).write_bytes(b"mine")
        assert await save() == tmp_path / "video-4.mp4"
        assert files(tmp_path) == {
            "video.mp4": b"mine",
            "video-2.mp4": b"mine",
            "video-3.mp4.part": b"mine",
            "video-4.mp4": VIDEO,
        }

    @pytest.mark.parametrize("hard_links", [True, False], ids=["links", "no links"])
    async def test_a_name_taken_during_the_download_is_numbered(
        self,
        save: Save,
        results: ResultServer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        *,
        hard_links: bool,
    ) -> None:
        if not hard_links:
            monkeypatch.setattr(os, "link", refusing(errno.EPERM))

        async def take_the_name() -> None:
            await asyncio.to_thread((tmp_path / "video.mp4").write_bytes, b"other")

        results.script = [after(take_the_name, sends(VIDEO))]
        assert await save() == tmp_path / "video-2.mp4"
        assert files(tmp_path) == {"video.mp4": b"other", "video-2.mp4": VIDEO}

    async def test_identical_content_is_not_saved_twice(
        self, save: Save, results: ResultServer, tmp_path: Path
    ) -> None:
        async def save_before() -> None:
            await asyncio.to_thread((tmp_path / "video.mp4").write_bytes, VIDEO)

        results.script = [after(save_before, sends(VIDEO))]
        assert await save() == tmp_path / "video.mp4"
        assert files(tmp_path) == {"video.mp4": VIDEO}

    async def test_simultaneous_downloads_to_one_name(self, save: Save, tmp_path: Path) -> None:
        paths = await asyncio.gather(*(save() for _ in range(8)))
        assert len(set(paths)) == 8
        assert set(files(tmp_path).values()) == {VIDEO}
        assert len(files(tmp_path)) == 8


@contextmanager
def small_files() -> Iterator[None]:
    """Let the operating system refuse files of more than 100 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)


class TestDisk:
    @pytest.mark.parametrize("step", ["fsync", "link"])
    async def test_a_full_disk_leaves_nothing(
        self, save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        monkeypatch.setattr(os, step, refusing(errno.ENOSPC))
        with pytest.raises(DownloadError, match="no space is left on the disk"):
            await save()
        assert files(tmp_path) == {}

    async def test_a_failed_write_leaves_nothing(self, save: Save, tmp_path: Path) -> None:
        text = r"video\.mp4: cannot be written: File too large"
        with small_files(), pytest.raises(DownloadError, match=text):
            await save()
        assert files(tmp_path) == {}

    async def test_a_missing_folder_is_reported_before_the_download(
        self, session: aiohttp.ClientSession, results: ResultServer, tmp_path: Path
    ) -> None:
        target = FileDestination(tmp_path / "gone" / "a.mp4")
        with pytest.raises(DownloadError, match=r"a\.mp4: cannot be written: No such file"):
            await download(session, results.origin, target, timeout=60)
        assert results.requests == []

    @pytest.mark.parametrize("number", NO_LINKS, ids=errno.errorcode.get)
    async def test_a_file_system_without_hard_links(
        self, save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        monkeypatch.setattr(os, "link", refusing(number))
        await save()
        assert files(tmp_path) == {"video.mp4": VIDEO}

    @pytest.mark.parametrize("number", NO_LINKS, ids=errno.errorcode.get)
    async def test_without_hard_links_nothing_is_overwritten_either(
        self, save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        def take_the_name(part: Path, name: Path) -> None:
            if name.name == "video.mp4":
                name.write_bytes(b"other")
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "link", take_the_name)
        assert await save() == tmp_path / "video-2.mp4"
        assert files(tmp_path) == {"video.mp4": b"other", "video-2.mp4": VIDEO}

    async def test_a_refused_rename_leaves_nothing(
        self, save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "link", refusing(errno.EPERM))
        monkeypatch.setattr(os, "replace", refusing(errno.EACCES))
        monkeypatch.setattr(Path, "replace", refusing(errno.EACCES))
        with pytest.raises(DownloadError, match="cannot be written: Permission denied"):
            await save()
        assert files(tmp_path) == {}

    async def test_a_disk_that_is_full_during_the_download(
        self, session: aiohttp.ClientSession, results: ResultServer, tmp_path: Path
    ) -> None:
        with small_disk(tmp_path / "disk", 1) as disk:
            filler = fill(disk, free=200_000)
            target = FileDestination(disk / "video.mp4")
            with pytest.raises(DownloadError, match="no space is left on the disk"):
                await download(session, results.origin, target, timeout=60, retry=QUICK_RETRY)
            assert set(files(disk)) == {"filler"}
            filler.unlink()
            await download(session, results.origin, target, timeout=60, retry=QUICK_RETRY)
            assert files(disk) == {"video.mp4": VIDEO}


class TestCancellation:
    async def test_a_cancelled_download_leaves_nothing(
        self, save: Save, results: ResultServer, tmp_path: Path
    ) -> None:
        started = asyncio.Event()

        async def stalls(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Length": str(len(VIDEO))})
            await response.prepare(request)
            await response.write(VIDEO[:400_000])
            started.set()
            await asyncio.Event().wait()
            return response

        results.script = [stalls]
        task = asyncio.ensure_future(save())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert files(tmp_path) == {}

    async def test_a_cancellation_waits_for_the_file_operation_in_progress(
        self, save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loop = asyncio.get_running_loop()
        reached, may_continue = asyncio.Event(), threading.Event()
        link = os.link

        def slow_link(source: Path, target: Path) -> None:
            loop.call_soon_threadsafe(reached.set)
            may_continue.wait()
            link(source, target)

        monkeypatch.setattr(os, "link", slow_link)
        task = asyncio.ensure_future(save())
        await reached.wait()
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        may_continue.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert files(tmp_path) == {"video.mp4": VIDEO}


@asynccontextmanager
async def claims(folder: ResultFolder, *photos: Photo) -> AsyncIterator[list[str]]:
    async with AsyncExitStack() as stack:
        yield [
            (await stack.enter_async_context(folder.claim(photo, ".mp4"))).location.name
            for photo in photos
        ]


class TestClaim:
    async def test_a_given_name_replaces_that_of_the_photo(self, tmp_path: Path) -> None:
        async with ResultFolder(tmp_path).claim(b"", ".gif", name="../my/holiday") as claimed:
            assert claimed.location == tmp_path / "_my_holiday.gif"

    async def test_the_folder_is_created(self, tmp_path: Path) -> None:
        folder = tmp_path / "a" / "b"
        async with ResultFolder(str(folder)).claim("x.jpg", ".mp4") as claimed:
            assert claimed.location.parent == folder
            assert files(folder) == {}

    async def test_each_photo_gets_another_name(self, tmp_path: Path) -> None:
        folder = ResultFolder(tmp_path)
        async with claims(folder, "a/me.jpg", "b/me.png", "ME.bmp", "me-2.jpg") as names:
            assert names == ["me.mp4", "me-2.mp4", "ME-3.mp4", "me-2-2.mp4"]

    async def test_names_of_existing_files_are_taken(self, tmp_path: Path) -> None:
        for name in ("me.mp4", "me-2.mp4.part"):
            (tmp_path / name).touch()
        (tmp_path / "me-3.mp4").symlink_to("nowhere")
        async with claims(ResultFolder(tmp_path), "me.jpg") as names:
            assert names == ["me-4.mp4"]

    async def test_an_unused_name_is_free_again(self, tmp_path: Path) -> None:
        folder = ResultFolder(tmp_path)
        for _ in range(2):
            async with claims(folder, "me.jpg") as names:
                assert names == ["me.mp4"]

    async def test_a_claim_that_is_cancelled_meanwhile_leaves_its_name_free(
        self, tmp_path: Path
    ) -> None:
        folder, may_claim = ResultFolder(tmp_path), threading.Event()
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        busy = asyncio.create_task(asyncio.to_thread(may_claim.wait))
        claiming = asyncio.create_task(folder.claim("me.jpg", ".mp4").__aenter__())
        await asyncio.sleep(0.01)
        claiming.cancel()
        may_claim.set()
        with pytest.raises(asyncio.CancelledError):
            await claiming
        await busy
        async with claims(folder, "me.jpg") as names:
            assert names == ["me.mp4"]

    async def test_the_claim_of_a_killed_run_is_claimed_again_without_its_part(
        self, tmp_path: Path
    ) -> None:
        for name in ("me.mp4.part", "me.gif.part", "me-2.mp4.part"):
            (tmp_path / name).touch()
        folder = ResultFolder(tmp_path)
        async with folder.claim("me.jpg", ".mp4", earlier=tmp_path / "me.mp4") as claimed:
            assert claimed.location == tmp_path / "me.mp4"
            assert set(files(tmp_path)) == {"me-2.mp4.part"}
        async with folder.claim("me.jpg", ".mp4", earlier=Path("/elsewhere/me-2.mp4")) as claimed:
            assert claimed.location == tmp_path / "me.mp4"
            assert set(files(tmp_path)) == {"me-2.mp4.part"}

    async def test_long_names_with_a_number_stay_within_200_bytes(self, tmp_path: Path) -> None:
        async with claims(ResultFolder(tmp_path), *["x" * 300] * 12) as names:
            assert len(set(names)) == 12
            assert max(map(len, names)) <= 200

    async def test_simultaneous_claims_get_different_names(self, tmp_path: Path) -> None:
        folder = ResultFolder(tmp_path)
        async with AsyncExitStack() as stack:
            entered = [stack.enter_async_context(folder.claim(b"", ".mp4")) for _ in range(300)]
            with blockbuster_ctx():
                claimed = await asyncio.gather(*entered)
            assert len({each.location for each in claimed}) == 300

    async def test_a_folder_that_cannot_be_created(self, tmp_path: Path) -> None:
        tmp_path.joinpath("out").touch()
        with pytest.raises(DownloadError, match="out: cannot be written: File exists"):
            async with ResultFolder(tmp_path / "out").claim("x.jpg", ".mp4"):
                pytest.fail("there is no folder")

    async def test_a_folder_without_write_permission(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "open", refusing(errno.EACCES))  # root may write anywhere
        with pytest.raises(DownloadError, match="Permission denied"):
            async with ResultFolder(tmp_path).claim("x.jpg", ".mp4"):
                pytest.fail("nothing can be written")

    async def test_a_file_size_limit_is_found_before_the_submit(self, tmp_path: Path) -> None:
        with small_files(), pytest.raises(DownloadError, match="File too large"):
            async with ResultFolder(tmp_path).claim("x.jpg", ".mp4"):
                pytest.fail("no video can be written")
        assert files(tmp_path) == {}

    async def test_a_claim_waits_while_the_disk_has_room_for_earlier_ones_only(
        self, tmp_path: Path
    ) -> None:
        with small_disk(tmp_path / "disk", 4) as disk:
            folder = ResultFolder(disk)
            fill(disk, free=2 * MIB + MIB // 2)
            most = claimed = 0
            two = asyncio.Event()

            async def claim(name: str) -> None:
                nonlocal most, claimed
                async with folder.claim(name, ".mp4"):
                    claimed += 1
                    most = max(most, claimed)
                    if claimed == 2:
                        two.set()
                    await two.wait()
                    await asyncio.sleep(0.001)
                    claimed -= 1

            await asyncio.gather(*(claim(f"{i}.jpg") for i in range(20)))
            assert most == 2

    async def test_there_must_be_room_for_one_result_before_it_is_paid_for(
        self, tmp_path: Path
    ) -> None:
        with small_disk(tmp_path / "disk", 4) as disk:
            folder = ResultFolder(disk)
            async with claims(folder, "1.jpg"):
                pass
            filler = fill(disk, free=MIB // 2)
            for each in (folder, ResultFolder(disk)):
                with pytest.raises(DownloadError, match="disk: cannot be written: no space"):
                    async with each.claim("2.jpg", ".mp4"):
                        pytest.fail("there is no room")
                async with each.claim("paid.jpg", ".mp4", paid=True) as claimed:
                    assert claimed.location == disk / "paid.mp4"
            filler.unlink()
            async with claims(folder, "1.jpg", "2.jpg") as names:
                assert names == ["1.mp4", "2.mp4"]

    async def test_a_disk_that_does_not_report_its_size(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=0, free=0))
        async with ResultFolder(tmp_path).claim("x.jpg", ".mp4") as claimed:
            assert claimed.location == tmp_path / "x.mp4"

    async def test_a_name_that_a_killed_run_has_reserved_is_used(self, tmp_path: Path) -> None:
        for name in ("me.mp4", "other.mp4"):
            (tmp_path / name).touch()
        async with ResultFolder(tmp_path).claim(
            "me.jpg", ".mp4", earlier=tmp_path / "me.mp4"
        ) as claimed:
            assert claimed.location == tmp_path / "me.mp4"
            assert set(files(tmp_path)) == {"other.mp4"}
