"""Limits of memory, processor time and file size for a worker process.

Photos and sounds from anybody are decoded by large C libraries, and some file will make one of
them loop or allocate without bound. With these limits such a file costs one process and one
task, not the machine's memory or disk. A worker sets them on itself before it loads the
libraries. They are not a sandbox: code that an attacker managed to run could still read what the
service's user can read, and use the network. Against that, run the service as its own user or in
a container.

Memory is limited by `RLIMIT_DATA`, the private memory of a process. `RLIMIT_AS`, its whole
address space, would include shared libraries and mapped files, which are most of what the
engine's libraries reserve. Linux enforces it for all private memory, macOS does not. Where a
limit cannot be set, work continues without it; the timeout of `ProcessRenderer` always holds.
"""

import contextlib
import json
import os
import resource
from typing import Final, Self

from attrs import asdict, frozen

OUT_OF_MEMORY_STATUS: Final = 71
"""Exit status of a worker that could not allocate memory."""

LOAD_ENGINE: Final = "load-engine"
"""Argument of a worker that loads the engine at once."""

_OPEN_FILES: Final = 128


@frozen(kw_only=True)
class ResourceLimits:
    """What a worker process may use.

        ResourceLimits(memory=2**31, cpu_seconds=600, file_bytes=2**30).impose()

    Attributes:
        memory: bytes of private memory, including those of its libraries.
        cpu_seconds: processor seconds of one job, summed over all threads.
        file_bytes: size of the largest file that it may write.
    """

    memory: int
    cpu_seconds: int
    file_bytes: int

    @classmethod
    def from_argument(cls, argument: str) -> Self:
        """Parse what `as_argument` returned."""
        return cls(**json.loads(argument))

    def as_argument(self) -> str:
        """Return the limits as one command-line argument."""
        return json.dumps(asdict(self))

    def impose(self) -> None:
        """Set the limits on this process; they cannot be raised again."""
        _limit(resource.RLIMIT_DATA, self.memory)
        _limit(resource.RLIMIT_FSIZE, self.file_bytes)
        _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
        # A core dump would contain other people's photos.
        _limit(resource.RLIMIT_CORE, 0)

    def are_stricter_outside(self) -> bool:
        """Return whether files were limited to less than `file_bytes` before `impose`."""
        soft, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        return soft != resource.RLIM_INFINITY and soft < self.file_bytes

    def begin_job(self) -> None:
        """Count processor time from now on; the kernel ends the process when it is used up."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        used = int(usage.ru_utime + usage.ru_stime) + 1
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        _set(resource.RLIMIT_CPU, _capped(used + self.cpu_seconds, hard), hard)


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no affinity
        return os.cpu_count() or 1


def _limit(kind: int, most: int) -> None:
    """Set a limit, unless a stricter one is in force."""
    _, hard = resource.getrlimit(kind)
    limit = _capped(most, hard)
    _set(kind, limit, limit)


def _capped(limit: int, hard: int) -> int:
    return limit if hard == resource.RLIM_INFINITY else min(limit, hard)


def _set(kind: int, soft: int, hard: int) -> None:
    with contextlib.suppress(OSError, ValueError):  # not supported by this system
        resource.setrlimit(kind, (soft, hard))
