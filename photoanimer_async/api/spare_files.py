"""How many files and connections this process may open, and whether it still can."""

import resource
import socket
from contextlib import ExitStack

from photoanimer_async.errors import NotSentError

_SPARE_FILES = 5
_OTHER_FILES = 20
_FILES_PER_CONNECTION = 4
"""The connection; that by which the service fetches the photo; the photo; the result."""


def most_connections(wanted: int) -> int:
    """Return how many connections a client may have; fewer where few files may be open.

    If the connections took all files, the photos of submits could not be fetched, and all would
    wait for each other.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, (limit - _OTHER_FILES) // _FILES_PER_CONNECTION))


def require_spare_files() -> None:
    """Check that a submit can be followed by what it needs: the photo's fetch, polls, the result.

    Raises:
        NotSentError: too many files are open.
    """
    try:
        with ExitStack() as stack:
            for _ in range(_SPARE_FILES):
                stack.enter_context(socket.socket())
    except OSError as error:
        raise NotSentError(f"not submitted: {error.strerror}") from error
