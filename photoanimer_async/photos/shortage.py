"""Which errors mean that this machine is short of something, and that nothing else is wrong."""

import errno
from collections.abc import Iterator

_REMEDIES = {
    errno.ENOSPC: "free some disk space",
    errno.EDQUOT: "free some disk space, or raise the quota",
    errno.EFBIG: "raise the limit of the size of a file (ulimit -f)",
    errno.EMFILE: "raise the limit of open files (ulimit -n), or lower the concurrency",
    errno.ENFILE: "raise the system's limit of open files, or lower the concurrency",
    errno.ENOBUFS: "lower the concurrency",
    errno.ENOMEM: "free some memory, or lower the concurrency",
}
_NO_THREAD = "can't start new thread"


def is_shortage(error: BaseException) -> bool:
    """Return whether an error itself says that disk, files, memory or threads are used up."""
    match error:
        case OSError():
            return error.errno in _REMEDIES
        case RuntimeError():
            return str(error) == _NO_THREAD
        case _:
            return isinstance(error, MemoryError)


def find_shortage(error: BaseException) -> BaseException | None:
    """Return the shortage that an error was raised for, itself or one of its causes."""
    return next(filter(is_shortage, _causes(error)), None)


def remedy(shortage: BaseException) -> str:
    """Return what helps against a shortage, as an instruction."""
    number = shortage.errno if isinstance(shortage, OSError) and shortage.errno else errno.ENOMEM
    return _REMEDIES.get(number, _REMEDIES[errno.ENOMEM])


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen = set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__
