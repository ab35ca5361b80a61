"""What every test has: an event loop that must not be blocked."""

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx


@pytest.fixture(autouse=True)
def loop_is_never_blocked() -> Iterator[BlockBuster]:
    """Fails a test in which our own code blocks the event loop."""
    with blockbuster_ctx("photoanimer_async") as blockbuster:
        yield blockbuster
