"""A full disk and a locked database: tasks wait, none is lost, none is charged twice."""

import asyncio
import errno
import logging
import re
import resource
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from photoanimer_async.service import AccountBook, Kind
from photoanimer_async.service.rendering.process_renderer import ProcessRenderer
from photoanimer_async.service.shortages import (
    ShortageError,
    is_full_disk,
    is_shortage,
    log_trouble,
    reason_of,
)

from ..support.small_disk import fill, small_disk
from .conftest import Customer, InstantRenderer, PhotoHost, Running, Start, added, png, until

TASKS = 12
LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("photoanimer_async.service.rendering.render_queue._FIRST_PAUSE", 0.05)
    monkeypatch.setattr("photoanimer_async.service.rendering.render_queue._LONGEST_PAUSE", 0.2)
    monkeypatch.setattr("photoanimer_async.service.storing.database._BUSY_SECONDS", 0.2)
    monkeypatch.setattr("photoanimer_async.service.http.health._VALID_SECONDS", -1.0)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "data", 8) as disk:
        yield disk


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another process has SQLite's write lock."""
    with subprocess.Popen(
        [sys.executable, "-c", LOCK, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield
        process.communicate()


async def health(service: Running) -> tuple[int, dict[str, str]]:
    url = service.service.base_url.removesuffix("/api/v1") + "/healthz"
    async with aiohttp.request("GET", url) as answer:
        return answer.status, await answer.json()


async def metric(service: Running, name: str) -> float:
    async with service.session.get(f"{service.service.operations_url}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    return next(
        sample.value for family in families for sample in family.samples if sample.name == name
    )


Twelve = Callable[[], AbstractAsyncContextManager[Running]]


@pytest.fixture
def twelve_tasks(
    start: Start, host: PhotoHost, book: AccountBook, renderer: InstantRenderer
) -> Twelve:
    """A service with twelve tasks of anna, which must all end, charged once, after the block."""

    @asynccontextmanager
    async def twelve_tasks() -> AsyncIterator[Running]:
        key = await added(book, "anna", seconds=100)
        service = await start(workers=2, metrics_address="0")
        anna = Customer(service, key)
        renderer.gate = asyncio.Event()
        ids = [(await anna.submit(host.url("photo.png"), 2))["data"] for _ in range(TASKS)]
        await until(lambda: len(renderer.jobs) == 2)

        yield service

        ends = [await anna.end_of(task_id) for task_id in ids]
        assert [end["status"] for end in ends] == [1] * TASKS
        assert await anna.balance() == pytest.approx(100 - TASKS * 2.13)
        entries = await asyncio.to_thread(book.entries, "anna")
        assert [each.kind for each in entries] == [Kind.CREDIT] + [Kind.CHARGE] * TASKS
        assert await health(service) == (200, {"status": "ok"})
        assert await metric(service, "photoanimer_tasks_open") == 0

    return twelve_tasks


async def assert_waiting(service: Running, reason: str) -> None:
    """The service says what is wrong, and that the tasks are open."""
    status, body = await health(service)
    assert status == 503
    assert re.search(reason, body["reason"])
    assert await metric(service, "photoanimer_tasks_open") == TASKS


@pytest.mark.slow
async def test_tasks_wait_while_the_disk_is_full(
    twelve_tasks: Twelve,
    renderer: InstantRenderer,
    disk: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with twelve_tasks() as service:
        filler = await asyncio.to_thread(fill, disk, free=0)
        assert renderer.gate is not None
        renderer.gate.set()
        await until(lambda: caplog.text.count("event=put_back") > 2 * TASKS)
        await assert_waiting(service, "full|No space left")
        filler.unlink()


async def test_a_submit_is_refused_and_not_charged_while_the_disk_is_full(
    start: Start, host: PhotoHost, book: AccountBook, disk: Path
) -> None:
    key = await added(book, "anna", seconds=100)
    anna = Customer(await start(), key)
    large = host.url("large.png", png() + bytes(1_000_000))
    filler = await asyncio.to_thread(fill, disk, free=0)
    submit = {"imageUrl": large, "templateId": "2"}
    status, envelope, headers = await anna.get("faceDriven/submitTaskByUrl", **submit)
    assert (status, envelope["code"], headers["Retry-After"]) == (503, 50301, "5")
    assert await anna.balance() == 100
    filler.unlink()
    task_id = (await anna.submit(large, 2))["data"]
    assert (await anna.end_of(task_id))["status"] == 1
    assert await anna.balance() == pytest.approx(97.87)


@pytest.mark.slow
async def test_tasks_wait_while_another_process_holds_the_databases_lock(
    twelve_tasks: Twelve,
    renderer: InstantRenderer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with twelve_tasks() as service:
        lock = locked(service.settings.data_dir / "tasks.db")
        await asyncio.to_thread(lock.__enter__)
        assert renderer.gate is not None
        renderer.gate.set()
        await until(lambda: caplog.text.count("event=put_back") > 4)
        await assert_waiting(service, "locked")
        # What has been rendered is not rendered again.
        assert len(renderer.jobs) == 2
        await asyncio.to_thread(lock.__exit__, None, None, None)
    assert len(renderer.jobs) == TASKS


@pytest.mark.slow
async def test_tasks_wait_while_files_may_not_grow(
    twelve_tasks: Twelve,
    renderer: InstantRenderer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with twelve_tasks() as service:
        assert renderer.gate is not None
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
            renderer.gate.set()
            await until(lambda: caplog.text.count("event=put_back") > 2 * TASKS)
            await assert_waiting(service, "")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_worker_that_finds_the_disk_full_does_not_fail_its_task(
    start: Start,
    host: PhotoHost,
    disk: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    doubles = Path(__file__).parent / "doubles"
    monkeypatch.setenv("PYTHONPATH", str(doubles), prepend=":")
    async with ProcessRenderer(1, animate="renderers:copy_after_gate") as renderer:
        gate = disk.with_name("gate")
        renderer._options = {"gate": str(gate)}
        service = await start(renderer=renderer)
        task_id = await service.submit(host.url("wait.png", png() + b"wait" + bytes(200_000)))
        await until(lambda: [*(disk / "inputs").iterdir()])
        filler = await asyncio.to_thread(fill, disk, free=0)
        gate.touch()
        await until(lambda: "event=put_back why='No space left on device'" in caplog.text)
        filler.unlink()
        assert (await service.end_of(task_id))["status"] == 1
    assert "worker_died" not in caplog.text


async def test_a_stop_does_not_wait_for_the_end_of_a_pause(
    start: Start, host: PhotoHost, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("photoanimer_async.service.rendering.render_queue._FIRST_PAUSE", 3600.0)
    full = InstantRenderer(error=OSError(errno.ENOSPC, "No space left on device"))
    service = await start(renderer=full, drain_seconds=3600.0)
    await service.submit(host.url("photo.png"))
    await until(lambda: "event=put_back" in caplog.text)
    await service.service.__aexit__(None, None, None)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), True),
        (OSError(errno.EMFILE, "Too many open files"), True),
        (sqlite3.OperationalError("database is locked"), True),
        (ShortageError("disk full"), True),
        (FileNotFoundError(errno.ENOENT, "No such file"), False),
        (sqlite3.IntegrityError("UNIQUE constraint failed"), False),
        (OSError("anything"), False),
        (ValueError(), False),
    ],
)
def test_what_is_a_shortage(error: Exception, expected: bool) -> None:
    assert is_shortage(error) is expected
    assert "/data" not in reason_of(error)


def test_a_shortage_is_a_warning_and_anything_else_a_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.getLogger("elsewhere")
    locked = sqlite3.OperationalError("database is locked")
    log_trouble(logger, locked, "task=%d event=stuck", 7)
    log_trouble(logger, ZeroDivisionError(), "task=%d event=stuck", 8)
    warning, fault = caplog.records
    assert warning.getMessage() == "task=7 event=stuck why='database is locked'"
    assert (warning.levelname, warning.exc_info) == ("WARNING", None)
    assert (fault.levelname, fault.getMessage()) == ("ERROR", "task=8 event=stuck")
    assert fault.exc_info is not None


def test_an_encoder_may_report_a_full_disk_only() -> None:
    def full(number: int, *, limited: bool) -> bool:
        return is_full_disk(OSError(number, ""), files_are_limited=limited)

    assert full(errno.ENOSPC, limited=False)
    assert not full(errno.EIO, limited=True)
    assert not full(errno.EFBIG, limited=False)
    assert full(errno.EFBIG, limited=True)
