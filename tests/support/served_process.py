"""`photoanimer serve` in a process of its own, whose memory and open files can be looked at."""

import asyncio
import resource
import signal
import sysconfig
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from attrs import frozen

_COMMAND = Path(sysconfig.get_path("scripts")) / "photoanimer"
_KIB = 1024


@frozen
class ServedProcess:
    """A running service."""

    process: Process
    base_url: str
    log: Path

    async def peak_memory(self) -> int:
        """Return the most bytes of memory that it has held; Linux only."""
        path = Path(f"/proc/{self.process.pid}/status")
        for line in (await asyncio.to_thread(path.read_text)).splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * _KIB
        raise AssertionError("no VmHWM")


@asynccontextmanager
async def served(
    folder: Path, *options: str, open_files: tuple[int, int] | None = None
) -> AsyncIterator[ServedProcess]:
    """Run a service on a free port.

    Args:
        folder: for its data; the log is beside it.
        options: of the command.
        open_files: soft and hard limit of its open files.
    """

    def limit() -> None:
        if open_files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, open_files)

    log = folder.with_name(f"{folder.name}.log")
    with log.open("wb") as written:
        process = await asyncio.create_subprocess_exec(
            _COMMAND,
            *("serve", "--port", "0", "--data", str(folder), *options),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=written,
            preexec_fn=limit,
        )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        yield ServedProcess(process, line.rpartition(" ")[2].strip(), log)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()
