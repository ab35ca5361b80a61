"""Events that are repeated by each request."""

import asyncio
import json
import logging

import pytest

from photoanimer_async.cli.logs import JsonLines
from photoanimer_async.service.throttled_log import ThrottledLog

from .conftest import until

SHORTAGE = "event=shortage route=%s"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> ThrottledLog:
    caplog.set_level(logging.INFO)
    return ThrottledLog(logging.getLogger("photoanimer_async.test"))


async def test_events_within_a_minute_are_one_line(
    log: ThrottledLog, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(500):
        log.event(logging.WARNING, SHORTAGE, "/a")
        log.event(logging.WARNING, SHORTAGE, "/b")
        log.event(logging.INFO, "event=refused route=%s code=%s", "/a", "NO_STORAGE")
    assert caplog.messages == [
        "event=shortage route=/a",
        "event=shortage route=/b",
        "event=refused route=/a code=NO_STORAGE",
    ]


async def test_then_their_number_is_logged(
    log: ThrottledLog, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("photoanimer_async.service.throttled_log._SECONDS", 0.01)
    for _ in range(3):
        log.event(logging.WARNING, SHORTAGE, "/a")
    await until(lambda: caplog.messages[-1] == "event=shortage route=/a left_out=2")
    line = json.loads(JsonLines().format(caplog.records[-1]))
    assert (line["event"], line["route"], line["left_out"]) == ("shortage", "/a", 2)
    assert line["level"] == "warning"
    while caplog.messages[-1] != "event=shortage route=/a":  # once nothing was left out
        await asyncio.sleep(0.05)
        log.event(logging.WARNING, SHORTAGE, "/a")


async def test_the_traceback_is_in_the_first_line_without_queries_of_urls(
    log: ThrottledLog, caplog: pytest.LogCaptureFixture
) -> None:
    url = "http://x/a.png?sig=s3cret"

    def fail() -> None:
        raise ZeroDivisionError(url) from ValueError(url)

    for _ in range(3):
        try:
            fail()
        except ZeroDivisionError as error:
            log.event(logging.ERROR, "event=internal_error", error=error)
    assert caplog.text.count("ZeroDivisionError: http://x/a.png?…\n") == 1
    assert ", in fail" in caplog.text
    assert "s3cret" not in caplog.text
