"""The estimate of the time left."""

import pytest

from photoanimer_async.cli.batch_results import BatchResults, PhotoResult
from photoanimer_async.cli.progress_display import Pace


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
