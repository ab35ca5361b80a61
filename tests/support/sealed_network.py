"""Runs a command in a network of its own, which leads nowhere, and writes down what it asks for.

In the namespace every address is this machine, and the only name server is this script. A line
of the report is a name that was looked up, or an address beyond loopback that a packet was for.
"""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from tempfile import NamedTemporaryFile

_UNSHARE = ("unshare", "--map-root-user", "--net", "--mount")
_DESTINATION = {0x0800: slice(16, 20), 0x86DD: slice(24, 40)}  # of IPv4 and IPv6 packets
_EVERY_PROTOCOL = 3
_HEADER = 12  # of a DNS message
_NO_SUCH_NAME = b"\x81\x83"
_SETTLE_SECONDS = 0.5


def is_available() -> bool:
    """Return whether this machine lets a test have a network of its own."""
    if sys.platform != "linux" or not all(map(shutil.which, ("unshare", "ip", "mount"))):
        return False
    return subprocess.run([*_UNSHARE, "true"], capture_output=True, check=False).returncode == 0


def sealed(report: Path, command: Sequence[str]) -> list[str]:
    """Return the command that runs a command in a network of its own."""
    return [*_UNSHARE, sys.executable, __file__, _namespaces(), str(report), *command]


def _namespaces() -> str:
    return " ".join(os.readlink(f"/proc/self/ns/{kind}") for kind in ("net", "mnt"))  # noqa: PTH115 - no path


def _main() -> int:
    outside, report, command = sys.argv[1].split(), Path(sys.argv[2]), sys.argv[3:]
    if set(outside) & set(_namespaces().split()) or len(outside) != 2:
        sys.exit("this changes routes and mounts: start it with the command that `sealed` returns")
    asked: set[str] = set()
    for arguments in ("link set lo up", "route add local default dev lo"):
        subprocess.run(["ip", *arguments.split()], check=True)
    with NamedTemporaryFile("w") as resolv:
        resolv.write("nameserver 127.0.0.1\n")
        resolv.flush()
        subprocess.run(["mount", "--bind", resolv.name, "/etc/resolv.conf"], check=True)
        names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        names.bind(("127.0.0.1", 53))
        packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_EVERY_PROTOCOL))
        _in_thread(lambda: _answer(names, asked))
        _in_thread(lambda: _watch(packets, asked))
        status = subprocess.run(command, check=False).returncode
        time.sleep(_SETTLE_SECONDS)  # the last packets are still to be read
    report.write_text("".join(f"{each}\n" for each in sorted(asked)))
    return status


def _in_thread(target: Callable[[], None]) -> None:
    threading.Thread(target=target, daemon=True).start()


def _answer(names: socket.socket, asked: set[str]) -> None:
    """Answer that no name exists, and remember it."""
    while True:
        message, sender = names.recvfrom(4096)
        labels, at = [], _HEADER
        while size := message[at]:
            labels.append(message[at + 1 : at + 1 + size].decode("ascii", "replace"))
            at += 1 + size
        asked.add(".".join(labels))
        names.sendto(message[:2] + _NO_SUCH_NAME + message[4:], sender)


def _watch(packets: socket.socket, asked: set[str]) -> None:
    """Remember the addresses that packets are for, but those of loopback."""
    while True:
        packet, (_, kind, *_) = packets.recvfrom(65536)
        if kind in _DESTINATION:
            address = ip_address(packet[_DESTINATION[kind]])
            if not (address.is_loopback or address.is_multicast):
                asked.add(str(address))


if __name__ == "__main__":
    sys.exit(_main())
