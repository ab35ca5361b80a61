"""What a worker process may use at most, by limits that the system holds it to.

Photos and sounds from anywhere are decoded by large libraries in C, and one day a file will
make one of them run wild. The limits see to it that this costs one process its life and the
task its video, rather than the machine its memory or its disk. They are set by the worker on
itself before it loads any of those libraries, and survive none of them: code that an attacker
got to run could still read what the service's user can read, and reach the network, as there
is no portable way for an unprivileged process to give that up. For that, run the service as
a user of its own, or in a container.

Memory is limited by `RLIMIT_DATA`, what a process has for itself. `RLIMIT_AS`, the whole
address space, would count shared libraries and files that are only mapped, which is most of
what the engine's libraries ask for. On Linux it holds for all memory; macOS does not hold
processes to it, and where a limit can not be set, work goes on without: the time limit of
`workers.ProcessRenderer` is there in any case.
"""

import contextlib
import json
import resource
from typing import Final, Self

from attrs import asdict, frozen

OUT_OF_MEMORY_STATUS: Final = 71
"""Exit status of a worker that could get no more memory."""

_OPEN_FILES: Final = 128


@frozen(kw_only=True)
class Limits:
    """What a worker may use.

    Attributes:
        memory: bytes of memory of its own, the libraries' included.
        cpu_seconds: processor time of one job, all its threads together.
        file_bytes: the longest file that it writes.
    """

    memory: int
    cpu_seconds: int
    file_bytes: int

    @classmethod
    def from_argument(cls, argument: str) -> Self:
        """From one argument of a command line."""
        return cls(**json.loads(argument))

    def as_argument(self) -> str:
        """As one argument of a command line."""
        return json.dumps(asdict(self))

    def impose(self) -> None:
        """Hold this process to them, for good."""
        _limit(resource.RLIMIT_DATA, self.memory)
        _limit(resource.RLIMIT_FSIZE, self.file_bytes)
        _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
        # What would be dumped is other people's photos.
        _limit(resource.RLIMIT_CORE, 0)

    def begin_job(self) -> None:
        """Count processor time from now on; the system ends the process when it is used up."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        used = int(usage.ru_utime + usage.ru_stime) + 1
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        _set(resource.RLIMIT_CPU, _within(used + self.cpu_seconds, hard), hard)


def _limit(kind: int, most: int) -> None:
    """Set a limit, unless a stricter one is in force."""
    _, hard = resource.getrlimit(kind)
    limit = _within(most, hard)
    _set(kind, limit, limit)


def _within(limit: int, hard: int) -> int:
    return limit if hard == resource.RLIM_INFINITY else min(limit, hard)


def _set(kind: int, soft: int, hard: int) -> None:
    # Not every system has all of them.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(kind, (soft, hard))
