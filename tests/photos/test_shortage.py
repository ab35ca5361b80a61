"""Which errors mean that this machine is short of something."""

import errno
import os

import pytest

from photoanimer_async.photos.shortage import find_shortage, remedy


def os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("shortage", "what_helps"),
    [
        (os_error(errno.ENOSPC), "free some disk space"),
        (os_error(errno.EDQUOT), "quota"),
        (os_error(errno.EMFILE), "ulimit -n"),
        (os_error(errno.ENFILE), "open files"),
        (os_error(errno.ENOMEM), "memory"),
        (MemoryError(), "memory"),
        (RuntimeError("can't start new thread"), "lower the concurrency"),
    ],
)
def test_a_shortage_is_found_among_the_causes(shortage: Exception, what_helps: str) -> None:
    middle, outer = KeyError(), ValueError()
    outer.__cause__, middle.__cause__ = middle, shortage
    assert find_shortage(outer) is shortage
    assert find_shortage(shortage) is shortage
    assert what_helps in remedy(shortage)


@pytest.mark.parametrize(
    "error",
    [os_error(errno.ENOENT), os_error(errno.EACCES), OSError("?"), RuntimeError("x"), KeyError()],
)
def test_other_errors_are_none(error: Exception) -> None:
    error.__cause__ = error
    assert find_shortage(error) is None
