"""The pytest plugin: the fixture `photo_animer`.

pytest loads it at its start, in every project where the package is installed. So it imports
nothing of the package before the fixture is used.
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
    """A Photo Animer on loopback that is done at once and charges nobody.

    `PHOTOANIMER_BASE_URL` and `PHOTOANIMER_API_KEY` lead to it for as long as the test runs.
    """
    from photoanimer_async.testing import PhotoAnimerServer  # noqa: PLC0415 - only when it is used

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
    """Add to the report of a test that failed what the double was asked."""
    report = yield
    server = getattr(item, "funcargs", {}).get(_FIXTURE)
    if server is not None and call.excinfo is not None:
        item.stash[_failed] = True
        report.sections.append(("Requests to photo_animer", str(server.ledger)))
    return report
