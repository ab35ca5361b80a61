"""The bar of a batch in a terminal."""

import asyncio
from contextlib import suppress
from io import StringIO

import pytest
from rich.console import Console

from photoanimer_async.cli.batch_results import BatchResults, PhotoResult
from photoanimer_async.cli.progress_display import Pace, ProgressDisplay


def test_the_time_left_is_known_from_the_first_result_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("photoanimer_async.cli.progress_display.time.monotonic", lambda: now)
    results = BatchResults(total=10)
    pace = Pace(results)
    pace.start()
    now = 160.0
    assert pace.time_left() == "-:--"
    for index in range(5):
        results.add_result(index, PhotoResult("a", earlier=True))
    assert pace.time_left() == "-:--"
    results.add_result(5, PhotoResult("a"))
    assert pace.time_left() == "4:00"
    now = 220.0
    results.add_result(6, PhotoResult("a"))
    assert pace.time_left() == "3:00"


async def shown(results: BatchResults, *, stopped: bool, width: int = 80) -> str:
    """Return what a terminal has shown at the end of a batch."""
    console = Console(file=StringIO(), force_terminal=True, width=width, color_system=None)

    async def batch() -> None:
        with suppress(asyncio.CancelledError), ProgressDisplay(console, results):
            started.set()
            await (asyncio.Event().wait() if stopped else asyncio.sleep(0))

    started = asyncio.Event()
    task = asyncio.create_task(batch())
    await started.wait()
    if stopped:
        task.cancel()
    await task
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


async def test_a_stopped_batch_says_what_it_still_waits_for() -> None:
    results = BatchResults(total=3)
    assert "  stopping\n" in await shown(results, stopped=True)
    results.add_submit(0, "a.jpg")
    waiting = "stopping: waiting for the answer to 1 submit; Ctrl-C again exits at once"
    assert waiting in await shown(results, stopped=True)
    results.add_submit(1, "b.jpg")
    assert "for the answers to 2 submits;" in await shown(results, stopped=True)
    assert "stopping" not in await shown(results, stopped=False)


async def test_the_bar_is_no_wider_than_is_easy_to_read() -> None:
    done = BatchResults(total=1)
    done.add_result(0, PhotoResult("a"))
    for width, widest in ((80, 80), (200, 100)):
        lines = (await shown(done, stopped=False, width=width)).splitlines()
        assert widest // 2 < max(line.count("━") for line in lines) < widest
