"""The pytest plugin with the fixture `photo_animer`.

pytest loads it at every start, in every project where the package is installed. So it imports
nothing else of the package until the fixture is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from photoanimer_async.testing import PhotoAnimerServer

_FIXTURE = "photo_animer"
_failed = pytest.StashKey[bool]()


@pytest.fixture
def photo_animer(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PhotoAnimerServer]:
    """A double of the Photo Animer API on loopback: tasks finish at once and cost nothing.

    During the test, `PHOTOANIMER_BASE_URL` and `PHOTOANIMER_API_KEY` point at it.
    """
    from photoanimer_async.testing import PhotoAnimerServer  # noqa: PLC0415 - only when the fixture is used

    with PhotoAnimerServer() as server:
        monkeypatch.setenv("PHOTOANIMER_BASE_URL", server.base_url)
        monkeypatch.setenv("PHOTOANIMER_API_KEY", server.api_key)
        yield server
        if not request.node.stash.get(_failed, False):
            server.check()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the requests that the double received to the report of a failed test."""
    report = yield
    server = getattr(item, "funcargs", {}).get(_FIXTURE)
    if server is not None and call.excinfo is not None:
        item.stash[_failed] = True
        report.sections.append(("Requests to photo_animer", str(server.ledger)))
    return report
