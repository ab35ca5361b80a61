"""Files that can still be opened."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from photoanimer_async import NotSentError
from photoanimer_async.api.spare_files import most_connections, require_spare_files


@contextmanager
def limited_files(limit: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    ("limit", "connections"), [(1024, 150), (256, 59), (64, 11), (24, 1), (16, 1)]
)
def test_connections_leave_files_for_photos_and_results(limit: int, connections: int) -> None:
    with limited_files(limit):
        assert most_connections(150) == connections


def test_files_that_can_still_be_opened_are_counted() -> None:
    require_spare_files()
    lowest_free = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest_free)
    with limited_files(lowest_free + 4):
        for _ in range(3):  # they are closed again
            with pytest.raises(NotSentError, match="Too many open files"):
                require_spare_files()
    require_spare_files()
