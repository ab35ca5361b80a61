"""Shortages of this machine: of disk space, memory, open files, or of a database that is locked.

They are nobody's fault and they pass. So a task that meets one waits and is tried again, and a
request is refused with HTTP status 503; neither is charged for it.
"""

import errno
import logging
import os
import sqlite3
from typing import Final

_DISK: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_ANY: Final = _DISK | {
    *(errno.EFBIG, errno.EIO),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN),
}


class ShortageError(Exception):
    """A render could not be done because the machine that renders is short of something."""


def is_shortage(error: BaseException) -> bool:
    """Return whether an error says that this machine is short of something."""
    match error:
        case ShortageError() | sqlite3.OperationalError():
            return True
        case OSError(errno=int(number)):
            return number in _ANY
        case _:
            return False


def is_full_disk(error: BaseException, *, files_are_limited: bool) -> bool:
    """Return whether an error of a decoder or encoder says that a disk is full.

    Other errors of the system are not trusted there: a damaged file can cause them.

    Args:
        error: the error.
        files_are_limited: whether this process may write smaller files than it should.
    """
    if not isinstance(error, OSError):
        return False
    return error.errno in _DISK or (files_are_limited and error.errno == errno.EFBIG)


def log_trouble(logger: logging.Logger, error: Exception, event: str, *values: object) -> None:
    """Log that something was not done: a shortage in one line, anything else as a fault."""
    if is_shortage(error):
        logger.warning(f"{event} why=%r", *values, reason_of(error))  # noqa: G004 - JSON logs need it
    else:
        logger.error(event, *values, exc_info=error)


def reason_of(error: BaseException) -> str:
    """Return what is missing, in words and without any path."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
