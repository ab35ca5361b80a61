"""A disk of a few megabytes, for tests of what happens when it is full."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MIB = 2**20


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """Mount a disk of this size at a folder; skip the test where that is not allowed."""
    folder.mkdir()
    size = f"size={mebibytes}m"
    mount = ["mount", "-t", "tmpfs", "-o", size, "photoanimer-test", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a disk can be mounted by root only")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path, *, free: int) -> Path:
    """Fill a disk by a file, up to so many free bytes, and return the file."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(MIB)):
                pass
        except OSError:
            file.truncate(max(0, file.tell() - free))
    return filler
