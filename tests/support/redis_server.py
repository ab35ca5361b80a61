"""A Redis of our own."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .missing import require_program
from .ports import free_port


@contextmanager
def running_redis(folder: Path) -> Iterator[int]:
    """Run `redis-server` on loopback without persistence; gives its port."""
    port = free_port()
    command = [require_program("redis-server"), "--port", str(port), "--bind", "127.0.0.1"]
    command += ["--save", "", "--dir", str(folder)]
    log = folder / "redis.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output) as server,
    ):
        try:
            while not _listening(port):
                assert server.poll() is None, log.read_text()
                time.sleep(0.01)
            yield port
        finally:
            server.terminate()


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
