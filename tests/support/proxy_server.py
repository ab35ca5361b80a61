"""A real HTTP proxy, `proxy.py`, in a process of its own."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

PATIENCE = 60
_USER = "anna:pr0xy-pass"


@frozen
class ProxyServer:
    """A proxy that wants a user and a password."""

    process: "subprocess.Popen[bytes]"
    port: int

    @property
    def url(self) -> str:
        return f"http://{_USER}@127.0.0.1:{self.port}"

    @property
    def url_with_wrong_password(self) -> str:
        return f"http://anna:wr0ng-pass@127.0.0.1:{self.port}"


@contextmanager
def running_proxy(folder: Path) -> Iterator[ProxyServer]:
    port_file = folder / "port"
    options = {
        "hostname": "127.0.0.1",
        "port": 0,
        "port-file": port_file,
        "num-acceptors": 1,
        "num-workers": 1,
        "basic-auth": _USER,
        "log-level": "ERROR",
        "ca-cert-dir": folder,
        "data-dir": folder / "data",
        "cache-dir": folder / "cache",
    }
    arguments = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    with subprocess.Popen([sys.executable, "-m", "proxy", *arguments], cwd=folder) as process:
        try:
            yield ProxyServer(process, _port(port_file))
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _port(port_file: Path) -> int:
    give_up = time.monotonic() + PATIENCE
    while not (port_file.exists() and port_file.read_text().strip()):
        assert time.monotonic() < give_up, "the proxy does not start"
        time.sleep(0.02)
    return int(port_file.read_text())
