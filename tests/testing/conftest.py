"""A double."""

from collections.abc import Iterator

import pytest

from photoanimer_async.testing import PhotoAnimerServer


@pytest.fixture
def server() -> Iterator[PhotoAnimerServer]:
    with PhotoAnimerServer() as server:
        yield server
